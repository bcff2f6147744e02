"""``segnode train stop`` and ``resume``: of the runs that are named, and no others."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.train.commands import app
from tests.support.tiny_training import DATASET, make_site
from training.runs.records import RunFolder, RunRequest, State


@pytest.fixture
def runs(tmp_path: Path) -> tuple[RunFolder, ...]:
    """Two folds that wait."""
    queue = make_site(tmp_path).folders.queue
    return tuple(
        RunFolder.create(queue, RunRequest(dataset=DATASET, configuration="2d", fold=fold)) for fold in range(2)
    )


def train(runs: tuple[RunFolder, ...], *words: str) -> Result:
    config = runs[0].path.parents[1] / "training.yaml"
    return CliRunner().invoke(app, [*words, "--config", str(config)], catch_exceptions=False)


@pytest.mark.parametrize("command", ["stop", "resume"])
def test_without_a_name_nobodys_run_is_touched(runs: tuple[RunFolder, ...], command: str) -> None:
    assert train(runs, command).exit_code == 2
    assert not any(run.is_to_stop for run in runs)


def test_the_named_run_is_asked_to_stop(runs: tuple[RunFolder, ...]) -> None:
    said = train(runs, "stop", "fold_1").output
    assert said == f"{runs[1].key} stops after its epoch\n"
    assert [run.is_to_stop for run in runs] == [False, True]


def test_where_nothing_is_to_be_resumed_no_worker_begins(runs: tuple[RunFolder, ...]) -> None:
    runs[0].change(state=State.DONE)
    assert train(runs, "resume", "fold_0").output == f"{runs[0].key} is done\n"
    assert not list(runs[0].path.parent.glob("*.log"))
