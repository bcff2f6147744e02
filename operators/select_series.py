"""Second box: the choice of the series that feed the model's channels."""

from dataclasses import replace

from dicom_io.images.selection.selection import select_series
from operators.model_run import ModelRun, ModelRunOperator


class SelectSeriesOperator(ModelRunOperator):
    """Operator that chooses by the rules of ``model.yaml``; the decision on every series stays with the run."""

    phase = "choosing the series"
    stage = "read"

    def advance(self, run: ModelRun) -> ModelRun:
        """Select the series; a study without a usable one is refused for this model."""
        selection = select_series(run.study, run.package.config, options=run.package.options)
        return replace(run, selection=selection, rejection=selection.rejection)
