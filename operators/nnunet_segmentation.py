"""Fourth box: the network."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from monai.deploy.core import Fragment

from operators.model_run import ModelRun, ModelRunOperator
from segmentation.engine import Engine
from segmentation.package import Package


class NnunetSegmentationOperator(ModelRunOperator):
    """Runs the package's engine on the volume.

    Parameters
    ----------
    engine_for
        Gives the (warm) engine of a package.
    on_progress
        Called with the model's name and the fraction of its tiles that are done.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        engine_for: Callable[[Package], Engine],
        on_progress: Callable[[str, float], None],
        **kwargs: Any,
    ) -> None:
        self._engine_for = engine_for
        self._on_progress = on_progress
        super().__init__(fragment, *args, **kwargs)

    def advance(self, run: ModelRun) -> ModelRun:
        """Segment; the engine times its own stages."""
        if run.volume is None:
            raise ValueError("nnunet_segmentation comes after series_to_volume")
        name = run.package.manifest.name
        result = self._engine_for(run.package).segment(run.volume, lambda done: self._on_progress(name, done))
        return replace(run, label_map=result.label_map).timed(**result.timings_s)
