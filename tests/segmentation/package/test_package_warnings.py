"""Warnings about a package, whichever study it runs on."""

from dataclasses import replace

from core.model_config import Channel, SeriesRule
from core.study_warning import WarningCode
from segmentation.package.package import Package
from segmentation.package.package_warnings import warnings_of


def with_channel(package: Package, modality: str, unit: str | None) -> Package:
    channel = Channel(name="image", unit=unit, series=SeriesRule(modality=(modality,)))
    return replace(package, config=package.config.model_copy(update={"channels": (channel,)}))


def test_a_pet_channel_without_a_unit_is_undecided(package: Package) -> None:
    package = replace(package, questions=())
    assert warnings_of(package, "cpu avx2") == ()
    (warning,) = warnings_of(with_channel(package, "PT", None), "cpu avx2")
    assert (warning.code, warning.model) == (WarningCode.UNIT_UNDECIDED, package.config.name)
    assert "SUVbw" in warning.detail
    assert warnings_of(with_channel(package, "PT", "SUVbw"), "cpu avx2") == ()
    assert warnings_of(with_channel(package, "MR", None), "cpu avx2") == ()
