"""The phantom models as models of the node: a study of three phases goes in, each takes the phases that it knows."""

import json
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk
from pydicom import dcmread

from app.cli import main as cli
from phantom import Phantom, Phase, make_phantom, trunk_geometry
from phantom.series import SeriesFiles, write_series
from phantom.tags import SeriesTags
from training.recipes.evaluate_tasks import OTHER_TARGET, TARGETS, scores
from training.recipes.task_recipes import RECIPES

pytestmark = pytest.mark.slow

Triple = tuple[float, float, float]
Study = dict[Phase, tuple[Phantom, SeriesFiles]]

# The portal venous scan covers more than the others, on a grid of its own.
GRIDS: dict[Phase, tuple[Triple, Triple]] = {
    "A": ((2.0, 1.8, 1.8), (150.0, 150.0, 230.0)),
    "P": ((2.5, 2.0, 2.0), (180.0, 180.0, 260.0)),
    "D": ((1.4, 1.4, 1.4), (150.0, 110.0, 210.0)),
}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """One patient in three phases, of one study."""
    folder, study = tmp_path_factory.mktemp("phases"), {}
    for number, (phase, (spacing, extent)) in enumerate(GRIDS.items(), start=1):
        geometry = trunk_geometry(spacing, extent=extent, centre=(0.0, 30.0, -30.0))
        phantom = make_phantom(geometry, phase=phase, seed=641)
        study[phase] = (phantom, write_series(phantom, folder / phase, series=SeriesTags(number=number)))
    return study


def run(model: str, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("SEGNODE_MODELS", "")
    words = ["segnode", "run", str(source), str(target), "--model", model, "--nifti", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", [*words, "--profile", "fast"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(str(caught.value.code))


# Where any phase will do, the series with the thinnest slices is taken.
@pytest.mark.parametrize(("task", "phases"), [("vessel", ("A", "P")), ("ureter", ("D",)), ("tumor", ("D",))])
def test_phases_of_one_study_become_one_seg(
    task: str, phases: tuple[Phase, ...], scans: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, recipe = f"{task}-phantom", RECIPES[task]
    assert run(model, scans["A"][1].folder.parent, tmp_path, monkeypatch) == 0
    phantom, series = scans[phases[0]]
    folder = tmp_path / series.study_uid
    report = json.loads((folder / "report.json").read_text())
    taken = {entry["uid"]: entry["channel"] for entry in report["series"] if entry["decision"] == "taken"}
    assert taken == {scans[phase][1].series_uid: name for phase, name in zip(phases, recipe.channels, strict=True)}
    assert len(list(folder.glob("*.seg.dcm"))) == 1
    seg = dcmread(folder / f"{model}.seg.dcm")
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == list(recipe.labels)
    assert {item.SeriesInstanceUID for item in seg.ReferencedSeriesSequence} == set(taken)
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{model}_seg.nii.gz")))
    for name, value in scores(mask, recipe.truth(phantom), recipe).items():
        assert value >= TARGETS.get(name, OTHER_TARGET), f"{name}: {value:.3f}"


def test_organs_of_one_series_become_a_seg_of_its_own(
    scans: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phantom, series = scans["P"]
    assert run("totalseg-phantom", series.folder, tmp_path, monkeypatch) == 0
    folder, recipe = tmp_path / series.study_uid, RECIPES["totalseg"]
    segments = {item.SegmentLabel for item in dcmread(folder / "totalseg-phantom.seg.dcm").SegmentSequence}
    assert {"kidney_left", "kidney_right", "liver", "bone"} <= segments <= set(recipe.labels)
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "totalseg-phantom_seg.nii.gz")))
    found = scores(mask, recipe.truth(phantom), recipe)
    assert min(found["kidney_left"], found["kidney_right"]) >= OTHER_TARGET, found


def test_a_study_without_the_phase_of_a_model_is_refused(
    scans: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("vessel-phantom", scans["D"][1].folder, tmp_path, monkeypatch) == 3
    report = json.loads((tmp_path / scans["D"][1].study_uid / "report.json").read_text())
    assert report["reason"]["code"] == "no_matching_series"
    assert "delayed by its description, not arterial" in json.dumps(report["series"])
