"""Last box: the files that leave beside the SEG, and the hand-over of the runs to the caller of the graph."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from monai.deploy.core import ExecutionContext, Fragment, InputContext, OperatorSpec, OutputContext

from dicom_io.results.outbox import StudyOutbox
from operators.model_run import ModelRun, ModelRunOperator


class OutboxOperator(ModelRunOperator):
    """Operator that puts the overlay picture (and NIfTI, if requested) beside the SEG and hands over the finished runs.

    Parameters
    ----------
    on_complete
        Called once with every run, refused ones included.
    """

    phase = "writing the picture"

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        outbox: StudyOutbox,
        on_complete: Callable[[tuple[ModelRun, ...]], None],
        **kwargs: Any,
    ) -> None:
        self._outbox = outbox
        self._on_complete = on_complete
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare one input port: the graph ends here."""
        spec.input("runs")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Complete every run and hand them over."""
        runs: tuple[ModelRun, ...] = op_input.receive("runs")
        self._on_complete(tuple(self._advance_timed(run) for run in runs))

    def advance(self, run: ModelRun) -> ModelRun:
        """Write the overlay picture and, if requested, the NIfTI file."""
        if run.label_map is None or run.volume is None or run.selection is None:
            raise ValueError("outbox got a run without a mask, volume or selection; it must come after postprocess")
        names = self._outbox.put_pictures(
            run.label_map, run.volume, run.selection.channels, run.package.config, run.regular_label_map
        )
        return replace(run, outputs=run.outputs + names)
