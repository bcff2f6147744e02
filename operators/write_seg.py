"""Seventh box: the mask as a DICOM SEG."""

from dataclasses import replace
from typing import Any

from monai.deploy.core import Fragment

from dicom_io.results.outbox import StudyOutbox
from operators.model_run import ModelRun, ModelRunOperator


class WriteSegOperator(ModelRunOperator):
    """Operator that writes ``<model>.seg.dcm`` into the study's outbox and reads it back before it may leave."""

    phase = "writing the SEG"
    stage = "seg"

    def __init__(self, fragment: Fragment, *args: Any, outbox: StudyOutbox, **kwargs: Any) -> None:
        self._outbox = outbox
        super().__init__(fragment, *args, **kwargs)

    def advance(self, run: ModelRun) -> ModelRun:
        """Write the SEG, unless nobody wants it, or the mask is empty and the model asks for no empty object."""
        if run.label_map is None or run.volume is None or run.selection is None:
            raise ValueError("write_seg got a run without a mask, volume or selection; it must come after postprocess")
        if not self._outbox.wants(run.package.name, "seg"):
            return run
        # Every channel's: the result's UIDs derive from all that went in.
        sources = [instance for series in run.selection.channels for instance in series.instances]
        package = run.package
        written = self._outbox.put_seg(
            run.label_map, run.volume, sources, package.config, package.options, package.sha256, run.backend
        )
        if written is None:
            return run
        return replace(
            run,
            outputs=(*run.outputs, written.name),
            seg_uid=written.sop_instance_uid,
            warnings=run.warnings + written.warnings,
        )
