"""A SEG of one volume of a series that holds several: it names the volume, and has UIDs of its own."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from core.label_map import LabelMap
from core.model_config import SeriesRule, VolumeRule
from dicom_io.results.seg.build import build_seg, verify_seg, write_seg
from phantom.series import save_series
from tests.support.seg_cases import LABELS, context
from tests.support.series_helpers import config, run
from tests.support.several_volumes import multi_frame, stack

HEIGHTS = [4.0 * number for number in range(8)]
ECHOES = tuple({"MREchoSequence": {"EffectiveEchoTime": time}} for time in (2.3, 4.6))


@pytest.fixture(scope="module")
def enhanced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("enhanced")
    save_series([multi_frame(*ECHOES)], folder)
    return folder


@pytest.fixture(scope="module")
def classic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classic")
    made = [stack(n, HEIGHTS, EchoNumbers=n, EchoTime=2.3 * n) for n in (1, 2)]
    save_series([image for pair in zip(*made, strict=True) for image in pair], folder)
    return folder


def seg_of(folder: Path, *volumes: VolumeRule) -> Dataset:
    rules = [SeriesRule(modality=("MR",), volume=volume) for volume in volumes]
    volume, selection = run(folder, config(*rules))
    mask = np.zeros(volume.geometry.shape, np.uint8)
    mask[1:-1, 5:9, 4:8] = 1
    label_map = LabelMap(mask, volume.geometry, LABELS)
    sources = [instance for series in selection.channels for instance in series.instances]
    # the settings are the same for all, so that the choice alone makes the UIDs differ
    seg = build_seg(label_map, volume, sources, context())
    path = folder.parent / f"{folder.name}.seg.dcm"
    write_seg(seg, path)
    verify_seg(path, label_map)
    return seg


def test_it_names_the_volume(classic: Path) -> None:
    seg = seg_of(classic, VolumeRule(echo=2))
    assert seg.SeriesDescription == "organs, echo 2"
    ours = [e for e in seg.ContributingEquipmentSequence if e.ManufacturerModelName == "organs"]
    assert ours[0].ContributionDescription.endswith("profile exact, of echo 2")


def test_it_refers_to_the_images_of_its_volume_alone(classic: Path) -> None:
    seg = seg_of(classic, VolumeRule(echo=2))
    assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == len(HEIGHTS)


def test_it_refers_to_the_frames_of_its_volume_alone(enhanced: Path) -> None:
    seg = seg_of(enhanced, VolumeRule(echo_time=4.6))
    frames = [
        source.ReferencedFrameNumber
        for group in seg.PerFrameFunctionalGroupsSequence
        for source in group.DerivationImageSequence[0].SourceImageSequence
    ]
    assert frames
    assert all(frame % 2 == 0 for frame in frames)


def test_each_choice_has_uids_of_its_own(enhanced: Path) -> None:
    first, second = VolumeRule(echo_time=2.3), VolumeRule(echo_time=4.6)
    choices = [(first,), (second,), (first, second), (second, first)]
    uids = {str(seg_of(enhanced, *choice).SOPInstanceUID) for choice in choices}
    assert len(uids) == len(choices)
    assert str(seg_of(enhanced, first).SOPInstanceUID) in uids
