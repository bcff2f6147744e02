"""Whatever is missing, doubled or shuffled: no volume holds images of two."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from core.errors import StudyRejected
from core.model_config import SeriesRule
from dicom_io.images.grid.geometry import layout_of
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.selection import select_series
from dicom_io.images.splitting.volumes import split_of
from dicom_io.images.study import Study
from tests.support.series_helpers import config
from tests.support.several_volumes import series_of, stack, uids_of

WAYS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "echo": tuple({"EchoNumbers": n, "EchoTime": 2.3 * n} for n in (1, 2, 3, 4)),
    "b_value": tuple({"DiffusionBValue": float(b)} for b in (0, 50, 500, 1000)),
    "time": tuple({"TemporalPositionIdentifier": n} for n in (1, 2, 3, 4)),
    "image_type": tuple({"ImageType": ["DERIVED", "PRIMARY", "DIXON", kind]} for kind in ("W", "F", "IN", "OPP")),
    "acquisition": tuple({"AcquisitionNumber": n} for n in (1, 2, 3, 4)),
    "trigger_time": tuple({"TriggerTime": 50.0 * n} for n in (0, 1, 2, 3)),
    "kernel": tuple({"ConvolutionKernel": kernel} for kernel in ("B20f", "B30f", "B50f", "B70f")),
}


@dataclass(frozen=True)
class Made:
    """Images of several volumes, and the volume that each is of, by SOP Instance UID."""

    images: list[Dataset]
    volume_of: Mapping[str, int]
    is_whole: bool

    @property
    def series(self) -> Series:
        return series_of(self.images)


@st.composite
def made(draw: st.DrawFn, *, damaged: bool) -> Made:
    way = WAYS[draw(st.sampled_from(sorted(WAYS)))]
    count = draw(st.integers(2, 4))
    gap = draw(st.sampled_from((1.0, 2.5, 4.0)))
    images: list[Dataset] = []
    volume_of: dict[str, int] = {}
    is_whole = True
    for number in range(count):
        shift = draw(st.sampled_from((0.0, 0.0, gap / 2, gap / 3))) if damaged else 0.0
        heights = [gap * n + shift for n in range(draw(st.integers(2, 6)))]
        found = stack((number, shift), heights, **way[number])
        if damaged and draw(st.booleans()):
            del found[draw(st.integers(0, len(found) - 1))]
            is_whole = False
        if damaged and found and draw(st.integers(0, 3)) == 0:
            place = float(draw(st.sampled_from(found)).ImagePositionPatient[2])
            found += stack((number, "twin"), [place], **way[number])
            is_whole = False
        images += found
        volume_of |= {str(image.SOPInstanceUID): number for image in found}
    return Made(draw(st.permutations(images)), volume_of, is_whole)


def is_volume(series: Series) -> bool:
    try:
        layout_of(series, "any")
    except StudyRejected:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(made(damaged=True))
def test_no_volume_holds_images_of_two(case: Made) -> None:
    series = case.series
    found = split_of(series).volumes
    if is_volume(series):
        assert found == (series,)
        return
    for volume in filter(is_volume, found):
        assert len({case.volume_of[uid] for uid in uids_of(volume)}) == 1
    taken = [uid for volume in found for uid in uids_of(volume)]
    assert len(taken) == len(set(taken))


@settings(max_examples=40, deadline=None)
@given(made(damaged=False))
def test_whole_volumes_are_found_whole(case: Made) -> None:
    found = split_of(case.series).volumes
    wanted: dict[int, set[str]] = {}
    for uid, number in case.volume_of.items():
        wanted.setdefault(number, set()).add(uid)
    assert sorted(sorted(uids_of(volume)) for volume in found) == sorted(map(sorted, wanted.values()))
    names = [volume.part for volume in found]
    assert all(part is not None and part.named for part in names)
    assert len(set(map(str, names))) == len(found)


@settings(max_examples=20, deadline=None)
@given(made(damaged=True), st.data())
def test_the_order_of_files_changes_nothing(case: Made, data: st.DataObject) -> None:
    def parts(images: list[Dataset]) -> set[frozenset[str]]:
        return {frozenset(uids_of(volume)) for volume in split_of(series_of(images)).volumes}

    assert parts(data.draw(st.permutations(case.images))) == parts(case.images)


NOISE: Mapping[str, tuple[Any, ...]] = {
    "KVP": (120, 80, 100),
    "ConvolutionKernel": ("B30f", "B70f", "B31f"),
    "AcquisitionNumber": (1, 2, 3),
    "ImageType": (
        ["ORIGINAL", "PRIMARY", "AXIAL"],
        ["ORIGINAL", "PRIMARY", "AXIAL", "X"],
        ["DERIVED", "PRIMARY", "AXIAL"],
    ),
    "SliceThickness": (4, 5, 6),
    "PhotometricInterpretation": ("MONOCHROME2", "MONOCHROME1", "MONOCHROME2"),
    "GantryDetectorTilt": (0, 1, 2),
}


@st.composite
def one_scan(draw: st.DrawFn) -> list[Dataset]:
    """One scan of even slices, in which some attributes change on the way, and from which slices may be lost."""
    images = stack("scan", [4.0 * number for number in range(draw(st.integers(4, 14)))], modality="CT")
    for keyword in draw(st.lists(st.sampled_from(sorted(NOISE)), min_size=1, max_size=2, unique=True)):
        period = draw(st.integers(1, len(images) - 1))
        for number, image in enumerate(images):
            setattr(image, keyword, NOISE[keyword][number // period % 3])
    for _ in range(draw(st.integers(0, 2))):
        del images[draw(st.integers(0, len(images) - 1))]
    return images


@settings(max_examples=80, deadline=None)
@given(one_scan())
def test_no_part_of_a_scan_is_taken_for_all_of_it(images: list[Dataset]) -> None:
    series = series_of(images)
    selection = select_series(Study("1.2", (series,)), config(SeriesRule(modality=("CT",))))
    for taken in selection.channels:
        assert len(uids_of(taken)) == len(images)
