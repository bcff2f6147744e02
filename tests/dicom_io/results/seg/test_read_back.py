"""Reading SEG objects of dcmqi, and refusing a written one that is not its mask."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # its documentation's own name

from core.errors import ReasonCode, StudyRejected
from core.label_map import LabelMap
from core.model_config import LabelSpec
from dicom_io.results.seg.build import build_seg, read_seg, verify_seg, write_seg
from dicom_io.results.seg.sources import grid_slices
from tests.support.seg_cases import Case, context, decoded_by_dcmqi, label_map, made_case, read_case


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return made_case(tmp_path_factory.mktemp("series"))


@pytest.mark.parametrize("name", ["24x38x3", "23x38x3"])
def test_dcmqi_reference_equals_its_own_nrrd(name: str, real_data: Callable[[str], Path]) -> None:
    content = read_seg(real_data(f"dcmqi/{name}/seg/label.seg"))
    image = sitk.ReadImage(str(real_data(f"dcmqi/{name}/nrrd/label.nrrd")))
    expected = sitk.GetArrayFromImage(image)
    assert [segment.label for segment in content.segments] == ["Liver"]
    assert content.geometry.shape == expected.shape
    assert np.allclose(content.geometry.spacing, image.GetSpacing()[::-1], atol=1e-5)
    assert np.allclose(content.geometry.origin, image.GetOrigin(), atol=1e-5)
    assert np.array_equal(content.mask(1), expected > 0)
    assert 0 < int(content.mask(1).sum()) < content.mask(1).size


def test_dcmqi_reference_sources_are_named(real_data: Callable[[str], Path]) -> None:
    content = read_seg(real_data("dcmqi/24x38x3/seg/label.seg"))
    images = sorted(real_data("dcmqi/24x38x3/image").iterdir())
    places = {str(h.SOPInstanceUID): h.ImagePositionPatient for h in map(pydicom.dcmread, images)}
    for index, one in enumerate(content.frames):
        source = content.source(index)
        assert source is not None
        assert source[1] is None
        assert np.allclose(places[source[0]], one.position, atol=1e-4)


def test_overlapping_segments_keep_their_own_voxels(real_data: Callable[[str], Path]) -> None:
    content = read_seg(real_data("dcmqi/partial_overlaps.dcm"))
    assert [s.label for s in content.segments] == ["GREEN", "ORANGE", "PURPLE", "LIGHT_BLUE", "DARK_BLUE"]
    masks = [content.mask(segment.number) for segment in content.segments]
    frames = pydicom.dcmread(real_data("dcmqi/partial_overlaps.dcm")).pixel_array
    assert [int(mask.sum()) for mask in masks] == [
        int(sum(frames[i].sum() for i, f in enumerate(content.frames) if f.segment == s.number))
        for s in content.segments
    ]
    assert sum(mask.astype(int) for mask in masks).max() > 1, "they overlap"
    assert content.geometry.shape[0] == 3


def test_a_labelmap_of_dcmqi_with_a_gap_and_without_padding_value(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    path = real_data("dcmqi/sparse-labelmap-noppv.dcm")
    content = read_seg(path)
    theirs = decoded_by_dcmqi(path, tmp_path / "dcmqi")
    assert content.is_labelmap
    assert content.background is None
    assert content.geometry.shape == (3, 38, 24)
    assert [content.slice_index(frame) for frame in content.frames] == [0, 2]
    mask = content.mask(1)
    assert not mask[1].any()
    assert int(mask.sum()) > 0
    assert np.array_equal(mask, sitk.GetArrayFromImage(theirs) == 1)


def test_liver_of_dcmqi_reads_as_pydicom_decodes_it(real_data: Callable[[str], Path]) -> None:
    path = real_data("dcmqi/liver.dcm")
    content = read_seg(path)
    frames = pydicom.dcmread(path).pixel_array
    order = np.argsort([content.slice_index(frame) for frame in content.frames])
    assert np.array_equal(content.mask(1), frames[order].astype(bool))


@pytest.mark.parametrize("name", ["24x38x3", "23x38x3"])
@pytest.mark.parametrize("kind", ["image", "multiframe"])
def test_a_seg_of_dcmqi_sources_comes_back_as_its_nrrd(
    name: str, kind: str, real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    """Our object of dcmqi's own images, classic and legacy-converted multi-frame, with dcmqi's own mask."""
    case = read_case(real_data(f"dcmqi/{name}/{kind}"))
    image = sitk.ReadImage(str(real_data(f"dcmqi/{name}/nrrd/label.nrrd")))
    mask = (sitk.GetArrayFromImage(image) > 0).astype(np.uint8)
    given = label_map(case, mask)
    path = tmp_path / "x.seg.dcm"
    write_seg(build_seg(given, case.volume, case.sources, context()), path)
    verify_seg(path, given)
    content = read_seg(path)
    for index, frame in enumerate(content.frames):
        (plane,) = grid_slices(frame.position, case.volume.geometry)
        number = None if kind == "image" else case.volume.frame_numbers[plane]
        assert content.source(index) == (case.volume.sop_instance_uids[plane], number)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_one_voxel_more_or_less_is_a_mismatch(kind: str, case: Case, tmp_path: Path) -> None:
    given = label_map(case)
    path = tmp_path / "x.seg.dcm"
    write_seg(build_seg(given, case.volume, case.sources, context(segmentation_type=kind)), path)
    verify_seg(path, given)
    content = read_seg(path)
    for number, value in ((1, 1), (2, 2), (3, 4)):
        mask = content.mask(number)
        (first,) = grid_slices(content.geometry.origin, given.geometry)
        assert np.array_equal(mask, (given.array == value)[first : first + mask.shape[0]])
    for index in [(3, 1, 1), (0, 0, 0), (5, 40, 52)]:
        for value in {0, 2} - {int(given.array[index])}:
            changed = given.array.copy()
            changed[index] = value
            with pytest.raises(StudyRejected) as caught:
                verify_seg(path, label_map(case, changed))
            assert caught.value.code == ReasonCode.SEG_MISMATCH


def test_every_flip_and_shift_is_a_mismatch(case: Case, tmp_path: Path) -> None:
    given = label_map(case)
    path = tmp_path / "x.seg.dcm"
    write_seg(build_seg(given, case.volume, case.sources, context()), path)
    others = [np.flip(given.array, axis) for axis in range(3)] + [np.roll(given.array, 1, axis) for axis in range(3)]
    for other in others:
        with pytest.raises(StudyRejected):
            verify_seg(path, label_map(case, np.ascontiguousarray(other)))


def test_another_grid_or_label_is_a_mismatch(case: Case, tmp_path: Path) -> None:
    given = label_map(case)
    path = tmp_path / "x.seg.dcm"
    write_seg(build_seg(given, case.volume, case.sources, context()), path)
    grid = given.geometry
    turned = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], float)
    changes: list[dict[str, Any]] = [
        {"origin": (grid.origin[0] + 0.5, *grid.origin[1:])},
        {"origin": (*grid.origin[:2], grid.origin[2] + grid.spacing[0])},
        {"spacing": (grid.spacing[0], grid.spacing[1] * 1.01, grid.spacing[2])},
        {"spacing": (grid.spacing[0] * 1.2, *grid.spacing[1:])},
        {"direction": turned},
    ]
    for change in changes:
        parts = {"shape": grid.shape, "spacing": grid.spacing, "origin": grid.origin, "direction": grid.direction}
        other = LabelMap(given.array, type(grid)(**(parts | change)), given.labels)
        with pytest.raises(StudyRejected):
            verify_seg(path, other)
    renamed = tuple(LabelSpec(value=s.value, name=f"{s.name} x") for s in given.labels)
    with pytest.raises(StudyRejected):
        verify_seg(path, LabelMap(given.array, grid, renamed))


@pytest.mark.parametrize("keep", [0, 100, 700, -1000])
def test_a_file_cut_short_is_a_mismatch(keep: int, case: Case, tmp_path: Path) -> None:
    given = label_map(case)
    path = tmp_path / "x.seg.dcm"
    write_seg(build_seg(given, case.volume, case.sources, context()), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StudyRejected) as caught:
        verify_seg(path, given)
    assert caught.value.code == ReasonCode.SEG_MISMATCH


def test_a_frame_left_out_is_a_mismatch(case: Case, tmp_path: Path) -> None:
    given = label_map(case)
    seg = build_seg(given, case.volume, case.sources, context())
    seg.PerFrameFunctionalGroupsSequence = seg.PerFrameFunctionalGroupsSequence[:-1]
    seg.NumberOfFrames -= 1
    path = tmp_path / "x.seg.dcm"
    write_seg(seg, path)
    with pytest.raises(StudyRejected, match="no frame"):
        verify_seg(path, given)


def test_object_that_is_not_a_segmentation_is_refused(real_data: Callable[[str], Path]) -> None:
    with pytest.raises(ValueError, match="not a segmentation"):
        read_seg(real_data("dcmqi/24x38x3/image/IMG0001.dcm"))
