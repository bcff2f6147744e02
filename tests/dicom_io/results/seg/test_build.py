"""SEG objects: what is written, held against the sources, dciodvfy and dcmqi."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # its documentation's own name
from numpy.typing import NDArray

from core.backend import Backend
from core.errors import ReasonCode, StudyRejected
from core.model_config import Inference, LabelSpec, ProfileSettings
from core.run_options import RunOptions
from core.volume import Geometry
from dicom_io.results.seg import build as seg_module
from dicom_io.results.seg.build import SegContext, build_seg, verify_seg, write_seg
from tests.support.seg_cases import (
    LABELS,
    SHA256,
    Case,
    asymmetric_mask,
    context,
    decoded_by_dcmqi,
    label_map,
    made_case,
    read_case,
)

REAL = ("crlm-ct-1006", "sts-001-ct/dicom", "totalsegmentator/example_ct_dicom")
SAGITTAL = [[0, 0, 1], [1, 0, 0], [0, -1, 0]]
OBLIQUE = np.linalg.qr([[0.9, 0.2, 0.3], [-0.3, 0.8, 0.4], [0.1, -0.5, 0.8]])[0] * [[-1, -1, 1]]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return made_case(tmp_path_factory.mktemp("series"))


def saved(dataset: pydicom.Dataset, folder: Path) -> Path:
    path = folder / "result.seg.dcm"
    write_seg(dataset, path)
    return path


def errors(dciodvfy: str, path: Path) -> set[str]:
    done = subprocess.run([dciodvfy, str(path)], capture_output=True, text=True, check=False)  # noqa: S603 - a peer found by name
    lines = done.stderr.splitlines()
    # The validator names the kind of object last; a run that died says nothing, and that is not "no error".
    assert lines, f"dciodvfy ended with {done.returncode} and printed nothing"
    return {line for line in lines if line.startswith("Error")}


def as_image(array: NDArray[Any], grid: Geometry) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing[::-1])
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction.ravel().tolist())
    return image


def numbered(mask: NDArray[Any], labels: tuple[LabelSpec, ...] = LABELS) -> NDArray[np.uint8]:
    """Segment numbers that a mask must become: labels that occur, counted from 1 by ascending value."""
    present = [spec.value for spec in labels if (mask == spec.value).any()]
    return sum(np.where(mask == value, number, 0) for number, value in enumerate(present, 1)).astype(np.uint8)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("empty", [False, True])
def test_dciodvfy_finds_no_error_that_the_source_has_not(
    name: str, empty: bool, real_data: Callable[[str], Path], peer: Callable[[str], str], tmp_path: Path
) -> None:
    case = read_case(real_data(name))
    mask = asymmetric_mask(case.volume.geometry.shape) * (not empty)
    path = saved(build_seg(label_map(case, mask), case.volume, case.sources, context()), tmp_path)
    verify_seg(path, label_map(case, mask))
    dciodvfy = peer("dciodvfy")
    known = set().union(*(errors(dciodvfy, source.path) for source in case.sources[:1]))
    assert errors(dciodvfy, path) - known == set()


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("direction", [None, SAGITTAL, OBLIQUE], ids=["axial", "sagittal", "oblique"])
def test_dcmqi_decodes_the_same_voxels_on_the_same_grid(kind: str, direction: Any, tmp_path: Path) -> None:
    case = made_case(tmp_path / "series", direction)
    mask = asymmetric_mask(case.volume.geometry.shape)
    path = saved(build_seg(label_map(case), case.volume, case.sources, context(segmentation_type=kind)), tmp_path)
    theirs = decoded_by_dcmqi(path, tmp_path / "dcmqi")
    ours = as_image(numbered(mask), case.volume.geometry)
    # dcmqi cuts off the empty slices at both ends, so that both are compared where its voxels lie
    ours_there = sitk.Resample(ours, theirs, sitk.Transform(), sitk.sitkNearestNeighbor, 255)
    assert np.allclose(theirs.GetSpacing(), ours.GetSpacing(), atol=1e-5)
    assert np.allclose(theirs.GetDirection(), ours.GetDirection(), atol=1e-5)
    assert np.array_equal(sitk.GetArrayFromImage(theirs), sitk.GetArrayFromImage(ours_there))
    assert np.count_nonzero(sitk.GetArrayFromImage(theirs)) == np.count_nonzero(mask)


@pytest.mark.parametrize("name", REAL)
def test_dcmqi_decodes_a_mask_of_a_real_series(name: str, real_data: Callable[[str], Path], tmp_path: Path) -> None:
    case = read_case(real_data(name))
    mask = (case.volume.array[0] > 150).astype(np.uint8)
    mask[mask.shape[0] // 2 :, :, : mask.shape[2] // 3] *= 2
    path = saved(build_seg(label_map(case, mask), case.volume, case.sources, context()), tmp_path)
    theirs = decoded_by_dcmqi(path, tmp_path / "dcmqi")
    ours = sitk.Resample(as_image(mask, case.volume.geometry), theirs, sitk.Transform(), sitk.sitkNearestNeighbor, 255)
    assert np.array_equal(sitk.GetArrayFromImage(theirs), sitk.GetArrayFromImage(ours))
    assert np.count_nonzero(sitk.GetArrayFromImage(theirs)) == np.count_nonzero(mask)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
def test_every_frame_names_the_source_image_at_its_own_position(kind: str, enhanced: bool, tmp_path: Path) -> None:
    case = made_case(tmp_path, OBLIQUE, enhanced=enhanced)
    seg = build_seg(label_map(case), case.volume, case.sources, context(segmentation_type=kind))
    headers = {str(source.header.SOPInstanceUID): source.header for source in case.sources}
    for group in seg.PerFrameFunctionalGroupsSequence:
        (image,) = group.DerivationImageSequence[0].SourceImageSequence
        header = headers[image.ReferencedSOPInstanceUID]
        assert image.ReferencedSOPClassUID == header.SOPClassUID
        assert image.SpatialLocationsPreserved == "YES"
        place = header
        if enhanced:
            frame = header.PerFrameFunctionalGroupsSequence[image.ReferencedFrameNumber - 1]
            place = frame.PlanePositionSequence[0]
        else:
            assert "ReferencedFrameNumber" not in image
        position = group.PlanePositionSequence[0].ImagePositionPatient
        assert [float(v) for v in position] == [float(v) for v in place.ImagePositionPatient]
    assert seg.FrameOfReferenceUID == case.volume.frame_of_reference_uid
    (series,) = seg.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == case.volume.series_uids[0]
    assert {i.ReferencedSOPInstanceUID for i in series.ReferencedInstanceSequence} == set(headers)
    assert len(series.ReferencedInstanceSequence) == len(headers)
    path = saved(seg, tmp_path)
    verify_seg(path, label_map(case))


def test_segments_carry_codes_colours_and_the_algorithm(case: Case) -> None:
    seg = build_seg(label_map(case), case.volume, case.sources, context())
    assert [(s.SegmentNumber, s.SegmentLabel) for s in seg.SegmentSequence] == [
        (1, "liver"),
        (2, "spleen"),
        (3, "right kidney"),
    ], "numbers without gaps, labels without voxels left out"
    kidney = seg.SegmentSequence[2]
    assert kidney.SegmentedPropertyTypeCodeSequence[0].CodeValue == "64033007"
    assert (
        kidney.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == "24028007"
    )
    lightness, a, b = kidney.RecommendedDisplayCIELabValue  # yellow: light, neither red nor green, far from blue
    assert lightness > 0.8 * 65535
    assert abs(a - 32896) < 3000
    assert b > 45000
    (algorithm,) = kidney.SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmName == "organs"
    assert algorithm.AlgorithmVersion == "2026.1"
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert SHA256 in algorithm.AlgorithmParameters
    assert kidney.SegmentAlgorithmType == "AUTOMATIC"
    ours = [e for e in seg.ContributingEquipmentSequence if e.ManufacturerModelName == "organs"]
    assert [(e.Manufacturer, list(e.SoftwareVersions)) for e in ours] == [("segnode", ["2026.1", "segnode 0.1.0"])]
    assert seg.Manufacturer == "segnode"
    assert seg.SoftwareVersions == "0.1.0"
    assert len({s.TrackingUID for s in seg.SegmentSequence}) == 3


def test_series_number_and_description_follow_the_settings(case: Case) -> None:
    plain = build_seg(label_map(case), case.volume, case.sources, context())
    assert (plain.SeriesNumber, plain.SeriesDescription) == (9003, "organs")
    output = {"series_number": 77, "series_description": "Organs, not for clinical use"}
    seg = build_seg(label_map(case), case.volume, case.sources, context(**output))
    assert (seg.SeriesNumber, seg.SeriesDescription) == (77, "Organs, not for clinical use")


def in_fast(found: SegContext, **settings: Any) -> SegContext:
    """The same work in profile fast."""
    inference = Inference(profile="fast", fast=ProfileSettings(**settings))
    return replace(found, config=found.config.model_copy(update={"inference": inference}))


def test_the_profile_is_told_and_makes_another_object(case: Case) -> None:
    plain = context(series_description="x" * 62)
    exact, fast, faster = (
        build_seg(label_map(case), case.volume, case.sources, one)
        for one in (plain, in_fast(plain), in_fast(plain, step_size=1.0, finest_useful_spacing=1.5))
    )
    assert len({seg.SOPInstanceUID for seg in (exact, fast, faster)}) == 3
    told = []
    for seg in (exact, fast, faster):
        (algorithm,) = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
        told.append(algorithm.AlgorithmParameters)
    assert "profile=exact" in told[0]
    assert "crop_to_body" not in told[0]
    assert "profile=fast" in told[1]
    assert "step_size=0.8" in told[1]
    assert "step_size=1" in told[2]
    assert "finest_useful_spacing=1.5 mm" in told[2]
    assert [seg.SeriesDescription for seg in (exact, fast)] == ["x" * 62, "x" * 57 + " (fast)"]
    ours = [e for e in fast.ContributingEquipmentSequence if e.ManufacturerModelName == "organs"]
    assert ours[0].ContributionDescription.endswith("profile fast")


def test_the_backend_is_told_and_its_version_makes_another_object(case: Case) -> None:
    backend = Backend("openvino", "2026.4.1", "float32")
    before = build_seg(label_map(case), case.volume, case.sources, replace(context(), backend=backend))
    assert before.SOPInstanceUID == build_seg(label_map(case), case.volume, case.sources, context()).SOPInstanceUID
    other = replace(context(), backend=backend, options=RunOptions(profile="equal", backend=backend))
    seg = build_seg(label_map(case), case.volume, case.sources, other)
    (algorithm,) = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    assert "backend=openvino 2026.4.1 float32" in algorithm.AlgorithmParameters
    assert "profile=equal" in algorithm.AlgorithmParameters
    assert seg.SeriesDescription == "organs (equal)"
    assert seg.SOPInstanceUID != before.SOPInstanceUID


def test_an_empty_result_is_a_legal_object_with_every_label(case: Case, tmp_path: Path) -> None:
    empty = label_map(case, np.zeros(case.volume.geometry.shape, np.uint8))
    for kind, frames in (("BINARY", len(LABELS)), ("LABELMAP", case.volume.geometry.shape[0])):
        seg = build_seg(empty, case.volume, case.sources, context(segmentation_type=kind))
        path = saved(seg, tmp_path)
        verify_seg(path, empty)
        assert seg.NumberOfFrames == frames
        labels = [s.SegmentLabel for s in seg.SegmentSequence if s.SegmentNumber > 0]
        assert labels == [spec.name for spec in LABELS]
        assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == len(case.sources)


def test_a_labelmap_marks_its_background_and_holds_every_slice(case: Case) -> None:
    seg = build_seg(label_map(case), case.volume, case.sources, context(segmentation_type="LABELMAP"))
    assert seg.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert seg.PixelPaddingValue == 0
    assert seg.NumberOfFrames == case.volume.geometry.shape[0]
    assert seg.file_meta.TransferSyntaxUID.name == "RLE Lossless"


def test_more_than_255_segments(case: Case, tmp_path: Path) -> None:
    labels = tuple(LabelSpec(value=v + 40, name=f"label {v}") for v in range(1, 301))
    mask = np.zeros(case.volume.geometry.shape, np.uint16)
    mask[3].ravel()[:900] = np.repeat([spec.value for spec in labels], 3)
    mask[4, 5, 6] = 340
    for kind in ("BINARY", "LABELMAP"):
        given = label_map(case, mask, labels)
        seg = build_seg(given, case.volume, case.sources, context(labels, segmentation_type=kind))
        verify_seg(saved(seg, tmp_path), given)


def test_uids_are_stable_and_change_with_each_of_their_sources(case: Case, tmp_path: Path) -> None:
    def uids(in_case: Case = case, **changes: Any) -> tuple[str, str, str]:
        seg = build_seg(label_map(in_case), in_case.volume, in_case.sources, context(**changes))
        return seg.SeriesInstanceUID, seg.SOPInstanceUID, seg.DimensionOrganizationSequence[0].DimensionOrganizationUID

    other = made_case(tmp_path, enhanced=True)
    first = uids()
    assert first == uids()
    found = [
        first,
        uids(other),
        uids(sha256="cd" * 32),
        uids(version="0.1.1"),
        uids(revision=1),
        uids(name="organs-2"),
        uids(series_number=12),
        uids(segmentation_type="LABELMAP"),
        uids(labels=(*LABELS, LabelSpec(value=9, name="one more"))),
    ]
    everything = {uid for three in found for uid in three}
    assert len(everything) == 3 * len(found)
    assert all(pydicom.uid.UID(uid).is_valid and uid.startswith("2.25.") for uid in everything)


def test_instances_of_other_channels_are_referenced(case: Case, tmp_path: Path) -> None:
    second = made_case(tmp_path, modality="MR")
    seg = build_seg(label_map(case), case.volume, (*second.sources, *case.sources), context())
    found = [str(series.SeriesInstanceUID) for series in seg.ReferencedSeriesSequence]
    assert found == [case.volume.series_uids[0], second.volume.series_uids[0]]


def test_parts_that_do_not_fit_together_are_a_programming_error(case: Case, tmp_path: Path) -> None:
    other = made_case(tmp_path, spacing=(4.0, 1.7, 1.4))
    with pytest.raises(ValueError, match="not on the volume's grid"):
        build_seg(label_map(other), case.volume, case.sources, context())
    with pytest.raises(ValueError, match="not among the sources"):
        build_seg(label_map(case), case.volume, case.sources[:-1], context())
    turned = Case(
        type(case.volume)(
            case.volume.array,
            case.volume.geometry,
            case.volume.sop_instance_uids[::-1],
            case.volume.frame_numbers,
            case.volume.series_uids,
            case.volume.frame_of_reference_uid,
        ),
        case.sources,
    )
    with pytest.raises(ValueError, match="another position"):
        build_seg(label_map(turned), turned.volume, turned.sources, context())
    strange = np.full(case.volume.geometry.shape, 3, np.uint8)
    with pytest.raises(ValueError, match="without a label"):
        build_seg(label_map(case, strange), case.volume, case.sources, context())


def test_an_object_too_large_for_one_file_says_what_to_do(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seg_module, "LARGEST_PIXEL_DATA", 1000)
    with pytest.raises(StudyRejected, match="LABELMAP") as caught:
        build_seg(label_map(case), case.volume, case.sources, context())
    assert caught.value.code is ReasonCode.SEG_TOO_LARGE


def test_the_name_appears_only_with_the_whole_object(case: Case, tmp_path: Path) -> None:
    path = saved(build_seg(label_map(case), case.volume, case.sources, context()), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_cosines_of_three_digits_and_small_drifts_pass_the_check(tmp_path: Path) -> None:
    """A grid that ``dicom_io.images.grid.geometry`` accepts is written as the source has it, and read back equal."""
    phantom_case = made_case(tmp_path / "exact", OBLIQUE)
    for number, source in enumerate(phantom_case.sources):
        dataset = pydicom.dcmread(source.path)
        dataset.ImageOrientationPatient = [round(float(v), 3) for v in dataset.ImageOrientationPatient]
        x, y, z = (float(v) for v in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [round(x + 0.02 * (number % 2), 2), round(y, 2), round(z, 2)]
        dataset.save_as(source.path)
    case = read_case(tmp_path / "exact")
    path = saved(build_seg(label_map(case), case.volume, case.sources, context()), tmp_path)
    verify_seg(path, label_map(case))
    seg = pydicom.dcmread(path)
    orientation = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    assert orientation == case.sources[0].header.ImageOrientationPatient


def test_lossy_sources_are_named_as_such(tmp_path: Path, peer: Callable[[str], str]) -> None:
    lossless = made_case(tmp_path / "series")
    for source in lossless.sources:
        dataset = pydicom.dcmread(source.path)
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionRatio = 12.5
        dataset.LossyImageCompressionMethod = "ISO_15444_1"
        dataset.save_as(source.path)
    case = read_case(tmp_path / "series")
    path = saved(build_seg(label_map(case), case.volume, case.sources, context()), tmp_path)
    seg = pydicom.dcmread(path)
    assert (seg.LossyImageCompression, seg.LossyImageCompressionRatio) == ("01", 12.5)
    assert errors(peer("dciodvfy"), path) == set()
