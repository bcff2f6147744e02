"""Values reach a model in the unit of its channel, or a person is told."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import ValidationError
from pydicom.dataset import Dataset

from core.errors import ReasonCode, StudyRejected
from core.model_config import Channel, ModelConfig, SeriesRule
from core.settled_json import settled_json
from core.study_warning import WarningCode
from dicom_io.images.selection.selection import select_series
from dicom_io.images.volume import SelectionRejectedError, VolumeReader, read_volume
from phantom.series import save_series
from tests.support.pet_headers import DOSE, F18, STORED, WEIGHT, Pet, write_pet_series
from tests.support.series_helpers import config, one_study, run
from tests.support.value_cases import changed, ct, mr


def pet_model(unit: str | None) -> ModelConfig:
    channel = Channel(name="PET", unit=unit, series=SeriesRule(modality=("PT",)))
    return config().model_copy(update={"channels": (channel,)})


def values(folder: Path, unit: str | None) -> np.ndarray:
    volume, _ = run(folder, pet_model(unit))
    return volume.array[0]


def test_each_model_gets_a_pet_in_its_unit_from_one_study(tmp_path: Path) -> None:
    write_pet_series(tmp_path, Pet(slopes=(0.5, 0.25, 2.0)))
    study, reader = one_study(tmp_path), VolumeReader()
    found = {}
    for unit in ("BQML", "SUVbw", None, "SUVbw"):
        model = pet_model(unit)
        volume, _ = reader.read(study, model, select_series(study, model))
        found[unit] = volume.array[0, :, 0, 0]
    assert reader.reads == 3
    activity = STORED * np.array([0.5, 0.25, 2.0])
    # Injected at 9:00, scanned at 10:00, decay corrected to the start of the scan: by hand.
    left = DOSE * 2 ** (-3600 / F18)
    assert_allclose(found["SUVbw"], activity * WEIGHT * 1000 / left, rtol=1e-6)
    assert_array_equal(found["BQML"], activity.astype(np.float32))
    assert_array_equal(found[None], activity.astype(np.float32))


def test_a_pet_without_a_way_to_the_unit_is_refused_for_that_model_alone(tmp_path: Path) -> None:
    write_pet_series(tmp_path, Pet(weight=0))
    study, reader = one_study(tmp_path), VolumeReader()
    wanted = pet_model("SUVbw")
    with pytest.raises(SelectionRejectedError) as caught:
        reader.read(study, wanted, select_series(study, wanted))
    assert caught.value.code is ReasonCode.NO_SUV
    other = pet_model("BQML")
    volume, _ = reader.read(study, other, select_series(study, other))
    assert volume.array[0, 0, 0, 0] == STORED * 0.5


def test_an_old_pet_channel_gets_what_is_stored(tmp_path: Path) -> None:
    write_pet_series(tmp_path)
    assert values(tmp_path, None)[0, 0, 0] == STORED * 0.5


@pytest.mark.parametrize(
    ("modality", "unit"), [("PT", "HU"), ("PT", "SUV"), ("PT", "suvbw"), ("CT", "SUVbw"), ("MR", "BQML")]
)
def test_a_unit_of_another_modality_is_refused_in_model_yaml(modality: str, unit: str) -> None:
    with pytest.raises(ValidationError, match="unit of PET"):
        Channel(name="image", unit=unit, series=SeriesRule(modality=(modality,)))


def test_units_at_their_default_change_no_identity() -> None:
    written = settled_json(config())
    assert "unit" not in written
    assert "energy_kev" not in written
    assert '"unit":"SUVbw"' in settled_json(pet_model("SUVbw"))


def codes(folder: Path, series: list[Dataset]) -> list[WarningCode]:
    save_series(series, folder)
    (found,) = one_study(folder).series
    return [warning.code for warning in read_volume(found).warnings]


def with_air(series: list[Dataset], **rescale: str) -> list[Dataset]:
    """Surround a disc of tissue with air: stored values near 24 outside, with a scanner's noise, 1060 inside."""
    noise = np.random.default_rng(5)
    for dataset in series:
        rows, columns = 64, 64
        y, x = np.ogrid[:rows, :columns]
        body = np.hypot(y - 31.5, x - 31.5) < 20
        dataset.Rows, dataset.Columns, dataset.PixelRepresentation = rows, columns, 0
        dataset.PixelData = np.where(body, 1060, noise.integers(14, 35, (rows, columns))).astype("<u2").tobytes()
        changed([dataset], **rescale)
    return series


def test_air_that_is_not_near_minus_1000_is_a_warning(tmp_path: Path) -> None:
    assert codes(tmp_path / "right", with_air(ct())) == []
    assert codes(tmp_path / "us", with_air(ct(RescaleType="US"))) == [WarningCode.UNIT_UNSPECIFIED]
    lost = with_air(ct(), RescaleIntercept="0")
    assert codes(tmp_path / "lost", lost) == [WarningCode.UNIT_IMPLAUSIBLE]
    assert (
        "lowest tenth of the values is at or below"
        in read_volume(one_study(tmp_path / "lost").series[0]).warnings[0].detail
    )
    narrow = with_air(ct(), RescaleIntercept="-820")  # the edge of a cardiac field of view lies in lung
    assert codes(tmp_path / "narrow", narrow) == []
    doubled = with_air(ct(), RescaleIntercept="-2048", RescaleSlope="2")
    assert codes(tmp_path / "doubled", doubled) == [WarningCode.UNIT_IMPLAUSIBLE]
    turned_over = with_air(ct(), RescaleIntercept="1024", RescaleSlope="-1")
    assert codes(tmp_path / "turned", turned_over) == [WarningCode.UNIT_IMPLAUSIBLE]
    below_air = with_air(ct(), RescaleIntercept="-1024", RescaleSlope="-1")
    for number, image in enumerate(below_air):  # no two slices alike, as of a scanner
        image.PixelData = (image.pixel_array + np.uint16(number)).tobytes()
    assert codes(tmp_path / "below", below_air) == [WarningCode.UNIT_IMPLAUSIBLE]


@pytest.mark.parametrize("limits", [(-3000, -1500), (-1500, -3000)])
def test_a_range_of_padding_is_no_air(limits: tuple[int, int], tmp_path: Path) -> None:
    """The rim is padding of many values, as of an image that was resampled; what is left of it is air."""
    for name, limit in (("value alone", None), ("range", limits[1])):
        series = with_air(ct(), RescaleIntercept="-1024")
        for dataset in series:
            values = np.frombuffer(dataset.PixelData, "<u2").reshape(64, 64).astype(int) - 1024
            y, x = np.ogrid[:64, :64]
            rim = np.hypot(y - 31.5, x - 31.5) > 28
            values[rim] = -3000 + (np.arange(4096).reshape(64, 64) * 7 % 1500)[rim]
            changed([dataset], PixelRepresentation=1, RescaleIntercept="0", PixelData=values.astype("<i2").tobytes())
            dataset.add_new("PixelPaddingValue", "SS", limits[0])
            if limit is not None:
                dataset.add_new("PixelPaddingRangeLimit", "SS", limit)
        assert codes(tmp_path / name, series) == ([] if limit else [WarningCode.UNIT_IMPLAUSIBLE])
        (found,) = one_study(tmp_path / name).series
        assert read_volume(found).padding_values == (limits[0],)


def test_an_image_without_air_tells_nothing_of_it(tmp_path: Path) -> None:
    series = with_air(ct())
    for dataset in series:
        dataset.PixelData = np.where(np.frombuffer(dataset.PixelData, "<u2") < 100, 930, 1060).astype("<u2").tobytes()
    assert codes(tmp_path, series) == []


@pytest.mark.parametrize("name", ["crlm-ct-1006", "sts-001-ct/dicom", "sts-002-ct/dicom", "totalsegmentator"])
def test_real_ct_has_no_warning_of_its_unit(name: str, real_data: object) -> None:
    folder = real_data(name)  # type: ignore[operator]
    for study_series in one_study(folder).series:
        found = [warning.code for warning in read_volume(study_series).warnings]
        assert WarningCode.UNIT_IMPLAUSIBLE not in found
        assert WarningCode.ATTRIBUTE_MISSING not in found


def test_a_slope_of_0_is_exact_where_every_stored_value_is_0(tmp_path: Path) -> None:
    empty = ct()
    for dataset in empty[2:4]:
        dataset.PixelData = bytes(len(dataset.PixelData))
        dataset.RescaleSlope, dataset.RescaleIntercept = "0", "-1000"
    save_series(empty, tmp_path / "empty")
    volume, _ = run(tmp_path / "empty", config())
    assert (volume.array[0, 2:4] == -1000).all()
    save_series(changed(ct(), RescaleSlope="0"), tmp_path / "full")
    with pytest.raises(StudyRejected) as caught:
        run(tmp_path / "full", config())
    assert caught.value.code is ReasonCode.UNREADABLE_PIXELS
    assert "RescaleSlope is 0" in caught.value.detail


def test_half_a_rescaling_of_mr_is_refused_and_none_is_as_stored(tmp_path: Path) -> None:
    whole = mr()
    save_series(whole, tmp_path / "none")
    (found,) = one_study(tmp_path / "none").series
    assert read_volume(found).warnings == ()
    save_series(changed(mr(), RescaleSlope="2"), tmp_path / "half")
    with pytest.raises(StudyRejected) as caught:
        run(tmp_path / "half", config(SeriesRule(modality=("MR",))))
    assert caught.value.code is ReasonCode.NO_RESCALE
    assert "RescaleIntercept" in caught.value.detail


@pytest.mark.parametrize("keyword", ["ImageType", "SamplesPerPixel", "HighBit"])
def test_a_missing_attribute_that_is_taken_at_its_usual_value_warns(keyword: str, tmp_path: Path) -> None:
    series = changed(ct(), **{keyword: None})
    save_series(series, tmp_path)
    (found,) = one_study(tmp_path).series
    (warning,) = read_volume(found).warnings
    assert (warning.code, keyword in warning.detail) == (WarningCode.ATTRIBUTE_MISSING, True)


def test_float_pixels_are_refused_by_name(tmp_path: Path) -> None:
    series = ct()
    for dataset in series:
        pixels = np.frombuffer(dataset.PixelData, "<i2").astype("<f4")
        del dataset.PixelData
        dataset.FloatPixelData = np.where(pixels == pixels.max(), np.inf, pixels).tobytes()
        dataset.BitsAllocated = 32
    save_series(series, tmp_path)
    with pytest.raises(StudyRejected) as caught:
        run(tmp_path, config())
    assert caught.value.code is ReasonCode.UNREADABLE_PIXELS
    assert "Float Pixel Data" in caught.value.detail
