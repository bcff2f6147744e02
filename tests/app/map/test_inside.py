"""A MAP inside its container, here with the folders of a context in the places of the image's."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app import __main__ as entry
from app.map.inside import Layout, extract
from core.errors import ConfigInvalid, StudyRejected
from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import make_series, save_series
from tests.support.series_faults import drop_slice


@pytest.fixture
def layout(context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """The environment of the image, its paths in the context and in a folder of the test."""
    for name in ("input", "output", "export"):
        (tmp_path / name).mkdir()
    places = {
        "HOLOSCAN_WORKDIR": tmp_path,
        "HOLOSCAN_INPUT_PATH": tmp_path / "input",
        "HOLOSCAN_OUTPUT_PATH": tmp_path / "output",
        "HOLOSCAN_APPLICATION": context / "app",
        "HOLOSCAN_MODEL_PATH": context / "models",
        "HOLOSCAN_DOCS": context / "docs",
        "HOLOSCAN_CONFIG_PATH": context / "app.yaml",
        "HOLOSCAN_APP_MANIFEST_PATH": context / "app.json",
        "HOLOSCAN_PKG_MANIFEST_PATH": context / "pkg.json",
    }
    for name, path in places.items():
        monkeypatch.setenv(name, str(path))
    monkeypatch.setenv("SEGNODE_MODELS", "")
    return Layout.of(os.environ)


def write_ct(folder: Path, *, broken: bool = False) -> str:
    series = make_series(make_phantom(trunk_geometry((12.0, 6.0, 6.0), extent=(180.0, 240.0, 300.0)), phase="P"))
    save_series(drop_slice(series) if broken else series, folder)
    return str(series[0].StudyInstanceUID)


def test_show_prints_both_manifests(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["show"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {name: json.loads(getattr(layout, f"{name}_manifest").read_text()) for name in ("app", "pkg")}


def test_show_prints_one_manifest(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["show", "pkg"]) == 0
    assert [model["name"] for model in json.loads(capsys.readouterr().out)["models"]] == ["alpha", "beta"]


def test_extract_fills_every_folder(layout: Layout, context: Path, tmp_path: Path) -> None:
    extract(Layout(**{**vars(layout), "export": tmp_path / "export"}))
    found = {path.name for path in (tmp_path / "export").iterdir()}
    assert found == {"app", "config", "models", "docs"}
    for name, source in (("app", "app"), ("models", "models"), ("docs", "docs")):
        copied = {p.relative_to(tmp_path / "export" / name) for p in (tmp_path / "export" / name).rglob("*")}
        assert copied == {p.relative_to(context / source) for p in (context / source).rglob("*")}
    assert (tmp_path / "export" / "config" / "app.json").read_bytes() == (context / "app.json").read_bytes()


def test_extract_fills_only_what_is_mounted(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "export" / "config").mkdir()
    extract(Layout(**{**vars(layout), "export": tmp_path / "export"}))
    assert [path.name for path in (tmp_path / "export").iterdir()] == ["config"]


def test_extract_without_a_mount_says_how(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="mount"):
        extract(Layout(**{**vars(layout), "export": tmp_path / "none"}))


def test_a_study_is_segmented_by_the_models_that_fit_and_refused_by_the_others(layout: Layout) -> None:
    uid = write_ct(layout.input)
    assert entry.main() == 3
    report = json.loads((layout.output / uid / "report.json").read_text())
    assert [model["name"] for model in report["models"]] == ["alpha"]
    assert (layout.output / uid / "alpha.seg.dcm").is_file()
    assert report["reason"]["code"] == "wrong_modality"


def test_a_refused_study_has_its_report(layout: Layout) -> None:
    uid = write_ct(layout.input, broken=True)
    assert entry.main() == 3
    report = json.loads((layout.output / uid / "report.json").read_text())
    assert report["outcome"] == "refused"
    assert [path.name for path in (layout.output / uid).iterdir()] == ["report.json"]


def test_an_empty_input_says_so_and_leaves_a_report(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StudyRejected):
        entry.main()
    assert "is empty; mount" in capsys.readouterr().err
    (report,) = layout.output.glob("*/report.json")
    assert json.loads(report.read_text())["reason"]["code"] == "no_dicom"


def test_ready_wants_whole_models_and_a_place_to_write(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert entry.main(["ready"]) == 0
    monkeypatch.setenv("HOLOSCAN_OUTPUT_PATH", str(layout.output / "missing"))
    with pytest.raises(ConfigInvalid, match="cannot be written"):
        entry.main(["ready"])


def test_alive_and_what_nobody_knows(layout: Layout) -> None:
    assert entry.main(["alive"]) == 0
    with pytest.raises(ConfigInvalid, match="show"):
        entry.main(["run"])


def test_the_command_of_the_manifest_runs_and_ends_on_sigterm(layout: Layout, context: Path, tmp_path: Path) -> None:
    """``python3 /opt/holoscan/app``, as process 1 of a container is asked to end."""
    command = [sys.executable, "-P", str(context / "app"), "show", "app"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ, cwd=tmp_path)  # noqa: S603 - our own interpreter and program
    assert json.loads(shown.stdout)["command"] == "python3 -u /opt/holoscan/app"
    program = (
        "import sys, time, app.__main__ as m\n"
        "m.main = lambda arguments, stagings: print('up', flush=True) or time.sleep(60)\n"
        "m.entry()"
    )
    waiting = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ)  # noqa: S603 - as above
    assert waiting.stdout is not None
    with waiting:
        assert waiting.stdout.readline() == b"up\n"
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait() == 143  # and not 0, once it has slept
