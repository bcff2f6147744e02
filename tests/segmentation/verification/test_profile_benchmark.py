"""The loss of profile fast is measured on cases and kept with the package for its weights and settings."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from app.graph_runner import Segmenter
from core.errors import ConfigInvalid, PackageInvalid
from segmentation.backends.processor_kind import computes_bfloat16, kind_of_processor
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.package.package import Package, load_package
from segmentation.package.profile_results import MEASUREMENTS, measurements_of, warning_of
from segmentation.verification.profile_benchmark import PROFILES, find_cases, measure
from tests.support import stock_nnunet as stock
from tests.support.tiny_models import make_results_folder, make_volume
from tests.support.trained_folders import answered


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """Add a package and answer its questions, since an open one is a warning of its own."""
    source = make_results_folder(tmp_path, "3d_fullres", mirror_axes=(2,))
    return answered(add_package(source, "tiny", tmp_path / "models"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Write two cases, and as the truth of each the labels of profile exact."""
    for number in range(2):
        volume = make_volume(shape=(10, 24, 22), seed=number)
        (file,) = stock.write_images(volume, tmp_path / "images")
        Path(file).rename(tmp_path / "images" / f"secret{number}_0000.nrrd")
    return tmp_path / "images"


def test_a_measurement_equals_the_results_of_two_engines(package: Package, images: Path, tmp_path: Path) -> None:
    volumes = [make_volume(shape=(10, 24, 22), seed=number) for number in range(2)]
    exact = [Engine(package, "cpu").segment(volume).label_map.array for volume in volumes]
    (tmp_path / "truth").mkdir()
    for number, (mask, volume) in enumerate(zip(exact, volumes, strict=True)):
        image = sitk.GetImageFromArray(mask)
        image.SetSpacing(volume.geometry.spacing[::-1])
        image.SetOrigin(volume.geometry.origin)
        sitk.WriteImage(image, str(tmp_path / "truth" / f"secret{number}.nii.gz"))
    told: list[float] = []
    measured = measure(package, find_cases([images], 1, tmp_path / "truth"), "cpu", told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    # In the backend that was quicker, which runs the profile from now on.
    engines = {profile: Engine(package.in_profile(profile), "cpu") for profile in PROFILES[1:]}
    assert {profile: engine.backend.name for profile, engine in engines.items()}.items() <= measured.backends.items()
    written = {profile: engine.backend.precision for profile, engine in engines.items()}
    assert written.items() <= measured.precisions.items()
    types = {way.split()[1] for way in measured.tried["fast"]}
    assert types == ({"bfloat16", "float32"} if computes_bfloat16() else {"float32"})
    assert measured.seconds("fast") == pytest.approx(min(measured.tried["fast"].values()), abs=0.01)
    masks = {
        profile: [engine.segment(volume).label_map.array for volume in volumes] for profile, engine in engines.items()
    }
    for number, case in enumerate(measured.cases):
        for profile in measured.profiles:
            ours, theirs, loss = exact[number], masks[profile][number], case.losses[profile]
            assert loss.mismatches == int((ours != theirs).sum())
            for name, value in package.manifest.labels.outputs.items():
                a, b = ours == value, theirs == value
                assert loss.dice[name] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()), abs=1e-6)
            assert case.runs[profile].truth_dice == loss.dice
        assert case.losses["fast"].mismatches > 0
        assert case.runs["exact"].truth_dice == dict.fromkeys(package.manifest.labels.outputs, 1.0)
        assert case.runs["exact"].seconds > 0
        assert case.runs["exact"].peak_bytes is None or case.runs["exact"].peak_bytes > 10_000_000
    first, second = (case.losses["fast"].dice["liver"] for case in measured.cases)
    assert first is not None
    assert second is not None
    assert measured.worst_dice("fast")["liver"] == min(first, second)
    assert "secret" not in (package.folder / MEASUREMENTS).read_text()  # a file's name can be a patient's
    assert load_package(package.folder).sha256 == package.sha256


def test_a_measurement_counts_for_the_settings_it_was_made_with(package: Package, images: Path) -> None:
    fast = package.in_profile("fast")
    here = kind_of_processor("cpu")
    assert warning_of(package, here) is None
    assert "segnode models measure tiny" in str(warning_of(fast, here))
    measure(package, find_cases([images], 1, None), "cpu")
    assert warning_of(fast, here) is None
    assert warning_of(package.in_profile("equal"), here) is None
    assert "on this kind of processor (cpu of another make)" in str(warning_of(fast, "cpu of another make"))
    assert measurements_of(package) == measurements_of(fast) != ()
    path = package.folder / "model.yaml"
    path.write_text(path.read_text().replace("    step_size: 0.8", "    step_size: 0.9"))
    assert measurements_of(load_package(package.folder)) == ()


def test_profile_fast_without_a_measurement_is_warned_about(package: Package, caplog: pytest.LogCaptureFixture) -> None:
    package = replace(package, questions=())
    with caplog.at_level(logging.WARNING, "segnode"):
        Segmenter({"tiny": package}, "cpu")
        assert caplog.messages == []
        Segmenter({"tiny": package.in_profile("fast")}, "cpu")
    # Where OpenVINO is missing, another line says so.
    raised = [one for one in caplog.records if one.getMessage() != "backend_not_used"]
    assert [(one.getMessage(), one.warning) for one in raised] == [("model_warning_raised", "fast_not_measured")]


def test_a_damaged_file_is_named(package: Package) -> None:
    (package.folder / MEASUREMENTS).write_text(json.dumps({"measurements": [{}]}))
    with pytest.raises(PackageInvalid, match=r"measurements\.json"):
        measurements_of(package)


def test_cases_are_found_by_nnunets_names(tmp_path: Path) -> None:
    for name in ("a_0000.nii.gz", "a_0001.nii.gz", "b_0001.nii.gz", "b_0000.nii.gz", "notes.txt"):
        (tmp_path / name).touch()
    cases = find_cases([tmp_path], 2, None)
    assert [[path.name for path in case.images] for case in cases] == [
        ["a_0000.nii.gz", "a_0001.nii.gz"],
        ["b_0000.nii.gz", "b_0001.nii.gz"],
    ]
    with pytest.raises(ConfigInvalid, match=r"the model needs 1 image\(s\), one per channel, but there are 2"):
        find_cases([tmp_path], 1, None)
    with pytest.raises(ConfigInvalid, match="no mask a"):
        find_cases([tmp_path], 2, tmp_path)
    with pytest.raises(ConfigInvalid, match="no image"):
        find_cases([tmp_path / "notes.txt"], 1, None)
    (tmp_path / "ct.nrrd").touch()
    assert len(find_cases([tmp_path / "ct.nrrd"], 1, None)) == 1


def test_a_truth_on_another_grid_is_refused(package: Package, images: Path, tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    for number in range(2):
        sitk.WriteImage(
            sitk.GetImageFromArray(np.zeros((9, 24, 22), np.uint8)), str(tmp_path / f"truth/secret{number}.mha")
        )
    with pytest.raises(ConfigInvalid, match="does not lie on the image's grid"):
        measure(package, find_cases([images], 1, tmp_path / "truth"), "cpu")
