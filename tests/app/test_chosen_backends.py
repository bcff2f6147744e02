"""The profile and backend of an earlier try are repeated, on another machine too, where it has them."""

import logging
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import pytest
import torch

from app.chosen_backends import as_chosen, choice_of
from core.backend import Backend
from core.run_options import RunOptions
from dicom_io.results.result_identity import ResultIdentity
from segmentation.backends import choice
from segmentation.package.package import Package, load_package
from tests.segmentation.package.test_of_1acdde3 import OF_1ACDDE3

TORCH = torch.__version__.partition("+")[0]


@pytest.fixture(scope="module")
def package() -> Package:
    return load_package(OF_1ACDDE3 / "package")


def in_backend(package: Package, precision: str = "float32") -> Package:
    backend = Backend("torch", TORCH, precision)
    return package.with_options(RunOptions(profile="fast", backend=backend))


def parts(package: Package) -> list[str | int]:
    return ResultIdentity("1", ("2",), package.sha256, package.config, package.options, "0.1.0", 0).parts()


def test_a_retry_elsewhere_gives_the_same_uids(package: Package) -> None:
    first = in_backend(package)
    noted = {package.name: choice_of(first, "cpu")}
    for here in (package, package.in_profile("fast"), package.in_profile("equal")):
        again = as_chosen(here, noted, "cpu")
        assert again.options == first.options
        assert parts(again) == parts(first)
        assert choice_of(again, "cpu") == noted[package.name]


def test_torch_as_before_is_repeated_as_before(package: Package) -> None:
    first = package.in_profile("exact")
    noted = {package.name: choice_of(first, "cpu")}
    assert noted[package.name].as_before
    again = as_chosen(in_backend(package), noted, "cpu")
    assert again.options.backend is None
    assert parts(again) == parts(first)


def test_another_package_of_the_name_runs_as_it_is(package: Package) -> None:
    noted = {package.name: choice_of(in_backend(package), "cpu")}
    other = replace(package, sha256="0" * 64)
    assert as_chosen(other, noted, "cpu") is other
    assert as_chosen(package, {}, "cpu") is package


@pytest.mark.parametrize(
    "backend",
    [
        Backend("openvino", "2026.4.1", "float32"),
        Backend("torch", "1.0", "float32"),
        Backend("torch", TORCH, "bfloat16"),
    ],
)
def test_a_choice_that_this_machine_does_not_have_is_logged(
    package: Package, backend: Backend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    monkeypatch.setattr(choice, "_has_openvino", lambda package, precision: False)
    noted = {package.name: choice_of(package.with_options(RunOptions("fast", backend=backend)), "cpu")}
    if backend.name == "openvino":
        monkeypatch.setattr(choice.openvino_network, "installed_version", lambda: "2026.4.1")
    with caplog.at_level(logging.WARNING, "segnode"):
        assert as_chosen(package, noted, "cpu") is package
    assert [one.getMessage() for one in caplog.records] == ["choice_not_repeated"]


def test_a_machine_without_the_library_does_not_repeat_its_choice(
    package: Package, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def of_nothing() -> str:
        raise PackageNotFoundError("openvino")

    monkeypatch.setattr(choice.openvino_network, "is_installed", lambda: False)
    monkeypatch.setattr(choice.openvino_network, "installed_version", of_nothing)
    backend = Backend("openvino", "2026.4.1", "float32")
    noted = {package.name: choice_of(package.with_options(RunOptions("equal", backend=backend)), "cpu")}
    with caplog.at_level(logging.WARNING, "segnode"):
        assert as_chosen(package, noted, "cpu") is package
    assert [one.getMessage() for one in caplog.records] == ["choice_not_repeated"]
