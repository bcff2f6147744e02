"""A package of an unlisted trainer with golden case and measurement, made by commit 1acdde3: nothing of it changed.

`of_1acdde3/make.py` says by which command the files were made.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.errors import PackageInvalid
from core.model_config import Profile
from core.run_options import RunOptions
from core.study_warning import WarningCode
from dicom_io.results.result_identity import ResultIdentity
from dicom_io.uids import derive_uid
from segmentation.backends.choice import backend_of, settle
from segmentation.backends.processor_kind import kind_of_processor
from segmentation.inference.engine import Engine
from segmentation.package.golden_results import OUTCOMES
from segmentation.package.package import Package, load_package
from segmentation.package.profile_results import (
    MEASUREMENTS,
    measurements_of,
    read_measurements,
    store_measurement,
    warning_of,
)
from tests.segmentation.package.of_1acdde3.make import REVISION, STUDY, VERSION
from tests.support.tiny_models import make_volume

OF_1ACDDE3 = Path(__file__).parent / "of_1acdde3"
KINDS = ({"amx_bf16": True}, {"avx512_bf16": True}, {"avx512_f": True}, {"avx2": True})


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return load_package(Path(shutil.copytree(OF_1ACDDE3 / "package", tmp_path / "package")))


def test_its_golden_case_still_commissions_it(package: Package) -> None:
    assert package.manifest.trainers == ("TrainerOfAClinic",)
    assert package.record is None
    (package.folder / OUTCOMES).unlink()
    with pytest.raises(PackageInvalid, match="TrainerOfAClinic may have changed the network"):
        load_package(package.folder)


@pytest.mark.parametrize("units", KINDS)
@pytest.mark.parametrize("profile", ["exact", "fast"])
def test_its_profile_and_backend_are_what_they_were(
    package: Package, profile: Profile, units: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    assert package.inference.profile == "exact"
    assert package.used_profile is None
    asked = package.in_profile(profile)
    assert settle(asked, "cpu") is asked
    backend = backend_of(asked, "cpu")
    assert backend.name == "torch"
    assert backend.precision == ("bfloat16" if profile == "fast" and "amx_bf16" in units else "float32")


@pytest.mark.parametrize("units", KINDS)
def test_its_measurement_counts_for_every_kind_of_processor(
    package: Package, units: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    here = kind_of_processor("cpu")
    (measured,) = measurements_of(package)
    assert measured.processor is None
    assert measured.mismatches("fast") == 2724
    assert measured.lowest_dice("fast") == 0.338279
    assert measured.summary()["fast"]["components_lost"] is None
    assert warning_of(package.in_profile("fast"), here) is None
    warning = warning_of(package.in_profile("equal"), here)
    assert warning is not None
    assert warning.code is WarningCode.EQUAL_NOT_MEASURED


def test_another_measurement_is_kept_beside_it(package: Package) -> None:
    (old,) = read_measurements(package.folder).measurements
    assert json.loads((package.folder / MEASUREMENTS).read_text())["schema_version"] == 1
    store_measurement(package.folder, old.model_copy(update={"processor": "cpu avx2", "when": "later"}))
    assert json.loads((package.folder / MEASUREMENTS).read_text())["schema_version"] == 2
    first, second = read_measurements(package.folder).measurements
    assert first == old
    assert second.processor == "cpu avx2"
    assert len(measurements_of(package)) == 2


@pytest.mark.parametrize("profile", ["exact", "fast"])
def test_its_results_have_the_uids_that_they_had(package: Package, profile: Profile) -> None:
    settled = settle(package.in_profile(profile), "cpu")
    study, *inputs = STUDY
    identity = ResultIdentity(study, tuple(inputs), settled.sha256, settled.config, settled.options, VERSION, REVISION)
    uids = json.loads((OF_1ACDDE3 / "uids.json").read_text())
    assert derive_uid("instance", identity.parts()) == uids[profile]
    plain = replace(identity, options=RunOptions(profile=profile))
    assert plain.parts() == identity.parts()


def test_it_runs(package: Package) -> None:
    result = Engine(package, "cpu").segment(make_volume(shape=(10, 24, 22)))
    assert result.backend.name == "torch"
    assert result.label_map.array.any()
