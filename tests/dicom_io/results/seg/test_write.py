"""Elements encoded by hand for speed, compared with those that pydicom writes of the same object."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from core.label_map import LabelMap
from dicom_io.results.seg.build import build_seg, write_seg
from tests.support.seg_cases import LABELS, context, made_case


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_the_file_is_the_one_that_pydicom_writes(kind: str, enhanced: bool, tmp_path: Path) -> None:
    case = made_case(tmp_path, enhanced=enhanced)
    array = np.random.default_rng(0).choice(np.array([0, 1, 2, 4], np.uint8), case.volume.geometry.shape)
    array[3:5] = 0
    seg = build_seg(
        LabelMap(array, case.volume.geometry, LABELS), case.volume, case.sources, context(segmentation_type=kind)
    )
    write_seg(seg, tmp_path / "x.seg.dcm")
    # Read as objects, so that every element is decoded, and encoded again by pydicom alone.
    read = pydicom.dcmread(tmp_path / "x.seg.dcm")
    for group in read.PerFrameFunctionalGroupsSequence:
        assert [element.keyword for element in group] == [
            "DerivationImageSequence",
            "FrameContentSequence",
            "PlanePositionSequence",
            *(["SegmentIdentificationSequence"] if kind == "BINARY" else []),
        ]
    expected = io.BytesIO()
    seg.save_as(expected, enforce_file_format=True)
    assert (tmp_path / "x.seg.dcm").read_bytes() == expected.getvalue()
    assert not seg.get_item("PerFrameFunctionalGroupsSequence").is_raw  # pydicom decoded it on its way


def test_an_element_behind_the_frames_is_refused(tmp_path: Path) -> None:
    case = made_case(tmp_path)
    seg: Dataset = build_seg(
        LabelMap(np.ones(case.volume.geometry.shape, np.uint8), case.volume.geometry, LABELS),
        case.volume,
        case.sources,
        context(),
    )
    seg.add_new(0x7FE00001, "OV", b"\0" * 8)
    with pytest.raises(ValueError, match="comes after the frames"):
        write_seg(seg, tmp_path / "x.seg.dcm")
    assert not (tmp_path / "x.seg.dcm").exists()
