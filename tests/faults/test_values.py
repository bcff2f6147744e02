"""Series whose numbers are not what their form promises: none reaches a network as if it were an ordinary image."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from core.errors import StudyRejected
from core.model_config import Channel, ModelConfig, SeriesRule
from phantom.series import save_series
from tests.faults.table import FAULT
from tests.support.pet_headers import Pet, pet_series
from tests.support.series_helpers import config, run
from tests.support.value_cases import another, changed, ct, enhanced_ct, iodine_map_beside_ct, mapping, mr

DERIVED = ["DERIVED", "PRIMARY", "AXIAL"]
ROWS: list[tuple[str, Callable[[], list[Dataset]], str, str]] = [
    ("a map of iodine for a CT model", lambda: iodine_map_beside_ct()[1], "CT", "no_matching_series"),
    ("a map of effective Z for a CT model", lambda: ct(RescaleType="Z_EFF"), "CT", "no_matching_series"),
    (
        "a map of electron density that says HU",
        lambda: ct(ImageType=[*DERIVED, "ELECTRON_DENSITY"]),
        "CT",
        "no_matching_series",
    ),
    ("a virtual non-contrast CT for a CT model", lambda: ct(RescaleType="HU_MOD"), "CT", "no_matching_series"),
    (
        "a CT perfusion map whose unit stands in its mapping alone",
        lambda: ct(RescaleType="US", RealWorldValueMappingSequence=mapping("ml/(100.ml.min)")),
        "CT",
        "no_matching_series",
    ),
    ("a MIP for a CT model", lambda: ct(ImageType=["DERIVED", "SECONDARY", "MIP"]), "CT", "no_matching_series"),
    ("a subtraction for a CT model", lambda: ct(ImageType=[*DERIVED, "SUBTRACTION"]), "CT", "no_matching_series"),
    ("a mono-energetic CT without energy_kev", lambda: ct("Mono 70 keV"), "CT", "mono_energetic"),
    ("a CT whose unit is unspecified", lambda: ct(RescaleType="US"), "CT", "unit_unspecified"),
    (
        "a map of fat that says HU, by a vendor's word",
        lambda: ct(ImageType=[*DERIVED, "DE_FATMAP"]),
        "CT",
        "no_matching_series",
    ),
    ("a map of gadolinium that says HU", lambda: ct("K-edge Gadolinium"), "CT", "no_matching_series"),
    ("a map of attenuation", lambda: ct("AC mu map", ImageType=DERIVED, RescaleType="US"), "CT", "no_matching_series"),
    (
        "a picture of a screen in the form of a CT",
        lambda: ct(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]),
        "CT",
        "no_matching_series",
    ),
    ("a MinIP for a CT model", lambda: ct(ImageType=["DERIVED", "SECONDARY", "MINIP"]), "CT", "no_matching_series"),
    (
        "a curved reformat of a CT",
        lambda: ct(ImageType=["DERIVED", "SECONDARY", "CURVED_MPR"]),
        "CT",
        "no_matching_series",
    ),
    ("a CT that has the Units of another quantity", lambda: ct(Units="BQML"), "CT", "no_matching_series"),
    ("a CT of which one image is a projection", lambda: one_of_another_kind(), "CT", "no_matching_series"),
    ("an enhanced CT whose mapping is to mg/mL", lambda: enhanced_map(), "CT", "no_matching_series"),
    ("a CT without rescaling", lambda: no_rescale(), "CT", "no_rescale"),
    ("a CT of slope 1 and intercept 0 that an anonymiser wrote", lambda: lost_rescale(), "CT", "unit_implausible"),
    ("a Rescale Slope of 0 over values that differ from 0", lambda: ct(RescaleSlope="0"), "CT", "unreadable_pixels"),
    ("Float Pixel Data with an infinite voxel in a CT", lambda: float_pixels(), "CT", "unreadable_pixels"),
    ("an ADC map for an MR model", lambda: mr(ImageType=["DERIVED", "PRIMARY", "ADC"]), "MR", "no_matching_series"),
    ("an FA map for an MR model", lambda: mr(ImageType=[*DERIVED[:2], "DIFFUSION", "FA"]), "MR", "no_matching_series"),
    ("a T1 map for an MR model", lambda: mr(ImageType=[*DERIVED[:2], "T1 MAP"]), "MR", "no_matching_series"),
    ("a T2 map by its unit for an MR model", lambda: mr(RescaleType="ms"), "MR", "no_matching_series"),
    ("a subtraction for an MR model", lambda: mr(ImageType=[*DERIVED[:2], "SUBTRACT"]), "MR", "no_matching_series"),
    ("a phase image for an MR model", lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "P"]), "MR", "no_matching_series"),
    ("a mosaic for an MR model", lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "MOSAIC"]), "MR", "no_matching_series"),
    ("a PET in Bq/ml of a patient without weight", lambda: pet_series(Pet(weight=0)), "PT", "no_suv"),
    ("a PET that is not corrected for decay", lambda: pet_series(Pet(decay_correction="NONE")), "PT", "no_suv"),
]


def one_of_another_kind() -> list[Dataset]:
    series = ct()
    series[3].ImageType = [*series[3].ImageType[:3], "MIP"]
    return series


def enhanced_map() -> list[Dataset]:
    (dataset,) = enhanced_ct()
    dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = mapping("mg/mL")
    return [dataset]


def no_rescale() -> list[Dataset]:
    return changed(ct(), RescaleSlope=None, RescaleIntercept=None, RescaleType=None)


def lost_rescale() -> list[Dataset]:
    series = ct()
    noise = np.random.default_rng(7)
    for dataset in series:
        y, x = np.ogrid[:64, :64]
        body = np.hypot(y - 31.5, x - 31.5) < 20
        dataset.Rows, dataset.Columns, dataset.PixelRepresentation = 64, 64, 0
        dataset.PixelData = np.where(body, 1060, noise.integers(14, 35, (64, 64))).astype("<u2").tobytes()
    return changed(series, RescaleSlope="1", RescaleIntercept="0")


def float_pixels() -> list[Dataset]:
    series = ct()
    for dataset in series:
        pixels = np.frombuffer(dataset.PixelData, "<i2").astype("<f4")
        del dataset.PixelData
        dataset.FloatPixelData = np.where(pixels == pixels.max(), np.inf, pixels).tobytes()
        dataset.BitsAllocated = 32
    return series


def came_of(folder: Path, model: ModelConfig) -> list[str]:
    """Reason code of the refusal, or the codes of the warnings with which the study is segmented."""
    try:
        volume, _ = run(folder, model)
    except StudyRejected as refusal:
        return [refusal.code]
    return [warning.code for warning in volume.warnings]


@pytest.mark.parametrize(("name", "make", "modality", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_values(
    name: str,
    make: Callable[[], list[Dataset]],
    modality: str,
    expected: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    record_property(FAULT, name)
    unit = "SUVbw" if modality == "PT" else None
    channel = Channel(name="image", unit=unit, series=SeriesRule(modality=(modality,)))
    model = config().model_copy(update={"channels": (channel,)})
    save_series(make(), tmp_path)
    assert came_of(tmp_path, model) == [expected]


def test_the_ct_beside_a_map_is_what_the_network_sees(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, "a map of iodine beside the CT that it was made of")
    conventional, iodine = iodine_map_beside_ct()
    thin = another(iodine, "thin", 1, SliceThickness="0.5")  # by the rule's order it would come first
    for name, series in (("ct", conventional), ("map", thin)):
        save_series(series, tmp_path / name)
    volume, _ = run(tmp_path, config())
    assert volume.series_uids == (conventional[0].SeriesInstanceUID,)
