"""Kills of a training at random moments: ``python -m tests.training.runs.kills --kills 50 --seed 1``.

Each kill takes the worker, with which its training dies, or the training alone, which the worker then starts again. The
last figures are what the long run keeps; it fails unless every run ends with all of its epochs, none begins
afresh, and none loses an epoch that was saved.
"""

import argparse
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.support.node_process import is_alive, wait_until
from tests.support.tiny_training import DATASET, environment_of, prepared_site
from training.runs.checkpoints import FINAL
from training.runs.records import RunFolder, RunRequest, State
from training.settings import TrainingSettings

EPOCHS, ITERATIONS = 60, 1
KILLS_A_RUN = 5
LONGEST_WAIT_S = 0.8
OF_THE_TRAINING_ALONE = 2
"""In one run; the third crash within an hour would end it."""
BEGUN, GONE_ON = "segnode: training begins", "segnode: training goes on"


@dataclass
class Figures:
    """Sums over all runs."""

    runs: int = 0
    kills: int = 0
    epochs_done_twice: int = 0
    begun_afresh: int = 0
    epochs_lost: int = 0

    def table(self) -> str:
        """Write them for the long run."""
        return "\n".join(f"{name.replace('_', ' ')}    {value}" for name, value in vars(self).items())


@contextmanager
def working(site: TrainingSettings, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of a site, killed at the end if it still lives."""
    command = [sys.executable, "-m", "app.cli", "train", "work", "--until-idle"]
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - this project's own program
            [*command, "--config", str(folder / "training.yaml")], stdout=log, stderr=log, env=environment_of(site)
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def training_of(run: RunFolder) -> int | None:
    """The process of a run's training."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"training.runs.child" in command and str(run.path).encode() in command:
            return int(folder.name)
    return None


def starts(run: RunFolder) -> list[str]:
    """The lines with which its trainings said where they begin."""
    lines = run.log.read_text(errors="replace").splitlines() if run.log.exists() else []
    return [line for line in lines if line.startswith((BEGUN, GONE_ON))]


def kill_often(site: TrainingSettings, folder: Path, run: RunFolder, chance: random.Random, figures: Figures) -> None:
    """Kill what works at a run a few times, and let it come to its end."""
    alone = chance.sample(range(KILLS_A_RUN), OF_THE_TRAINING_ALONE)
    saved = []
    number = 0
    while number <= KILLS_A_RUN:
        with working(site, folder) as worker:
            while number < KILLS_A_RUN:
                wait_until(lambda: len(starts(run)) == number + 1)  # noqa: B023 - asked at once
                time.sleep(chance.uniform(0, LONGEST_WAIT_S))
                training = training_of(run)
                assert training is not None, "it ended before it was killed"
                os.kill(training if number in alone else worker.pid, signal.SIGKILL)
                wait_until(lambda: not is_alive(training))  # noqa: B023 - asked at once
                saved.append((run.progress().saved_epoch, run.progress().epoch))
                figures.kills += 1
                number += 1
                if number - 1 not in alone:
                    break
            else:
                number += 1
                worker.wait()
    check(site, run, saved, figures)


def check(site: TrainingSettings, run: RunFolder, saved: list[tuple[int, int]], figures: Figures) -> None:
    """Compare where each training went on with what was saved before, and the end with the plan."""
    state = run.state()
    assert state.state is State.DONE, f"{state}\n{chr(10).join(run.last_lines(30))}"
    figures.runs += 1
    for line, (kept, reached) in zip(starts(run)[1:], saved, strict=True):
        if line.startswith(BEGUN):
            figures.begun_afresh += kept > 0
            continue
        at = int(line.partition("after epoch ")[2].split()[0])
        figures.epochs_lost += max(0, kept - at)
        figures.epochs_done_twice += max(0, reached - at)
    final = torch.load(run.request().output(site.folders) / FINAL, weights_only=False)
    assert final["current_epoch"] == EPOCHS
    assert {len(values) for values in final["logging"].values()} == {EPOCHS}


def kill_trainings(folder: Path, runs: int, seed: int) -> Figures:
    """Kill some runs, one after the other, `KILLS_A_RUN` times each, and say the figures after each."""
    figures = Figures()
    site = prepared_site(folder)
    for number in range(runs):
        if number > 0:
            _forget(site, folder)
        request = RunRequest(
            dataset=DATASET, configuration="3d_fullres", fold="all", epochs=EPOCHS, iterations=ITERATIONS
        )
        run = RunFolder.create(site.folders.queue, request)
        kill_often(site, folder, run, random.Random(f"{seed}-{number}"), figures)  # noqa: S311 - to be had again
        logging.info("%s\n", figures.table())
    return figures


def _forget(site: TrainingSettings, folder: Path) -> None:
    """Put what the run before left aside."""
    for place in (site.folders.queue, site.folders.results):
        for path in place.glob("Dataset*"):
            path.rename(Path(tempfile.mkdtemp(dir=folder)) / path.name)
    for path in site.folders.queue.glob("training.sqlite*"):
        path.unlink()


def main() -> None:
    """Kill, and tell by the exit code whether anything was lost."""
    parser = argparse.ArgumentParser(description="Kill trainings at random moments.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as folder:
        figures = kill_trainings(Path(folder), arguments.kills // KILLS_A_RUN, arguments.seed)
    sys.exit(1 if figures.begun_afresh or figures.epochs_lost else 0)


if __name__ == "__main__":
    main()
