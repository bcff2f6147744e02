"""The demo's path, with a small model in the place of the shipped one, through both kinds of PACS."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli.demo import MARK, demo
from app.demo import demo as demo_module
from app.demo import pacs as demo_pacs
from app.demo.demo import run_demo
from core.errors import ConfigInvalid, RetryLater
from dicom_io.delivery.answer import Answer, Said
from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import write_series
from phantom.tags import StudyTags
from tests.e2e.conftest import make_model
from tests.support.node_process import free_port


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo_models")
    make_model(folder, tmp_path_factory.mktemp("demo_nnunet"), "demo", {"modality": ["CT"]})
    return folder


def write_study(folder: Path, name: str = "demo") -> Path:
    geometry = trunk_geometry((12.0, 6.0, 6.0), extent=(180.0, 240.0, 300.0))
    write_series(make_phantom(geometry, phase="P"), folder, study=StudyTags(name=name))
    return folder


@pytest.mark.parametrize("kind", ["Orthanc", "storage node"])
def test_a_study_comes_back_as_one_seg(
    kind: str, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peer: Callable[[str], str]
) -> None:
    monkeypatch.setenv("SEGNODE_MODELS", str(models))
    # Those of a person are given by the system, which may give them to one of the suite's many connections meanwhile.
    for module in (demo_module, demo_pacs):
        monkeypatch.setattr(module, "free_port", free_port)
    if kind == "Orthanc":
        peer("Orthanc")
    else:
        monkeypatch.setattr(demo_pacs.shutil, "which", lambda *_, **__: None)
    said: list[str] = []
    work = tmp_path / "work"
    work.mkdir()
    result = run_demo(work, write_study(tmp_path / "study"), said.append)
    assert kind in result.pacs
    assert result.report.outcome == "segmented"
    assert result.seg_count == 1
    assert result.folder == work / "result"
    assert sorted(path.name for path in result.folder.iterdir()) == ["demo.png", "demo.seg.dcm", "report.json"]
    assert list(result.waits_s) == said


def test_several_studies_are_refused_before_anything_starts(tmp_path: Path) -> None:
    write_study(tmp_path / "in" / "a")
    write_study(tmp_path / "in" / "b", "another")
    with pytest.raises(ConfigInvalid, match="holds 2 studies"):
        run_demo(tmp_path, tmp_path / "in", lambda _: None)


def test_a_folder_that_the_demo_did_not_make_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    with pytest.raises(ConfigInvalid, match="not empty"):
        demo(dicom=None, work=tmp_path / "work")
    assert (tmp_path / "work" / "thesis.txt").read_text() == "years"


def test_a_study_in_the_demos_own_folder_is_never_emptied(tmp_path: Path) -> None:
    study = write_study(tmp_path / "work" / "study")
    (tmp_path / "work" / MARK).touch()
    with pytest.raises(ConfigInvalid, match="lies in"):
        demo(dicom=study, work=tmp_path / "work")
    assert any(study.iterdir())


def test_an_image_that_the_pacs_refuses_ends_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study that arrived in part would prove nothing, and its segmentation less."""
    monkeypatch.setattr(demo_pacs, "send_object", lambda *_: Answer(Said.REFUSED, "no such class"))
    with pytest.raises(RetryLater, match="refused image 1 of 1: no such class"):
        demo_pacs.push([tmp_path / "IM0001"], demo_pacs.Destination("127.0.0.1", 1, "PACS"), "MODALITY")
