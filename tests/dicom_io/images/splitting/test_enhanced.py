"""Multi-frame images of several volumes: by functional groups and dimension indices, down to the voxels."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from core.model_config import SeriesRule, VolumeRule
from dicom_io.images.selection.selection import select_series
from dicom_io.images.volume import VolumeReader
from phantom.series import save_series
from tests.support.series_helpers import config, one_study, rejection_of, run
from tests.support.several_volumes import multi_frame, names_of

ECHOES = tuple({"MREchoSequence": {"EffectiveEchoTime": time}} for time in (2.3, 4.6))
KINDS = {
    "echo times": (ECHOES, ["echo time 2.3 ms", "echo time 4.6 ms"]),
    "times": (
        tuple({"FrameContentSequence": {"TemporalPositionIndex": n}} for n in (1, 2, 3)),
        ["time 1", "time 2", "time 3"],
    ),
    "b-values": (
        tuple({"MRDiffusionSequence": {"DiffusionBValue": b}} for b in (0.0, 800.0)),
        ["b-value 0 s/mm²", "b-value 800 s/mm²"],
    ),
    "frame types": (
        tuple(
            {"MRImageFrameTypeSequence": {"FrameType": ["DERIVED", "PRIMARY", "DIXON", kind]}}
            for kind in ("WATER", "FAT")
        ),
        ["image type WATER", "image type FAT"],
    ),
    "components": (
        tuple(
            {
                "MRImageFrameTypeSequence": {
                    "FrameType": ["ORIGINAL", "PRIMARY", "ANGIO", "NONE"],
                    "ComplexImageComponent": kind,
                }
            }
            for kind in ("MAGNITUDE", "PHASE")
        ),
        ["component MAGNITUDE", "component PHASE"],
    ),
    "cardiac phases": (
        tuple({"CardiacSynchronizationSequence": {"NominalCardiacTriggerDelayTime": t}} for t in (10.0, 60.0)),
        ["trigger time 10 ms", "trigger time 60 ms"],
    ),
    "stacks": (
        tuple({"FrameContentSequence": {"StackID": name}} for name in ("A", "B")),
        ["stack A", "stack B"],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_frames_come_apart_by_their_functional_groups(kind: str) -> None:
    groups, names = KINDS[kind]
    assert names_of([multi_frame(*groups)]) == names


def test_frames_come_apart_by_two_attributes() -> None:
    both = [echo | {"FrameContentSequence": {"TemporalPositionIndex": time}} for time in (1, 2) for echo in ECHOES]
    assert names_of([multi_frame(*both)]) == [
        f"time {time}, echo time {echo} ms" for time in (1, 2) for echo in (2.3, 4.6)
    ]


def test_frames_come_apart_by_a_dimension_that_nothing_else_reads() -> None:
    """By (0018,9073) Acquisition Duration, say, whose value no other attribute reads."""
    assert names_of([multi_frame({}, {}, dimension=0x00189073)]) == [
        "dimension AcquisitionDuration=1",
        "dimension AcquisitionDuration=2",
    ]


def test_frames_of_which_nothing_tells_stay_together() -> None:
    assert names_of([multi_frame({}, {})]) == [""]


def saved(image: Dataset, folder: Path) -> Path:
    save_series([image], folder)
    return folder


@pytest.mark.parametrize("number", [0, 1])
def test_each_volume_has_its_own_voxels(number: int, tmp_path: Path) -> None:
    rule = SeriesRule(modality=("MR",), volume=VolumeRule(echo_time=(2.3, 4.6)[number]))
    volume, _ = run(saved(multi_frame(*ECHOES), tmp_path), config(rule))
    assert (volume.array == number).all()
    assert volume.frame_numbers == tuple(range(1 + number, 2 * volume.geometry.shape[0] + 1, 2))


def test_two_channels_take_two_volumes_of_one_image(tmp_path: Path) -> None:
    rules = [SeriesRule(modality=("MR",), volume=VolumeRule(echo_time=time)) for time in (4.6, 2.3)]
    volume, selection = run(saved(multi_frame(*ECHOES), tmp_path), config(*rules))
    assert [np.unique(channel).tolist() for channel in volume.array] == [[1], [0]]
    assert volume.volume_names == ("echo time 4.6 ms", "echo time 2.3 ms")
    assert [d.channel for d in selection.decisions] == ["c1", "c0"]


def test_channels_that_name_one_volume_do_not_share_it(tmp_path: Path) -> None:
    rules = [SeriesRule(modality=("MR",), volume=VolumeRule(echo_time=2.3))] * 2
    assert rejection_of(saved(multi_frame(*ECHOES), tmp_path), config(*rules)).code == "no_matching_series"


def test_an_image_is_read_once_for_each_volume_of_it(tmp_path: Path) -> None:
    study = one_study(saved(multi_frame(*ECHOES), tmp_path))
    reader = VolumeReader()
    for time in (2.3, 4.6, 2.3):
        model = config(SeriesRule(modality=("MR",), volume=VolumeRule(echo_time=time)))
        reader.read(study, model, select_series(study, model))
    assert reader.reads == 2


def test_a_map_among_the_frames_is_no_map_of_the_others(tmp_path: Path) -> None:
    kinds = [
        {"MRImageFrameTypeSequence": {"FrameType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"]}},
        {"MRImageFrameTypeSequence": {"FrameType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}},
    ]
    image = multi_frame(*kinds)
    image.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"]
    volume, selection = run(saved(image, tmp_path), config(SeriesRule(modality=("MR",))))
    assert (volume.array == 0).all()
    assert [d.decision for d in selection.decisions] == ["taken", "left"]
