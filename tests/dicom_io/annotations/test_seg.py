"""SEG as masks: this project's, highdicom's and dcmqi's; on other grids they are refused."""

from collections.abc import Callable
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from core.errors import CaseCode, CaseRefused
from core.image_files.reader import read_array
from dicom_io.annotations.found import find_annotations, open_annotation
from dicom_io.images.study import read_studies
from dicom_io.images.volume import read_volume
from dicom_io.results.seg.build import build_seg, write_seg
from tests.support.seg_cases import Case, asymmetric_mask, context, label_map, made_case

SHAPE = (6, 20, 27)
Change = Callable[[Dataset], None]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return made_case(tmp_path_factory.mktemp("seg") / "ct", shape=SHAPE)


def masks_of(path: Path, case: Case) -> dict[str, NDArray[np.bool_]]:
    (annotation,) = find_annotations(path)
    return {
        s.name: open_annotation(annotation).mask(n, case.volume)[0]
        for n, s in enumerate(annotation.structures)
        if s.is_drawn
    }


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_own_seg_is_read_as_it_was_written(kind: str, case: Case, tmp_path: Path) -> None:
    seg = build_seg(label_map(case), case.volume, case.sources, context(segmentation_type=kind))
    write_seg(seg, tmp_path / "seg.dcm")
    found, mask = masks_of(tmp_path, case), asymmetric_mask(SHAPE)
    for value, name in ((1, "liver"), (2, "spleen"), (4, "right kidney")):
        assert np.array_equal(found[name], mask == value), name
    (annotation,) = find_annotations(tmp_path)
    assert annotation.series_uids == case.volume.series_uids


def by_highdicom(case: Case, masks: NDArray[np.generic], names: list[str], kind: str = "BINARY") -> Dataset:
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type="MANUAL",
        )
        for number, name in enumerate(names, 1)
    ]
    headers = {str(i.header.SOPInstanceUID): pydicom.dcmread(i.path) for i in case.sources}
    return highdicom.seg.Segmentation(
        source_images=[headers[uid] for uid in case.volume.sop_instance_uids],
        pixel_array=masks,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=highdicom.UID(),
        series_number=7,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="made",
        manufacturer_model_name="made",
        software_versions="1",
        device_serial_number="1",
        content_creator_name="Painter^Paul",
    )


def overlapping() -> NDArray[np.uint8]:
    masks = np.zeros((*SHAPE, 2), np.uint8)
    masks[1:5, 3:15, 4:20, 0] = 1
    masks[2:4, 6:9, 8:13, 1] = 1
    return masks


def test_overlapping_segments_of_highdicom_are_read_whole(case: Case, tmp_path: Path) -> None:
    masks = overlapping()
    by_highdicom(case, masks, ["Organ", "Lesion"]).save_as(tmp_path / "seg.dcm")
    found = masks_of(tmp_path, case)
    assert np.array_equal(found["Organ"], masks[..., 0] > 0)
    assert np.array_equal(found["Lesion"], masks[..., 1] > 0)


def test_segment_without_frames_is_not_drawn(case: Case, tmp_path: Path) -> None:
    masks = overlapping()
    masks[..., 1] = 0
    by_highdicom(case, masks, ["Organ", "Lesion"]).save_as(tmp_path / "seg.dcm")
    (annotation,) = find_annotations(tmp_path)
    assert [(s.name, s.is_drawn, s.generation) for s in annotation.structures] == [
        ("Organ", True, "MANUAL"),
        ("Lesion", False, "MANUAL"),
    ]


@pytest.mark.parametrize("name", ["23x38x3", "24x38x3"])
def test_dcmqis_seg_is_read_as_its_source_mask(name: str, real_data: Callable[[str], Path]) -> None:
    folder = real_data("dcmqi") / name
    (annotation,) = find_annotations(folder)
    series = {s.uid: s for study in read_studies(folder) for s in study.series}
    mask, _ = open_annotation(annotation).mask(0, read_volume(series[annotation.series_uids[0]]))
    truth, _ = read_array(folder / "nrrd" / "label.nrrd")
    assert np.array_equal(mask, truth > 0)


def moved(seg: Dataset) -> None:
    for frame in seg.PerFrameFunctionalGroupsSequence:
        frame.PlanePositionSequence[0].ImagePositionPatient[0] += 1.0


def between_slices(seg: Dataset) -> None:
    for frame in seg.PerFrameFunctionalGroupsSequence:
        frame.PlanePositionSequence[0].ImagePositionPatient[2] += 2.0


def other_spacing(seg: Dataset) -> None:
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [1.0, 1.0]


def turned(seg: Dataset) -> None:
    group = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    group.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]


def other_frame_of_reference(seg: Dataset) -> None:
    seg.FrameOfReferenceUID = "1.2.3"


def fractional(seg: Dataset) -> None:
    seg.SegmentationType = "FRACTIONAL"


def cut_short(seg: Dataset) -> None:
    seg.PixelData = seg.PixelData[:10]


def images_swapped(seg: Dataset) -> None:
    frames = seg.PerFrameFunctionalGroupsSequence
    first, last = frames[0].DerivationImageSequence, frames[-1].DerivationImageSequence
    frames[0].DerivationImageSequence, frames[-1].DerivationImageSequence = last, first


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (moved, CaseCode.MASK_GRID),
        (between_slices, CaseCode.MASK_GRID),
        (other_spacing, CaseCode.MASK_GRID),
        (turned, CaseCode.MASK_GRID),
        (images_swapped, CaseCode.MASK_GRID),
        (other_frame_of_reference, CaseCode.OTHER_FRAME_OF_REFERENCE),
        (fractional, CaseCode.FRACTIONAL_MASK),
        (cut_short, CaseCode.UNREADABLE_MASK),
    ],
)
def test_seg_that_does_not_lie_on_the_image_is_refused(
    change: Change, code: CaseCode, case: Case, tmp_path: Path
) -> None:
    seg = by_highdicom(case, overlapping(), ["Organ", "Lesion"])
    change(seg)
    seg.save_as(tmp_path / "seg.dcm")
    with pytest.raises(CaseRefused) as refused:
        masks_of(tmp_path, case)
    assert refused.value.code is code
