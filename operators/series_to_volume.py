"""Third box: from files to the array that nnU-Net would read."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from monai.deploy.core import ExecutionContext, Fragment, InputContext, OutputContext

from core.errors import StudyRejected
from dicom_io.images.grid.geometry import layout_of
from dicom_io.images.volume import SelectionRejectedError, VolumeReader
from operators.model_run import ModelRun, ModelRunOperator
from segmentation.inference.model_pool import MemoryRequest

ReserveMemory = Callable[[Sequence[MemoryRequest]], list[StudyRejected | None]]


class SeriesToVolumeOperator(ModelRunOperator):
    """Operator that reads each series once, however many models use it, and none for a model that exceeds the memory.

    Parameters
    ----------
    reserve_memory
        :meth:`segmentation.inference.model_pool.MemoryReservation.reserve`.
    """

    phase = "reading the images"
    stage = "read"

    def __init__(self, fragment: Fragment, *args: Any, reserve_memory: ReserveMemory, **kwargs: Any) -> None:
        self._reader = VolumeReader()
        self._reserve_memory = reserve_memory
        super().__init__(fragment, *args, **kwargs)

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Reserve memory for all models together, then read for every run that has not been refused."""
        runs: list[ModelRun] = list(op_input.receive("runs"))
        requests = {number: _memory_request(run) for number, run in enumerate(runs) if run.rejection is None}
        answers = self._reserve_memory(list(requests.values()))
        for number, rejection in zip(requests, answers, strict=True):
            runs[number] = replace(runs[number], rejection=rejection)
        op_output.emit(tuple(self._advance_timed(run) for run in runs), "runs")

    def advance(self, run: ModelRun) -> ModelRun:
        """Read the selected series; one whose pixels cannot be read gives way to the next that fits."""
        if run.selection is None:
            raise ValueError("series_to_volume got a run without a selection; it must come after select_series")
        try:
            volume, selection = self._reader.read(run.study, run.package.config, run.selection, run.package.options)
        except SelectionRejectedError as rejection:
            # The report must say which series was refused for its pixels, not that it was taken.
            return replace(run, selection=rejection.selection, rejection=rejection)
        return replace(run, volume=volume, selection=selection)


def _memory_request(run: ModelRun) -> MemoryRequest:
    if run.selection is None:
        raise ValueError("series_to_volume got a run without a selection; it must come after select_series")
    channels = run.selection.channels
    geometry = layout_of(channels[0], run.package.config.geometry).geometry
    return MemoryRequest(run.package, geometry, tuple(series.key for series in channels))
