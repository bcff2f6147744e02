"""Runs whose processes end badly: tried again, given up with their last lines, or refused to begin afresh."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_training import DATASET, environment_of, make_site, prepared_site
from training.runs import attempt
from training.runs.attempt import CRASHES_WITHIN_S, Interrupted, Pace, bring_to_end
from training.runs.records import Ended, Progress, RunFolder, RunRequest, State
from training.runs.told_progress import ToldProgress
from training.settings import TrainingSettings

PACE = Pace(checkpoint_s=0.0, retry_s=0.01)
REQUEST = RunRequest(dataset=DATASET, configuration="3d_fullres", fold="all", epochs=1, iterations=1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> TrainingSettings:
    return prepared_site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(make_site(tmp_path).folders.queue, REQUEST)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Stand-ins for a run's processes, one after the other: an exit code, or why it says that it ends."""
    planned: list[Any] = []

    def one(run: RunFolder, *others: Any) -> int:
        end = planned.pop(0)
        with run.log.open("a") as log:
            log.write(f"a process that ends with {end}\n")
        if isinstance(end, Ended):
            run.write_ended(end)
            return 0
        return int(end)

    monkeypatch.setattr(attempt, "_one_process", one)
    yield planned
    assert planned == []


def test_crashes_are_tried_again(run: RunFolder, processes: list[Any]) -> None:
    processes += [1, -9, Ended(why="done")]
    state = bring_to_end(run, {}, PACE)
    assert (state.state, len(state.crashes), state.reason) == (State.DONE, 2, "")


def test_three_crashes_within_an_hour_end_it_with_the_last_lines(run: RunFolder, processes: list[Any]) -> None:
    processes += [1, 1, -9]
    state = bring_to_end(run, {}, PACE)
    assert state.state is State.FAILED
    assert "signal 9 (SIGKILL), as one is that takes more memory than the machine has" in state.reason
    assert "as 2 did within the hour before; the log ends:" in state.reason
    assert state.reason.endswith("a process that ends with -9")


def test_crashes_of_long_ago_do_not_count(run: RunFolder, processes: list[Any]) -> None:
    long_ago = time.time() - CRASHES_WITHIN_S - 1
    run.change(crashes=(long_ago, long_ago))
    processes += [1, 1, Ended(why="done")]
    assert bring_to_end(run, {}, PACE).state is State.DONE


def test_each_tenth_of_a_run_is_logged_once(run: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    told = ToldProgress(run)
    with caplog.at_level("INFO", logger="segnode"):
        for epoch in (0, 4, 4, 9, 20):
            run.write_progress(Progress(epoch=epoch, epochs=20, seconds_per_epoch=3.0, dice=0.51234))
            told.look()
        run.write_progress(Progress(epoch=20, epochs=20, phase="validation"))
        told.look()
    logged: list[Any] = caplog.records
    assert [(one.phase, one.epoch, one.seconds_left) for one in logged] == [
        ("training", 4, 48),
        ("training", 9, 33),
        ("training", 20, 0),
        ("validation", 20, None),
    ]
    assert logged[0].dice == 0.512


@pytest.mark.parametrize("why", ["refused", "out_of_memory"])
def test_a_known_reason_is_not_tried_again(run: RunFolder, processes: list[Any], why: Any) -> None:
    processes += [Ended(why=why, reason="the plan was predicted to take 9.1 GB")]
    state = bring_to_end(run, {}, PACE)
    assert (state.state, state.reason) == (State.FAILED, "the plan was predicted to take 9.1 GB")


def test_a_stop_ends_it_and_the_shutdown_of_the_machine_does_not(run: RunFolder, processes: list[Any]) -> None:
    processes += [Ended(why="stopped")]
    with pytest.raises(Interrupted):
        bring_to_end(run, {}, PACE, lambda: True)
    assert run.state().state is State.RUNNING
    run.ask_to_stop()
    assert bring_to_end(run, {}, PACE).state is State.STOPPED
    assert not run.is_to_stop


def test_a_process_that_somebody_else_ended_is_begun_again(run: RunFolder, processes: list[Any]) -> None:
    processes += [Ended(why="stopped"), Ended(why="done")]
    state = bring_to_end(run, {}, PACE)
    assert (state.state, state.crashes) == (State.DONE, ())


@pytest.mark.peers
def test_lost_checkpoints_are_not_replaced_by_a_new_training(site: TrainingSettings) -> None:
    run = RunFolder.create(site.folders.queue, REQUEST)
    run.write_progress(Progress(epoch=5, epochs=9, saved_epoch=4))
    state = bring_to_end(run, environment_of(site), PACE)
    assert state.state is State.FAILED
    assert "4 epochs were saved in" in state.reason
    assert "no checkpoint there can be read" in state.reason
    assert not list(REQUEST.output(site.folders).glob("checkpoint_*"))


@pytest.mark.peers
def test_a_real_crash_leaves_its_stack_in_the_log(tmp_path: Path) -> None:
    run = RunFolder.create(make_site(tmp_path).folders.queue, REQUEST)
    state = bring_to_end(run, environment_of(make_site(tmp_path)), PACE)
    assert state.state is State.FAILED
    assert "FileNotFoundError" in state.reason
