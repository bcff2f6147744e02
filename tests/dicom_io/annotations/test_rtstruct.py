"""RT Structure Sets: made ones with each fault, and real ones against their collection's masks and plastimatch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from core.errors import CaseCode, CaseRefused
from core.image_files.reader import read_mask
from core.volume import Volume
from dicom_io.annotations.found import find_annotations, open_annotation
from dicom_io.images.study import read_studies
from dicom_io.images.volume import read_volume
from tests.dicom_io.annotations.conftest import MaskOf
from tests.support.structure_sets import circle, make_structure_set, masks_by_plastimatch, tube

REAL = ("sts-001-ct", "sts-002-ct")


@pytest.mark.parametrize("name", REAL)
def test_real_contours_give_the_masks_of_their_collection(name: str, real_data: Callable[[str], Path]) -> None:
    folder = real_data(name)
    (study,) = read_studies(folder / "dicom")
    volume = read_volume(study.series[0])
    (annotation,) = find_annotations(folder)
    mask, notes = open_annotation(annotation).mask(0, volume)
    assert [structure.name for structure in annotation.structures] == ["GTV_Mass_CT"]
    assert np.array_equal(mask, read_mask(folder / "mask.nii.gz", volume.geometry) > 0)
    assert notes == ()


@pytest.mark.parametrize("name", REAL)
def test_real_contours_give_plastimatchs_masks(
    name: str, real_data: Callable[[str], Path], peer: Callable[[str], str], tmp_path: Path
) -> None:
    folder = real_data(name)
    (study,) = read_studies(folder / "dicom")
    (annotation,) = find_annotations(folder)
    mask, _ = open_annotation(annotation).mask(0, read_volume(study.series[0]))
    theirs = masks_by_plastimatch(peer("plastimatch"), folder / "RS.dcm", folder / "dicom", tmp_path / "masks")
    assert np.array_equal(mask, theirs["GTV_Mass_CT"])


def test_made_structures_give_plastimatchs_masks(
    made_series: tuple[Path, list[Dataset], Volume], mask_of: MaskOf, peer: Callable[[str], str], tmp_path: Path
) -> None:
    folder, headers, volume = made_series
    outer, inner = circle(15, 16, 9.3), circle(15, 16, 4.2)
    keyhole = np.vstack([outer, outer[:1], inner[::-1], inner[-1:]])
    star = np.array([[15, 16]]) + circle(0, 0, 1) * np.where(np.arange(60) % 2, 11.0, 4.0)[:, None]
    rois = {
        "tube": tube(range(1, 6), 14, 17, 6.6),
        "keyhole": [(index, keyhole) for index in (2, 3)],
        "star": [(index, star) for index in (3, 4)],
        "parts": [*tube((1, 2), 8, 8, 3.1), *tube((1, 2), 24, 24, 4.7)],
    }
    path = tmp_path / "rs.dcm"
    make_structure_set(volume, headers[0], rois).save_as(path, enforce_file_format=True)
    theirs = masks_by_plastimatch(peer("plastimatch"), path, folder, tmp_path / "masks")
    assert set(theirs) == set(rois)
    for number, name in enumerate(rois):
        ours, _ = mask_of([], number, rois)
        assert np.array_equal(ours, theirs[name]), name


def no_frame_of_reference(made: Dataset) -> None:
    made.ReferencedFrameOfReferenceSequence = []
    for roi in made.StructureSetROISequence:
        del roi.ReferencedFrameOfReferenceUID


def other_frame_of_reference(made: Dataset) -> None:
    for roi in made.StructureSetROISequence:
        roi.ReferencedFrameOfReferenceUID = "1.2.3.4"


def other_image(made: Dataset) -> None:
    contours = made.ROIContourSequence[0].ContourSequence
    contours[0].ContourImageSequence, contours[1].ContourImageSequence = (
        contours[1].ContourImageSequence,
        contours[0].ContourImageSequence,
    )


def image_of_another_series(made: Dataset) -> None:
    made.ROIContourSequence[0].ContourSequence[0].ContourImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def points_lost(made: Dataset) -> None:
    contour = made.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = contour.ContourData[:-3]


def half_a_point(made: Dataset) -> None:
    contour = made.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = contour.ContourData[:-1]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (no_frame_of_reference, CaseCode.OTHER_FRAME_OF_REFERENCE),
        (other_frame_of_reference, CaseCode.OTHER_FRAME_OF_REFERENCE),
        (other_image, CaseCode.CONTOURS_OFF_SLICES),
        (image_of_another_series, CaseCode.CONTOURS_OFF_SLICES),
        (points_lost, CaseCode.UNREADABLE_MASK),
        (half_a_point, CaseCode.UNREADABLE_MASK),
    ],
)
def test_structure_sets_that_contradict_themselves_are_refused(
    change: Callable[[Dataset], None], code: CaseCode, mask_of: MaskOf
) -> None:
    with pytest.raises(CaseRefused) as refused:
        mask_of(tube(range(1, 5), 15, 16, 6), change=change)
    assert refused.value.code is code


@pytest.mark.parametrize("kind", ["POINT", "OPEN_PLANAR", "OPEN_NONPLANAR", ""])
def test_contours_that_enclose_nothing_are_refused(kind: str, mask_of: MaskOf) -> None:
    with pytest.raises(CaseRefused) as refused:
        mask_of(tube(range(1, 5), 15, 16, 6), kind=kind)
    assert refused.value.code is CaseCode.OPEN_CONTOUR


def test_stray_click_is_left_out_with_a_note(mask_of: MaskOf) -> None:
    contours = tube(range(1, 5), 15, 16, 6)
    mask, notes = mask_of([*contours, (3, np.array([[2.0, 2.0]]))])
    assert np.array_equal(mask, mask_of(contours)[0])
    assert notes == ("contour_of_points",)


def test_contour_that_leaves_the_image_is_cut_with_a_note(mask_of: MaskOf) -> None:
    mask, notes = mask_of(tube(range(1, 5), 0, 16, 6))
    assert mask[1, 0, 16]
    assert notes == ("contour_cut",)


def test_contours_between_the_slices_are_refused(mask_of: MaskOf) -> None:
    with pytest.raises(CaseRefused, match="contours_off_slices"):
        mask_of([(0.5, circle(15, 16, 6))])


def test_structures_tell_what_is_drawn_and_by_whom(
    made_series: tuple[Path, list[Dataset], Volume], tmp_path: Path
) -> None:
    _, headers, volume = made_series
    made = make_structure_set(volume, headers[0], {"Liver": tube((1, 2), 15, 16, 6), "Spleen": []})
    made.save_as(tmp_path / "rs.dcm", enforce_file_format=True)
    (annotation,) = find_annotations(tmp_path)
    assert [(s.name, s.is_drawn, s.generation) for s in annotation.structures] == [
        ("Liver", True, "MANUAL"),
        ("Spleen", False, "MANUAL"),
    ]
    assert annotation.series_uids == volume.series_uids
    assert annotation.kind == "dicom_rtstruct"
