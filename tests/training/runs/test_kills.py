"""Kills of a training at random moments: five here, fifty in ``make test-long``."""

from pathlib import Path

from tests.training.runs.kills import KILLS_A_RUN, Figures, kill_trainings


def test_killed_training_ends_with_all_of_its_epochs(tmp_path: Path) -> None:
    expected = Figures(runs=1, kills=KILLS_A_RUN)
    assert kill_trainings(tmp_path, runs=1, seed=0) == expected
