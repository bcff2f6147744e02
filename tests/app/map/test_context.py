"""The output of ``segnode package``: the same bytes for the same inputs, whole, and nothing that belongs elsewhere."""

import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from app.cli import main as cli
from app.map.context import WHEELS, Image, digest_of, write_context
from app.map.distributions import read_names
from app.map.image import fetch_wheels
from app.map.manifests import parse_tag
from core.errors import ConfigInvalid
from core.project_files import PROJECT
from core.version import VERSION
from segmentation.backends.converted import conversions_of
from segmentation.package.package import load_package

WITHOUT_A_TEXT = {"pyjpegls", "wheel-axle-runtime"}
"""Distributions that carry no licence text; the SBOM names their licence."""


def everything(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode, int(path.stat().st_mtime), path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_inputs_give_the_same_context(image: Image, context: Path, tmp_path: Path) -> None:
    """Written elsewhere, at another time, by a user with another umask."""
    mask = os.umask(0o077)
    try:
        digest = write_context(image, tmp_path / "context")
    finally:
        os.umask(mask)
    ours, theirs = everything(tmp_path / "context"), everything(context)
    assert [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)] == []
    assert digest == digest_of(context)


@pytest.mark.parametrize("change", [{"release": "1.2.4"}, {"torch": "cuda"}, {"name": "other"}])
def test_another_input_gives_another_context(
    image: Image, context: Path, tmp_path: Path, change: dict[str, str]
) -> None:
    assert write_context(replace(image, **change), tmp_path / "context") != digest_of(context)  # type: ignore[arg-type]  # names and values fit


def test_a_changed_file_changes_the_digest(context: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(context, tmp_path / "copy")
    assert digest_of(copy) == digest_of(context)
    (copy / "app" / "core" / "errors.py").chmod(0o600)
    assert digest_of(copy) != digest_of(context)


def test_the_wheelhouse_stays_and_counts_for_nothing(image: Image, context: Path, tmp_path: Path) -> None:
    folder = tmp_path / "context"
    write_context(image, folder)
    (folder / WHEELS).mkdir()
    (folder / WHEELS / "some.whl").write_bytes(b"wheel")
    assert write_context(image, folder) == digest_of(context)
    assert (folder / WHEELS / "some.whl").exists()


def test_a_folder_with_something_else_is_left_alone(image: Image, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigInvalid, match=r"thesis\.txt"):
        write_context(image, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_models_are_whole_and_unchanged(image: Image, context: Path) -> None:
    assert [load_package(context / "models" / one.name).sha256 for one in image.packages] == [
        one.sha256 for one in image.packages
    ]


def test_files_left_beside_a_model_stay_out(image: Image, context: Path, tmp_path: Path) -> None:
    kept = ("commissioning.json", "measurements.json")
    packages = []
    for one in image.packages:
        folder = shutil.copytree(one.folder, tmp_path / "models" / one.name)
        for name in (*kept, "MUELLER_ANNA_0000.nii.gz", "model.yaml~"):
            (folder / name).write_text("{}")
        packages.append(load_package(folder))
    write_context(replace(image, packages=packages), tmp_path / "context")
    ours, theirs = everything(tmp_path / "context" / "models"), everything(context / "models")
    assert ours.keys() - theirs.keys() == {f"{one.name}/{name}" for one in packages for name in kept}
    assert theirs.keys() <= ours.keys()


def test_only_what_runs_is_in_it(context: Path) -> None:
    assert {path.name for path in (context / "app").iterdir()} == {
        "__main__.py",
        "app",
        "core",
        "dicom_io",
        "operators",
        "runtime",
        "segmentation",
        "services",
        f"segnode-{VERSION}.dist-info",
    }
    assert not [path for path in context.rglob("*") if path.name in ("__pycache__", ".git") or path.suffix == ".pyc"]


def test_every_distribution_is_pinned_and_has_its_licence(context: Path, image: Image) -> None:
    for name in image.requirements:
        pinned = (context / "requirements" / f"{name}.txt").read_text().splitlines()
        assert pinned
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][^ ]*", line) for line in pinned)
        names = {line.split("==")[0] for line in pinned}
        assert {one for one in names if not any((context / "docs" / "licences" / one).glob("*"))} <= WITHOUT_A_TEXT


def test_the_sbom_is_valid_and_names_all_that_is_installed(context: Path, image: Image) -> None:
    text = (context / "docs" / "sbom.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    content = json.loads(text)
    names = {component["name"] for component in content["components"]}
    lists = PROJECT / "docker" / "requirements"
    wanted = {name for part in image.requirements for name in read_names(lists / f"{part}.txt")}
    assert names == wanted | {"segnode", "alpha", "beta"}
    hashes = {c["name"]: c["hashes"][0]["content"] for c in content["components"] if "hashes" in c}
    assert hashes == {one.name: one.sha256 for one in image.packages}


@pytest.mark.parametrize("tag", ["demo", "demo:latest", "demo:1.0", "Demo:1.0.0", ":1.0.0", "demo:01.0.0"])
def test_a_tag_without_a_semantic_version_is_refused(tag: str) -> None:
    with pytest.raises(ConfigInvalid, match="--tag"):
        parse_tag(tag)


def test_a_registry_with_a_port_is_part_of_the_name() -> None:
    assert parse_tag("registry.example:5000/hospital/liver:1.0.0-rc.1") == (
        "registry.example:5000/hospital/liver",
        "1.0.0-rc.1",
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--model", "alpha", "--tag", "two:1.0.0"], 0),
        (["--model", "alpha", "--model", "alpha", "--tag", "two:1.0.0"], 2),
        (["--model", "alpha", "--tag", "two:latest"], 2),
        (["--model", "none", "--tag", "two:1.0.0"], 2),
        (["--model", "alpha", "--tag", "two:1.0.0", "--torch", "tpu"], 2),
    ],
)
def test_the_command_and_its_exit_codes(
    image: Image,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
) -> None:
    monkeypatch.setenv("SEGNODE_MODELS", str(image.packages[0].folder.parent))
    monkeypatch.setattr(sys, "argv", ["segnode", "package", *arguments, "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == code
    if code == 0:
        assert f"sha256:{digest_of(tmp_path / 'context')}" in capsys.readouterr().out


def test_an_image_with_cuda_takes_no_torch_for_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel that pip would take from an earlier build in the same folder: its version is the higher one."""
    asked: list[list[str]] = []
    monkeypatch.setattr("app.map.image._run", lambda command, problem: asked.append(command))
    (tmp_path / WHEELS).mkdir()
    (tmp_path / WHEELS / "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    fetch_wheels(tmp_path, ("run", "torch-cuda"))
    wrong = tmp_path / WHEELS / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
    wrong.touch()
    fetch_wheels(tmp_path, ("run", "torch-cpu"))
    with pytest.raises(ConfigInvalid, match="is torch for processors: remove it"):
        fetch_wheels(tmp_path, ("run", "torch-cuda"))
    assert len(asked) == 3


def test_image_has_the_python_that_fetches_the_wheels(context: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = (context / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^ARG PYTHON=(.*)$", text) == [version]
    assert re.findall(r"python\d\.\d+", text) == []


@pytest.mark.usefixtures("openvino")
def test_converted_networks_are_apart_from_the_models(image: Image, context: Path) -> None:
    """An image with OpenVINO takes them; nothing of them is in the others."""
    for package in image.packages:
        for conversion in conversions_of(package, context / "converted"):
            assert conversion.read() is not None
    assert not list((context / "models").rglob("*.xml"))
    assert not list((context / "converted").rglob(".*"))


def test_a_context_for_a_gpu_has_no_converted_networks(image: Image, tmp_path: Path) -> None:
    write_context(replace(image, torch="cuda"), tmp_path / "context")
    assert not list((tmp_path / "context" / "converted").rglob("*"))
