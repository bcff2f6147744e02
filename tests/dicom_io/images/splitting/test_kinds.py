"""Kinds of series that scanners make, and the volumes that are found in them."""

from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset

from core.errors import ReasonCode, StudyRejected
from dicom_io.images.grid.geometry import layout_of
from dicom_io.images.headers.series import Series
from dicom_io.images.splitting import volumes
from dicom_io.images.splitting.volumes import split_of
from tests.support.several_volumes import names, names_of, private, series_of, stack, uids_of
from tests.support.volume_kinds import (
    DIRECTIONS,
    GE_B,
    HEIGHTS,
    KINDS,
    PHILIPS_B,
    SIEMENS_B,
    Stacks,
    angiography_with_projections,
    two_kernels,
    with_private,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_kind_comes_apart_into_its_volumes(kind: Callable[[], Stacks]) -> None:
    stacks = kind()
    split = split_of(series_of(*stacks))
    assert names(split) == KINDS[kind]
    assert [uids_of(volume) for volume in split.volumes] == [[i.SOPInstanceUID for i in images] for images in stacks]
    for volume in split.volumes:
        assert layout_of(volume).warnings == ()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_was_refused_as_one_volume(kind: Callable[[], Stacks]) -> None:
    """The kinds would show nothing if the series had been volumes before."""
    with pytest.raises(StudyRejected):
        layout_of(series_of(*kind()))


def test_projections_beside_an_angiography_are_apart_from_it() -> None:
    split = split_of(series_of(*angiography_with_projections()))
    assert len(split.volumes) == 4
    assert len(uids_of(split.volumes[0])) == len(HEIGHTS)


@pytest.mark.parametrize(
    ("write", "values"),
    [
        (SIEMENS_B, {0: 0, 50: 50, 1000: 1000}),
        (GE_B, {0: [0, 8, 0, 0], 50: [1000000050, 8, 0, 0], 1000: [1000001000, 8, 0, 0]}),
        (PHILIPS_B, {0: 0.0, 50: 50.0, 1000: 1000.0}),
    ],
    ids=["siemens", "ge", "philips"],
)
def test_private_b_values_tell_volumes_apart(
    write: Callable[[Dataset, object], None], values: dict[float, object]
) -> None:
    assert names_of(*with_private(write, values)) == [f"b-value {b:g} s/mm²" for b in values]


def test_a_private_element_of_another_creator_tells_nothing() -> None:
    write = private(0x0019, "ACME MR HEADER", 0x0C, "IS")
    assert names_of(*with_private(write, {0: 0, 1000: 1000})) == [""]


def test_a_series_of_one_volume_stays_whole() -> None:
    """Whatever tells its images apart: interleaved b-values, a kind of its own, numbers that rise."""
    images = stack("one", HEIGHTS, DiffusionBValue=lambda number: 50.0 * (number % 2), FlipAngle=lambda number: number)
    series = series_of(images)
    assert split_of(series).volumes == (series,)


def volumes_taken_turns(**tags: object) -> Series:
    return series_of(stack("turns", HEIGHTS, modality="CT", **tags))


def test_attributes_that_take_turns_make_pieces() -> None:
    split = split_of(volumes_taken_turns(KVP=lambda number: (80, 140)[number % 2]))
    assert split.refusal is not None
    assert split.refusal.code is ReasonCode.MIXED_ACQUISITION
    assert all(split.is_piece(volume) for volume in split.volumes)


def test_a_volume_beside_another_is_no_piece() -> None:
    split = split_of(series_of(*two_kernels()))
    assert not any(split.is_piece(volume, split.volumes) for volume in split.volumes)


def test_acquisitions_along_the_table_are_one_volume_where_time_rises() -> None:
    series = volumes_taken_turns(
        AcquisitionNumber=lambda number: (1, 2)[number % 2], AcquisitionTime=lambda number: f"1000{number:02}"
    )
    assert [str(one.code) for one in layout_of(series).warnings] == ["acquisitions_joined"]


@pytest.mark.parametrize("times", [("100000",) * 8, ("100000", "100005") * 4, ("",) * 8], ids=["one", "turns", "none"])
def test_acquisitions_that_take_turns_in_time_too_are_no_volume(times: tuple[str, ...]) -> None:
    series = volumes_taken_turns(
        AcquisitionNumber=lambda number: (1, 2)[number % 2], AcquisitionTime=lambda number: times[number]
    )
    with pytest.raises(StudyRejected) as caught:
        layout_of(series)
    assert caught.value.code is ReasonCode.MIXED_ACQUISITION


def test_two_times_that_contradict_each_other_leave_the_series_whole() -> None:
    stacks = [
        stack(
            n, HEIGHTS, AcquisitionNumber=n, FrameReferenceTime=lambda number, n=n: 100.0 * (n if number < 4 else 3 - n)
        )
        for n in (1, 2)
    ]
    assert names_of(*stacks) == [""]


def test_a_part_without_a_name_is_counted() -> None:
    assert names_of(*(stack(k, HEIGHTS, modality="CT", ConvolutionKernel=k) for k in ("Smith^John", "B70f"))) == [
        "volume 1 of 2",
        "kernel B70f",
    ]


def test_acquisitions_of_two_b_values_are_no_scan_along_the_table() -> None:
    series = volumes_taken_turns(
        AcquisitionNumber=lambda number: (1, 2)[number % 2],
        AcquisitionTime=lambda number: f"1000{number:02}",
        DiffusionBValue=lambda number: (0.0, 800.0)[number % 2],
    )
    with pytest.raises(StudyRejected) as caught:
        layout_of(series)
    assert caught.value.code is ReasonCode.MIXED_ACQUISITION


def test_a_trace_image_is_told_from_its_directions() -> None:
    directed = [
        stack(n, HEIGHTS, DiffusionBValue=800.0, DiffusionGradientOrientation=list(d)) for n, d in enumerate(DIRECTIONS)
    ]
    assert names_of(*directed, stack("trace", HEIGHTS, DiffusionBValue=800.0))[-1] == "direction none"


def test_stations_that_share_a_slice_are_pieces() -> None:
    first = stack("first", HEIGHTS, modality="CT", AcquisitionNumber=1)
    split = split_of(series_of(first, stack("second", [28.0, 32.0], modality="CT", AcquisitionNumber=2)))
    assert names(split) == ["acquisition 1", "acquisition 2"]
    assert split.is_piece(split.volumes[0], [split.volumes[1]])


def test_a_series_of_more_volumes_than_anybody_names_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = [stack(t, HEIGHTS[:2], TemporalPositionIdentifier=t) for t in range(4)]
    assert len(names_of(*stacks)) == 4
    monkeypatch.setattr(volumes, "MOST_VOLUMES", 3)
    assert names_of(*stacks) == [""]
