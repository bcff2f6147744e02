"""The display of progress on standard error: bars at a terminal; elsewhere a line at each phase and each tenth."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Protocol

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

TENTHS = 10


def say(line: str) -> None:
    """Write a line to standard error."""
    typer.echo(f"segnode: {line}", err=True)


def in_tenths(title: str) -> Callable[[float], None]:
    """Return what takes the fraction that is done, and says each tenth that is reached, once."""
    reached, lock = [0], threading.Lock()

    def tell(fraction: float) -> None:
        with lock:
            tenth = int(fraction * TENTHS + 1e-9)
            if tenth > reached[0]:
                reached[0] = tenth
                say(f"{title}: {tenth * 100 // TENTHS} %")

    return tell


def phase(title: str, *, shown: bool = True) -> AbstractContextManager[object]:
    """Say that a phase begins; at a terminal something moves until it is over."""
    if not shown:
        return nullcontext()
    console = Console(stderr=True)
    if console.is_terminal:
        return console.status(title)
    say(title)
    return nullcontext()


@contextmanager
def progress_of(title: str, *, shown: bool = True) -> Iterator[Callable[[float], None]]:
    """Show the progress of one piece of work, by the fraction that is done."""
    console = Console(stderr=True)
    if not shown or console.is_terminal:
        with Progress(console=console, transient=True, disable=not shown) as bars:
            task = bars.add_task(title, total=1.0)
            yield lambda fraction: bars.update(task, completed=fraction)
        return
    say(title)
    yield in_tenths(title)


class ShownRun(Protocol):
    """The display of the run on one study."""

    def phase(self, model: str, phase: str) -> None:
        """Show the phase that begins for a model."""

    def progress(self, model: str, done: float) -> None:
        """Show the fraction of a model's network that is done."""

    def end(self) -> None:
        """Show nothing more of this study."""


class _Lines:
    """One line at each phase of a model, and at each tenth of its network."""

    def __init__(self, study: str) -> None:
        self._study = study
        self._networks: dict[str, Callable[[float], None]] = {}

    def phase(self, model: str, phase: str) -> None:
        say(f"{self._study}, {model}: {phase}")

    def progress(self, model: str, done: float) -> None:
        if model not in self._networks:
            self._networks[model] = in_tenths(f"{self._study}, {model}: network")
        self._networks[model](done)

    def end(self) -> None:
        pass


class _Bars:
    """A bar for each model, which names its phase."""

    def __init__(self, bars: Progress, study: str) -> None:
        self._bars, self._study = bars, study
        self._tasks: dict[str, TaskID] = {}

    def phase(self, model: str, phase: str) -> None:
        self._bars.update(self._task(model), description=f"{self._study}, {model}: {phase}")

    def progress(self, model: str, done: float) -> None:
        self._bars.update(self._task(model), completed=done)

    def end(self) -> None:
        for task in self._tasks.values():
            self._bars.remove_task(task)

    def _task(self, model: str) -> TaskID:
        if model not in self._tasks:
            self._tasks[model] = self._bars.add_task(f"{self._study}, {model}", total=1.0)
        return self._tasks[model]


@contextmanager
def shown_runs() -> Iterator[Callable[[str], ShownRun]]:
    """Yield what makes the display of each study of a folder, by what the study is called in it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines
        return
    with Progress(console=console, transient=True) as bars:
        yield partial(_Bars, bars)
