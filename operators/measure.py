"""Sixth box: the numbers of each structure, where somebody asked for them."""

from dataclasses import replace

from core.measurements.structure import measure
from core.units import default_unit
from dicom_io.images.headers.attributes import texts
from operators.model_run import ModelRun, ModelRunOperator


class MeasureOperator(ModelRunOperator):
    """Operator that measures each label on the image of channel 0, once for all forms of the result."""

    phase = "measuring"
    stage = "measure"

    def has_work(self, run: ModelRun) -> bool:
        """Return whether ``model.yaml`` asks for measurements."""
        return run.package.config.measure is not None

    def advance(self, run: ModelRun) -> ModelRun:
        """Measure the things that ``model.yaml`` names."""
        config = run.package.config
        if run.label_map is None or run.volume is None or run.selection is None or config.measure is None:
            raise ValueError("measure got a run without a mask, volume or selection; it must come after postprocess")
        modality = texts(run.selection.channels[0].instances[0].header, "Modality")
        unit = config.channels[0].unit or default_unit(modality)
        found = measure(
            run.label_map,
            run.volume.array[0],
            unit,
            intensity=config.measure.intensity,
            diameters=config.measure.diameters,
        )
        return replace(run, measurements=found, unit=unit)
