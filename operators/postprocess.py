"""Fifth box: the model's post-processing, in physical units."""

from dataclasses import replace

from operators.model_run import ModelRun, ModelRunOperator
from segmentation.postprocessing.steps import postprocess


class PostprocessOperator(ModelRunOperator):
    """Operator that applies the post-processing steps of ``model.yaml`` in their order."""

    phase = "post-processing"
    stage = "postprocess"

    def advance(self, run: ModelRun) -> ModelRun:
        """Post-process the mask."""
        if run.label_map is None:
            raise ValueError("postprocess got a run without a mask; it must come after nnunet_segmentation")
        steps, beside = run.package.config.postprocessing, run.regular_label_map
        return replace(
            run,
            label_map=postprocess(run.label_map, steps),
            regular_label_map=None if beside is None else postprocess(beside, steps),
        )
