"""Second box: which series feed the model's channels."""

from dataclasses import replace

from dicom_io.images.selection.selection import select_series
from operators.model_run import ModelRun, ModelRunOperator


class SelectSeriesOperator(ModelRunOperator):
    """Chooses by the rules of the model's manifest; every series' decision stays with the run."""

    stage = "read"

    def advance(self, run: ModelRun) -> ModelRun:
        """Select; a study without a usable series is refused for this model."""
        selection = select_series(run.study, run.package.manifest)
        return replace(run, selection=selection, rejection=selection.rejection)
