"""Runs that are asked for wrongly: refused with what there is, before a process is started."""

from pathlib import Path

import pytest

from core.errors import ConfigInvalid
from tests.support.tiny_training import DATASET, make_site, tiny_configuration, write_plans, write_raw
from training.runs.choice import check_request, find_dataset, find_runs
from training.runs.records import RunFolder, RunRequest
from training.runs.trainer import check_trainer
from training.settings import TrainingSettings


@pytest.fixture
def site(tmp_path: Path) -> TrainingSettings:
    """A site whose cases are there by name."""
    site = make_site(tmp_path)
    write_raw(site.folders.raw)
    write_plans(site, {"3d_fullres": tiny_configuration()})
    data = site.folders.preprocessed / DATASET / "nnUNetPlans_3d_fullres"
    data.mkdir()
    for number in range(1, 5):
        for ending in (".b2nd", "_seg.b2nd", ".pkl"):
            (data / f"ball_{number}{ending}").touch()
    return site


@pytest.mark.parametrize("said", ["7", "007", "Ball", DATASET])
def test_a_data_set_is_found_by_each_of_its_names(site: TrainingSettings, said: str) -> None:
    assert find_dataset(site, said) == DATASET


def test_a_wrong_name_is_answered_with_the_likely_one(site: TrainingSettings) -> None:
    with pytest.raises(ConfigInvalid, match=r"Bal: no such data set in .*; did you mean Ball\?"):
        find_dataset(site, "Bal")
    with pytest.raises(ConfigInvalid, match=r"--trainer nnUNetTrainerAdm: .*did you mean nnUNetTrainerAdam\?"):
        check_trainer("nnUNetTrainerAdm")


def test_a_right_request_is_taken(site: TrainingSettings) -> None:
    check_request(site, RunRequest(dataset=DATASET, configuration="3d_fullres", fold=1))
    check_request(site, RunRequest(dataset=DATASET, configuration="3d_fullres", fold="all", devices=2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"configuration": "3d_fulres"}, r"did you mean 3d_fullres\?"),
        ({"plans": "nnUNetResEncUNetMPlans"}, "no nnUNetResEncUNetMPlans; make them with: segnode train plan"),
        ({"fold": 2}, "has folds 0 to 1"),
        ({"devices": 3}, "more than the plans' batch, which is 2"),
        ({"pretrained": Path("/nowhere.pth")}, "--pretrained /nowhere.pth: no such file"),
    ],
)
def test_a_wrong_request_is_refused(site: TrainingSettings, changes: dict[str, object], said: str) -> None:
    request = RunRequest(dataset=DATASET, configuration="3d_fullres", fold=0).model_copy(update=changes)
    with pytest.raises(ConfigInvalid, match=said):
        check_request(site, request)


def test_a_cascade_waits_for_its_first_stage(site: TrainingSettings) -> None:
    cascade = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    write_plans(site, {"3d_fullres": tiny_configuration(), "3d_cascade_fullres": cascade})
    request = RunRequest(dataset=DATASET, configuration="3d_cascade_fullres", fold=0)
    with pytest.raises(ConfigInvalid, match="3d_lowres has not predicted 4 cases, such as ball_1; train all folds"):
        check_request(site, request)
    stage = site.folders.results / DATASET / "nnUNetTrainer__nnUNetPlans__3d_lowres" / "predicted_next_stage"
    (stage / "3d_cascade_fullres").mkdir(parents=True)
    for number in range(1, 5):
        (stage / "3d_cascade_fullres" / f"ball_{number}.b2nd").touch()
    check_request(site, request)


def test_checkpoints_of_another_training_are_not_written_over(site: TrainingSettings) -> None:
    request = RunRequest(dataset=DATASET, configuration="3d_fullres", fold=0)
    output = request.output(site.folders)
    output.mkdir(parents=True)
    (output / "checkpoint_best.pth").touch()
    with pytest.raises(ConfigInvalid, match="checkpoints of another training are here"):
        check_request(site, request)


def test_a_data_set_without_folds_says_so(site: TrainingSettings) -> None:
    (site.folders.preprocessed / DATASET / "splits_final.json").write_text("[]")
    with pytest.raises(ConfigInvalid, match="too few patients for folds; train all cases with: --fold all"):
        check_request(site, RunRequest(dataset=DATASET, configuration="3d_fullres", fold=0))


def test_a_missing_case_is_named(site: TrainingSettings) -> None:
    (site.folders.preprocessed / DATASET / "nnUNetPlans_3d_fullres" / "ball_3.b2nd").unlink()
    with pytest.raises(ConfigInvalid, match="1 cases of the split are not prepared, such as ball_3"):
        check_request(site, RunRequest(dataset=DATASET, configuration="3d_fullres", fold=0))


def test_a_run_exists_once_and_is_found_by_a_part_of_its_name(site: TrainingSettings) -> None:
    request = RunRequest(dataset=DATASET, configuration="3d_fullres", fold=0)
    run = RunFolder.create(site.folders.queue, request)
    with pytest.raises(ConfigInvalid, match="this run exists, and is queued; segnode train resume"):
        RunFolder.create(site.folders.queue, request)
    assert [one.key for one in find_runs(site, ["fold_0"])] == [run.key]
    with pytest.raises(ConfigInvalid, match=r"fold_9: no run has that in its name; did you mean fold_0\?"):
        find_runs(site, ["fold_9"])
