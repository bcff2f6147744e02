"""Four times as many slices cost four times as much: calls and memory, since both are counted on any machine.

`tests.support.many_slices` measures the whole of ``segnode run`` on 3,000 slices.
"""

import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from core.label_map import LabelMap
from core.model_config import FillHoles, KeepLargest, LabelSpec, Open, PostprocessingStep
from core.volume import Volume
from dicom_io.images.study import read_studies
from dicom_io.images.volume import read_volume
from segmentation.postprocessing.steps import postprocess
from segmentation.preprocessing.regular_image import regular_volume
from tests.support.many_slices import grows_linearly, write_slices

FEW = 30
STEPS: tuple[PostprocessingStep, ...] = (
    KeepLargest(step="keep_largest"),
    FillHoles(step="fill_holes"),
    Open(step="open", radius_mm=3),
)


def read(folder: Path) -> Volume:
    return read_volume(read_studies(folder)[0].series[0], geometry="any")


def work_on(volume: Volume) -> None:
    """Bring an image to its regular grid, and clean a mask of it."""
    assert regular_volume(volume, [-1000.0]).acquired is not None
    mask = (volume.array[0] > -500).astype(np.uint8)
    postprocess(LabelMap(mask, volume.geometry, (LabelSpec(value=1, name="body"),)), STEPS)


def calls_in(work: Callable[[], object]) -> int:
    """Count the calls of Python functions."""
    count = 0

    def on_event(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(on_event)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def peak_of(work: Callable[[], object]) -> int:
    """Measure the largest memory in bytes that Python and numpy hold at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_cost_grows_with_the_number_of_slices(tmp_path: Path) -> None:
    counts = (FEW, 2 * FEW, 4 * FEW)
    for count in counts:
        write_slices(tmp_path / str(count), count, "irregular", pixels=12)
    volumes = [read(tmp_path / str(count)) for count in counts]
    work_on(volumes[0])  # imports and caches
    assert grows_linearly(*(calls_in(partial(read, tmp_path / str(count))) for count in counts))
    assert grows_linearly(*(calls_in(partial(work_on, volume)) for volume in volumes))
    assert grows_linearly(*(peak_of(partial(work_on, volume)) for volume in volumes))
