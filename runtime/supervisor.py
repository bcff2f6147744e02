"""The parent of child processes: it starts them, restarts a dead one, and stops them all.

It imports nothing heavy. Children are fresh interpreters, never forks; each prints ``ready`` when it can take work
(`runtime.child`).
"""

import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from core.backoff import Backoff
from core.errors import ConfigInvalid, PackageInvalid
from core.event_log import EventLog
from runtime.child import READY

_RESTARTS = Backoff(0.5, 30.0)
STOP_TIMEOUT_S = 10.0

_log = EventLog()


class Listener(Protocol):
    """A reader of the lines that one child process prints beside ``ready``."""

    def hear(self, line: bytes) -> None:
        """Read one line of the child's standard output."""
        ...

    def stop(self) -> None:
        """Take note that the process has ended."""
        ...


class Deaf:
    """A reader that ignores every line, for children that print nothing else."""

    def hear(self, line: bytes) -> None:
        """Ignore a line."""

    def stop(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class _Event:
    what: str  # "ready", "died", "restart" or "stop"
    child: str = ""
    code: int = 0


@dataclass
class _Child:
    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    deaths: int = 0
    """Since it was ready last."""


class Supervisor:
    """The parent of some processes.

    Parameters
    ----------
    commands
        Command line of each child by name.
    on_ready
        Called once, when every child is ready for the first time.
    on_change
        Called with the children that are ready, at the start and after each change.
    listener
        Makes the reader of a child's lines.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        on_ready: Callable[[], None],
        on_change: Callable[[dict[str, bool]], None] = lambda ready: None,
        listener: Callable[[subprocess.Popen[bytes]], Listener] = lambda process: Deaf(),
    ) -> None:
        self._children = {name: _Child(name, command) for name, command in commands.items()}
        self._on_ready = on_ready
        self._on_change = on_change
        self._listener = listener
        self._announced = False
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()

    def run(self) -> None:
        """Keep the children alive until SIGTERM or SIGINT.

        Raises
        ------
        ConfigInvalid, PackageInvalid
            If a child cannot start for a reason that only a person can remedy; its log states the reason.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            for child in self._children.values():
                self._start(child)
            self._show()
            while (event := self._events.get()).what != "stop":
                self._handle(self._children[event.child], event)
                self._show()
                self._announce()
        finally:
            self._stop_children()

    def _show(self) -> None:
        self._on_change({name: child.ready for name, child in self._children.items()})

    def _announce(self) -> None:
        # After it was shown: whoever hears of it and looks finds it so.
        if not self._announced and all(child.ready for child in self._children.values()):
            self._announced = True
            self._on_ready()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._events.put(_Event("stop"))

    def _handle(self, child: _Child, event: _Event) -> None:
        if event.what == "ready":
            child.ready, child.deaths = True, 0
            _log.info("process_reported_ready", child=child.name)
        elif event.what == "restart":
            self._start(child)
        else:
            self._handle_death(child, event.code)

    def _handle_death(self, child: _Child, code: int) -> None:
        for error in (ConfigInvalid, PackageInvalid):
            if code == error.exit_code and not self._announced:
                raise error(f"the {child.name} cannot start; its log line above states the reason")
        child.ready = False
        restart_in_s = _RESTARTS.wait_s(child.deaths)
        child.deaths += 1
        _log.error("process_died", child=child.name, code=code, restart_in_s=restart_in_s)
        timer = threading.Timer(restart_in_s, self._events.put, [_Event("restart", child.name)])
        timer.daemon = True
        timer.start()

    def _start(self, child: _Child) -> None:
        # A session of its own: Ctrl-C reaches the parent alone, which then stops its children in order.
        process = subprocess.Popen(  # noqa: S603 - this project's own modules, by this interpreter
            child.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        child.process = process
        _log.info("process_started", child=child.name, pid=process.pid)
        listener = self._listener(process)
        # Two threads: a process that its child started may keep the pipe open after it.
        threading.Thread(target=self._listen, args=(child.name, process, listener), daemon=True).start()
        threading.Thread(target=self._watch, args=(child.name, process, listener), daemon=True).start()

    def _listen(self, name: str, process: subprocess.Popen[bytes], listener: Listener) -> None:
        assert process.stdout is not None  # noqa: S101 - for the type checker; _start asks for a pipe
        for line in process.stdout:
            if line == READY:
                self._events.put(_Event("ready", name))
            else:
                listener.hear(line)

    def _watch(self, name: str, process: subprocess.Popen[bytes], listener: Listener) -> None:
        code = process.wait()
        listener.stop()
        self._events.put(_Event("died", name, code))

    def _stop_children(self) -> None:
        alive = [c.process for c in self._children.values() if c.process is not None and c.process.poll() is None]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in alive:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def numbered(name: str, count: int) -> list[str]:
    """Name the children of one kind: ``worker``, ``worker-2`` and so on, up to the count."""
    return [name if number == 1 else f"{name}-{number}" for number in range(1, count + 1)]
