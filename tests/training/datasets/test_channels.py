"""Several channels of a study, chosen by the rules of ``model.yaml``, with a mask on one of them."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import CaseRefused
from core.image_files.reader import read_array
from core.label_map import LabelMap
from core.model_config import Channel, LabelSpec, SeriesRule, VolumeRule
from core.volume import Volume
from dicom_io.results.seg.build import build_seg, write_seg
from phantom.anatomy import make_phantom
from phantom.series import make_series, save_series, write_series
from phantom.tags import Encoding, SeriesTags
from tests.support.data_sources import GRID, SHAPE, canary
from tests.support.seg_cases import context, read_case
from tests.support.structure_sets import make_structure_set, tube
from training.datasets.case import Request
from training.datasets.register import register
from training.datasets.table import LabelTable, TableLabel

PHASES = ("arterial", "portal", "delayed")


def channel(phase: str) -> Channel:
    return Channel(name=phase, unit="HU", series=SeriesRule(modality=("CT",), phase=(phase,)))  # type: ignore[arg-type]


def write_study(folder: Path, masked: str) -> None:
    """Three phases on one grid, and a SEG of one of them."""
    for number, phase in enumerate(PHASES, 1):
        made = make_phantom(GRID, modality="CT", phase=phase[0].upper(), seed=4)  # type: ignore[arg-type]
        write_series(made, folder / phase, study=canary(4), series=SeriesTags(number=number))
    case = read_case(folder / masked)
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:5, 5:15, 6:14] = 1
    labels = (LabelSpec(value=1, name="Kidney"),)
    seg = build_seg(LabelMap(mask, case.volume.geometry, labels), case.volume, case.sources, context(labels))
    write_seg(seg, folder / "seg.dcm")


@pytest.mark.parametrize("masked", ["arterial", "portal"])
def test_channels_are_chosen_by_their_phases(masked: str, tmp_path: Path) -> None:
    write_study(tmp_path / "in", masked)
    table = LabelTable(
        channels=(channel("arterial"), channel("portal")),
        labels=(TableLabel(value=1, name="kidney", names=("Kidney",)),),
    )
    done = register("PHASES", [tmp_path / "in"], tmp_path / "out", Request(table))
    (case,) = done.lock.cases.values()
    assert [found.series is not None and found.series.phase for found in done.lock.channels] == [
        ("arterial",),
        ("portal",),
    ]
    assert len(case.images) == 2
    assert case.images[0].content != case.images[1].content
    assert case.voxels == {"kidney": 3 * 10 * 8}


def test_mask_of_a_phase_that_feeds_no_channel_is_refused(tmp_path: Path) -> None:
    write_study(tmp_path / "in", "delayed")
    write_study(tmp_path / "in" / "other", "arterial")
    table = LabelTable(channels=(channel("arterial"),), labels=(TableLabel(value=1, name="kidney", names=("Kidney",)),))
    for path in (tmp_path / "in" / "other").glob("*/*"):
        path.unlink()
    (tmp_path / "in" / "other" / "seg.dcm").rename(tmp_path / "in" / "seg2.dcm")
    done = register("PHASES", [tmp_path / "in"], tmp_path / "out", Request(table))
    assert [one.code for one in done.lock.refused] == ["no_matching_series"]
    assert len(done.lock.cases) == 1


def two_echoes(folder: Path) -> list[Volume]:
    """Write one series of two echoes, and return the volume of each."""
    volumes = []
    for number, seconds in ((1, 4.0), (2, 90.0)):
        made = make_phantom(GRID, modality="MR", seed=number)
        headers = make_series(made, study=canary(9), series=SeriesTags(number=number), encoding=Encoding())
        for header in headers:
            header.SeriesInstanceUID, header.EchoTime, header.EchoNumbers = "1.2.3", seconds, number
        save_series(headers, folder / f"echo{number}")
        volumes.append(read_case(folder / f"echo{number}").volume)
    return volumes


@pytest.mark.parametrize("drawn_on", [0, 1])
def test_mask_of_one_volume_of_a_series_is_taken_with_that_volume_alone(drawn_on: int, tmp_path: Path) -> None:
    volumes = two_echoes(tmp_path / "in")
    header = read_case(tmp_path / "in" / "echo1").sources[0].header
    made = make_structure_set(volumes[drawn_on], header, {"Kidney": tube(range(2, 5), 12, 14, 5)})
    made.save_as(tmp_path / "in" / "rs.dcm", enforce_file_format=True)
    rule = SeriesRule(modality=("MR",), volume=VolumeRule(echo=1))
    table = LabelTable(
        channels=(Channel(name="T2w", series=rule),), labels=(TableLabel(value=1, name="kidney", names=("Kidney",)),)
    )
    if drawn_on == 1:
        with pytest.raises(CaseRefused, match=r"no_matching_series|other_images"):
            register("ECHO", [tmp_path / "in"], tmp_path / "out", Request(table))
        return
    done = register("ECHO", [tmp_path / "in"], tmp_path / "out", Request(table))
    (case,) = done.lock.cases.values()
    array, _ = read_array(done.folder / done.lock.image_file(next(iter(done.lock.cases)), 0))
    assert np.array_equal(array, volumes[0].array[0])
    assert case.voxels["kidney"] > 0
