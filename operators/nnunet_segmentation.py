"""Fourth box: the network."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Protocol

from monai.deploy.core import ExecutionContext, Fragment, InputContext, OutputContext

from core.volume import Volume
from operators.model_run import ModelRun, ModelRunOperator, Tell
from segmentation.inference.engine import EngineResult, Progress
from segmentation.inference.shared_images import SharedImages
from segmentation.package.package import Package


class Segment(Protocol):
    """The call that runs a package's warm networks: :meth:`segmentation.inference.model_pool.ModelPool.segment`."""

    def __call__(
        self,
        package: Package,
        volume: Volume,
        on_progress: Progress | None,
        shared: SharedImages | None,
        *,
        regular_too: bool = False,
    ) -> EngineResult:
        """Segment one volume."""
        ...


NetworkTurn = Callable[[], AbstractContextManager[None]]
"""Returns a context, entered when it is the study's turn, in which its networks run."""


class NnunetSegmentationOperator(ModelRunOperator):
    """Operator that runs each package's networks on its volume; images that they share are made once.

    Parameters
    ----------
    segment
        Runs one package's networks; it waits until the device is free.
    turn
        The turn that the study takes for all its models together; none where there is nothing to segment.
    on_progress
        Called with the model's name and the fraction of its tiles that are done.
    regular_too
        Whether a file wants the mask of an irregular stack on its regular grid as well.
    """

    phase = "preparing the image, then the network"

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        segment: Segment,
        turn: NetworkTurn,
        on_progress: Tell,
        regular_too: bool = False,
        **kwargs: Any,
    ) -> None:
        self._segment = segment
        self._turn = turn
        self._regular_too = regular_too
        self._on_progress = on_progress
        self._shared = SharedImages([])
        super().__init__(fragment, *args, **kwargs)

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Segment with every model that has not been refused."""
        runs: tuple[ModelRun, ...] = op_input.receive("runs")
        inputs = [(run.package, run.volume) for run in runs if run.volume is not None and run.rejection is None]
        self._shared = SharedImages(inputs)
        with self._turn() if inputs else nullcontext():
            segmented = tuple(self._advance_timed(run) for run in runs)
        op_output.emit(segmented, "runs")

    def advance(self, run: ModelRun) -> ModelRun:
        """Segment one model's volume; the engine times its own stages."""
        if run.volume is None:
            raise ValueError("nnunet_segmentation got a run without a volume; it must come after series_to_volume")
        name = run.package.config.name
        result = self._segment(
            run.package,
            run.volume,
            lambda done: self._on_progress(name, done),
            self._shared,
            regular_too=self._regular_too,
        )
        ran = replace(run, label_map=result.label_map, package=result.package, backend=result.backend)
        return replace(ran, regular_label_map=result.regular).timed(**result.timings_s)
