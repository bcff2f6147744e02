"""Items measured in processes of their own: one that fails, crashes or hangs costs its own line and no other.

A module of items is run as ``python -m MODULE DEVICE SIZE FOLDER ITEM…`` and prints a line of JSON for each item as
soon as it has it. When its process ends early, the item that it was at failed, and a new process goes on with the next.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, cast

Figures = dict[str, Any]
Size = Literal["full", "tiny"]
SHORTEST_S = 5.0
"""Less time than that is not worth a start."""


@dataclass(frozen=True)
class Setting:
    """The device on which items are measured, and their size.

    Attributes
    ----------
    device
        ``cuda`` or ``cpu``.
    size
        ``tiny`` shows that everything runs; its figures say nothing.
    folder
        Series, models and logits that items share.
    """

    device: Literal["cuda", "cpu"]
    size: Size
    folder: Path


@dataclass
class Clock:
    """The seconds that all items have together."""

    seconds: float
    begun: float = field(default_factory=time.monotonic)

    def left(self, most: float) -> float:
        """Return the seconds that an item may take, at most those given."""
        return max(0.0, min(most, self.begun + self.seconds - time.monotonic()))


def measured(
    module: str, items: Sequence[str], setting: Setting, seconds: float, clock: Clock
) -> Iterator[tuple[str, Figures]]:
    """Yield each item with its figures, or with ``{"failed": why}``.

    Parameters
    ----------
    module
        A module of items.
    seconds
        The time limit of one item, its process's start included.
    """
    waiting = list(items)
    while waiting:
        if clock.left(seconds) < SHORTEST_S:
            yield waiting.pop(0), {"failed": f"no time was left of {clock.seconds:.0f} s"}
            continue
        child = _Child(module, waiting, setting)
        for figures in child.lines(lambda: clock.left(seconds)):
            yield waiting.pop(0), figures
        if waiting:
            yield waiting.pop(0), {"failed": child.why}


def print_items(measure: Callable[[str, Setting], Figures]) -> None:
    """Measure the items that the command line names, and print each one's line; the whole of a module's ``main``."""
    device, size, folder, *items = sys.argv[1:]
    setting = Setting(device, size, Path(folder))  # type: ignore[arg-type] # written by `measured`
    for item in items:
        line = json.dumps(measure(item, setting))
        sys.stdout.write(f"\n{line}\n")
        sys.stdout.flush()


class _Child:
    """One process, which works on items until it has done all, fails, or takes too long for one."""

    def __init__(self, module: str, items: Sequence[str], setting: Setting) -> None:
        command = [sys.executable, "-m", module, setting.device, setting.size, str(setting.folder), *items]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process, in `lines`
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            command, stdout=subprocess.PIPE, stderr=self._errors, text=True, start_new_session=True
        )
        self._too_slow = False
        self.why = ""

    def lines(self, seconds: Callable[[], float]) -> Iterator[Figures]:
        """Yield the figures of one item after the other; afterwards ``why`` says what ended the process."""
        timer = self._timer(seconds())
        output = cast("IO[str]", self._process.stdout)
        try:
            for line in output:
                if not line.startswith("{"):  # nnU-Net prints, too
                    continue
                timer.cancel()
                yield json.loads(line)
                timer = self._timer(seconds())
        finally:
            timer.cancel()
            self._end()
            code = self._process.wait()
            self._errors.seek(0)
            said = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
            self._errors.close()
            output.close()
        last = said[-1][:300] if said else "it said nothing"
        self.why = "out of time" if self._too_slow else f"ended with {code}: {last}"

    def _timer(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._stop)
        timer.daemon = True
        timer.start()
        return timer

    def _stop(self) -> None:
        self._too_slow = True
        self._end()

    def _end(self) -> None:
        """End the process with all that it started, which would hold the pipe and the GPU."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
