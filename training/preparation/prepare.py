"""Prepare data sets in parallel, over data sets, configurations and cases, within the memory there is.

Each case is a task with a token: the memory that it is predicted to take. Tasks begin, the largest first, as long as
their tokens fit. A prepared case is not prepared again, unless its images, its labels or the plans have changed.
"""

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ConfigInvalid, RetryLater
from core.file_locks import locked
from core.files import replace_file, replacing
from segmentation.importing.plans import resolve_configuration
from training.folders import nnunet_environment
from training.preparation.cases import MADE_OF, CaseTask, made_of, prepare_case
from training.preparation.memory import token_bytes
from training.preparation.raw import RawCase, raw_cases
from training.settings import TrainingSettings

ALL = ("2d", "3d_fullres", "3d_lowres")
"""Configurations whose cases are prepared; a cascade takes those of 3d_fullres."""


@dataclass(frozen=True)
class Wanted:
    """One configuration of one data set."""

    dataset: str
    plans: str
    configuration: str


@dataclass
class Done:
    """Counts of a preparation.

    Attributes
    ----------
    prepared, known
        Cases that were prepared now, and before.
    largest
        Most memory in bytes that one process took, and the token of its largest task.
    """

    prepared: int = 0
    known: int = 0
    largest: int = 0
    token: int = 0


def prepare(
    settings: TrainingSettings,
    wanted: Sequence[Wanted],
    workers: int,
    memory: int,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Done:
    """Prepare all cases of some configurations.

    Parameters
    ----------
    workers
        Processes at a time.
    memory
        Bytes that they may take together; a case that alone needs more is prepared alone.
    on_progress
        Called with the share that is done.

    Raises
    ------
    ConfigInvalid
        If a case cannot be prepared.
    RetryLater
        If a process was killed, as for want of memory.
    """
    done = Done()
    with _guarded(settings, {one.dataset for one in wanted}):
        tasks = [task for one in wanted for task in _tasks(settings, one)]
        todo = [task for task in tasks if not task.is_done]
        done.known = len(tasks) - len(todo)
        todo.sort(key=lambda task: -task.token)
        os.environ.update(nnunet_environment(settings.folders))
        for result, task in _in_parallel(todo, workers, memory):
            done.prepared += 1
            done.largest, done.token = max((result, task.token), (done.largest, done.token))
            on_progress((done.known + done.prepared) / len(tasks))
    return done


def _in_parallel(todo: list[CaseTask], workers: int, memory: int) -> Iterator[tuple[int, CaseTask]]:
    """Run the tasks, never more of them than their tokens allow; give each result as it comes."""
    running: dict[Future[int], CaseTask] = {}
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        while todo or running:
            while todo and len(running) < workers:
                left = memory - sum(task.token for task in running.values())
                fitting = next((task for task in todo if task.token <= left), None if running else todo[0])
                if fitting is None:
                    break
                todo.remove(fitting)
                running[pool.submit(prepare_case, fitting)] = fitting
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                yield _result(future, task), task


def _result(future: Future[int], task: CaseTask) -> int:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise RetryLater(
            f"{task.name}: a process was killed, as one is that takes more memory than there is; what is prepared "
            "stays, so go on with a smaller memory_gb"
        ) from error
    except (OSError, RuntimeError, ValueError, AssertionError, KeyError, IndexError) as error:
        raise ConfigInvalid(f"{task.name}: cannot be prepared for {task.configuration}: {error}") from error


def _tasks(settings: TrainingSettings, wanted: Wanted) -> list[CaseTask]:
    """List the cases of one configuration, their folder made and cleared of what is not current."""
    raw, base = settings.folders.raw / wanted.dataset, settings.folders.preprocessed / wanted.dataset
    plans_path = base / f"{wanted.plans}.json"
    plans: dict[str, Any] = json.loads(plans_path.read_text())
    chosen = resolve_configuration(plans, wanted.configuration)
    target = base / chosen["data_identifier"]
    cases = raw_cases(raw)
    _clear(target, made_of(plans, chosen, raw, cases))
    _copy_labels(base / "gt_segmentations", cases)
    return [
        CaseTask(
            name=name,
            images=tuple(map(str, case.images)),
            label=str(case.label),
            plans=str(plans_path),
            configuration=wanted.configuration,
            description=str(raw / "dataset.json"),
            target=str(target),
            token=token_bytes(case.images[0], chosen["spacing"], len(chosen["normalization_schemes"])),
        )
        for name, case in sorted(cases.items())
    ]


def _clear(target: Path, current: str) -> None:
    # Beside the folder: nnU-Net tells the kind of the cases in it by the endings of all of its files.
    note = target.with_name(f"{target.name}.{MADE_OF}")
    if target.exists() and (not note.exists() or json.loads(note.read_text()) != current):
        shutil.rmtree(target)
    for aside in target.glob(".*.part"):
        shutil.rmtree(aside)  # of a process that was killed
    target.mkdir(exist_ok=True)
    replace_file(note, json.dumps(current).encode())


def _copy_labels(folder: Path, cases: Mapping[str, RawCase]) -> None:
    """Copy the true masks to where nnU-Net's validation looks for them."""
    folder.mkdir(exist_ok=True)
    for name, case in cases.items():
        label = case.label
        copy = folder / f"{name}{''.join(label.suffixes)}"
        if copy.exists() and copy.stat().st_mtime_ns >= label.stat().st_mtime_ns:
            continue
        with replacing(copy) as temporary:
            shutil.copyfile(label, temporary)


@contextmanager
def _guarded(settings: TrainingSettings, datasets: set[str]) -> Iterator[None]:
    """Keep two people from preparing one data set at once; the second one waits."""
    if not datasets:
        yield
        return
    name = min(datasets)
    lock = settings.folders.preprocessed / name / ".lock"
    lock.touch(mode=0o664)
    with locked(lock), _guarded(settings, datasets - {name}):
        yield
