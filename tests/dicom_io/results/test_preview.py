"""The overlay picture: what is written on it, that it covers no anatomy, and what never stands on it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from core.label_map import LabelMap
from core.volume import Volume
from dicom_io.results import preview
from dicom_io.results.preview import Caption, caption_of, write_overlay
from dicom_io.results.views import LONGEST_SIDE, draw_views
from tests.support.picture_scene import scene

CAPTION = Caption("organs, version 2026.1", "CT series 4 of 2020-01-31")


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("empty", [False, True])
def test_contrast_and_legend(modality: str, empty: bool, tmp_path: Path) -> None:
    volume, labels = scene(np.eye(3))
    array = volume.array if modality == "CT" else volume.array.clip(0) * 30
    volume = Volume(array, volume.geometry, volume.sop_instance_uids, volume.frame_numbers, ("1.3",), "1.4")
    if empty:
        labels = LabelMap(labels.array * 0, labels.geometry, labels.labels)
    write_overlay(tmp_path / "x.png", volume, labels, CAPTION, "HU" if modality == "CT" else None)
    image = Image.open(tmp_path / "x.png")
    assert image.mode == "RGB"
    assert not image.info, "no text rides along in the file"
    assert np.array(image)[150:500, 60:560].std() > 10
    legend = np.array(image)[150 + LONGEST_SIDE :]
    shown = [(legend == spec.colour).all(axis=-1).sum() > 100 for spec in labels.labels]
    assert shown == [not empty] * 4


def test_no_text_covers_the_anatomy(tmp_path: Path) -> None:
    volume, labels = scene(np.eye(3))
    write_overlay(tmp_path / "x.png", volume, labels, CAPTION, "HU")
    whole = np.asarray(Image.open(tmp_path / "x.png"))
    for view in draw_views(volume, labels, labels.labels, "HU").rows[0].views:
        picture = np.asarray(view.picture)
        height, width = picture.shape[:2]
        places = [
            (top, left)
            for top in range(whole.shape[0] - height + 1)
            for left in np.flatnonzero((whole[top, : whole.shape[1] - width + 1] == picture[0, 0]).all(axis=-1))
            if (whole[top, left : left + width] == picture[0]).all()
        ]
        assert any((whole[y : y + height, x : x + width] == picture).all() for y, x in places), view.position


def test_labels_that_were_not_found_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    draw_text = preview.ImageDraw.ImageDraw.text

    def note(draw: object, place: object, words: str, **style: object) -> None:
        written.append(words)
        draw_text(draw, place, words, **style)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(preview.ImageDraw.ImageDraw, "text", note)
    volume, labels = scene(np.eye(3))
    array = np.where(labels.array > 2, 0, labels.array).astype(np.uint8)
    write_overlay(tmp_path / "x.png", volume, LabelMap(array, labels.geometry, labels.labels), CAPTION, "HU")
    assert "Not found: back, head" in written
    volume_ml = (array == 2).sum() * 5.0 * 1.5 * 2.5 / 1000
    assert f"left  {volume_ml:.1f} ml" in written
    for expected in (CAPTION.model, CAPTION.series, "Soft tissue: W 400 L 40 HU", "20 mm"):
        assert expected in written
    assert written.count("R") == written.count("L") == 2
    assert sum(line.startswith(("axial, z = ", "coronal, y = ", "sagittal, x = ")) for line in written) == 3

    written.clear()
    write_overlay(tmp_path / "x.png", volume, LabelMap(array * 0, labels.geometry, labels.labels), CAPTION, "HU")
    assert {"Nothing was found.", "Not found: middle, left, back, head"} <= set(written)


def test_many_labels_that_were_not_found_are_broken_into_lines() -> None:
    names = ", ".join(f"label_number_{k}" for k in range(100))
    lines = preview._wrap(names, 800)
    assert " ".join(lines) == names
    assert len(lines) > 5
    assert all(preview._font(14).getlength(line) <= 800 for line in lines)


def header(**values: object) -> Dataset:
    made = Dataset()
    made.PatientName, made.PatientID, made.PatientBirthDate = "Doe^Jane", "4711", "19610203"
    made.SeriesDescription = made.ProtocolName = made.StudyDescription = "Doe Jane thorax"
    made.OperatorsName = made.ReferringPhysicianName = "House"
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def test_the_caption_names_series_date_and_model_and_nobody() -> None:
    first = header(Modality="CT", SeriesNumber=4, AcquisitionDate="20200131", StudyDate="20200130")
    caption = caption_of("organs, version 2", [first, header(Modality="CT", SeriesNumber=5)])
    assert caption.model == "organs, version 2"
    assert caption.series.startswith("CT series 4, 5 (the first is shown) of 2020-01-31, segmented ")
    assert not any(word in caption.series for word in ("Doe", "4711", "1961", "thorax", "House"))


@pytest.mark.parametrize("date", ["", "2020", "Doe", "20201301"])
def test_a_caption_without_number_or_date_says_so(date: str) -> None:
    series = caption_of("organs", [header(Modality="Doe", AcquisitionDate=date)]).series
    assert series.startswith("image series without number of unknown date, ")
