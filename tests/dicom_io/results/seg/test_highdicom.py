"""highdicom's own reader, which its users call, finds every mask at its image."""

from pathlib import Path

import highdicom
import numpy as np
import pytest

from dicom_io.results.seg.build import build_seg, write_seg
from tests.support.seg_cases import asymmetric_mask, context, label_map, made_case

OBLIQUE = np.linalg.qr([[0.9, 0.2, 0.3], [-0.3, 0.8, 0.4], [0.1, -0.5, 0.8]])[0] * [[-1, -1, 1]]


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("direction", [None, OBLIQUE], ids=["axial", "oblique"])
def test_highdicom_finds_each_mask_at_its_image(kind: str, direction: object, tmp_path: Path) -> None:
    case = made_case(tmp_path / "series", direction)
    mask = asymmetric_mask(case.volume.geometry.shape)
    path = tmp_path / "result.seg.dcm"
    write_seg(build_seg(label_map(case), case.volume, case.sources, context(segmentation_type=kind)), path)
    seg = highdicom.seg.segread(path)
    named = {seg.get_segment_description(number).segment_label: number for number in seg.segment_numbers}
    assert set(named) >= {"liver", "spleen", "right kidney"}
    found = seg.get_pixels_by_source_instance(
        case.volume.sop_instance_uids, combine_segments=True, assert_missing_frames_are_empty=True
    )
    for value, label in ((1, "liver"), (2, "spleen"), (4, "right kidney")):
        assert np.array_equal(found == named[label], mask == value), label
    volume = seg.get_volume(combine_segments=True)
    assert np.allclose(volume.spacing, case.volume.geometry.spacing)
    assert np.count_nonzero(volume.array) == np.count_nonzero(mask)
