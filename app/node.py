"""The node: starts the listener and the worker, watches them, starts a dead one again, and stops both.

It does no work itself and imports nothing heavy. Children are fresh interpreters, never forks.
"""

import logging
import queue
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

from app.child import READY
from app.http_status import serve_status
from app.logs import configure_logging
from app.overtime import Timekeeper
from app.overview import COUNTERS, Presence
from app.settings import NodeSettings
from core.errors import ConfigInvalid, PackageInvalid
from dicom_io.spool.counters import forget_counters
from dicom_io.spool.spool import Spool

FIRST_RESTART_S = 0.5
LONGEST_RESTART_S = 30.0
STOP_TIMEOUT_S = 10.0
HOLOSCAN_STACK = 32 << 20

_log = logging.getLogger("segnode")


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
    restart_in_s: float = field(default=FIRST_RESTART_S)


class Node:
    """The supervisor of one node's processes.

    Parameters
    ----------
    settings
        The node's settings.
    commands
        Command line of each child by name; each says ``ready`` when it takes work.
    on_ready
        Called once, when every child takes work for the first time.
    """

    def __init__(
        self, settings: NodeSettings, commands: dict[str, Sequence[str]], on_ready: Callable[[NodeSettings], None]
    ) -> None:
        self._settings = settings
        self._children = {name: _Child(name, command) for name, command in commands.items()}
        self._on_ready = on_ready
        self._announced = False
        self._presence = Presence(settings.spool)
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()

    def run(self) -> None:
        """Work until SIGTERM or SIGINT.

        Raises
        ------
        ConfigInvalid, PackageInvalid
            If a child cannot start for a reason that only a person can remedy; its log says which.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        _allow_deep_stacks()
        configure_logging("node", self._settings.logs)
        audit = self._settings.audit_trail()
        audit.application("start")
        try:
            self._be_seen()
            for child in self._children.values():
                self._start(child)
            self._show()
            while (event := self._events.get()).what != "stop":
                self._handle(self._children[event.child], event)
                self._show()
        finally:
            self._stop_children()
            audit.application("stop")

    def _be_seen(self) -> None:
        try:
            self._presence.hold()
            forget_counters(self._settings.spool / COUNTERS)
        except OSError:
            return  # the listener says what is wrong with the spool
        if (http := self._settings.http) is not None:
            serve_status(Spool(self._settings.spool), http.host, http.port)

    def _show(self) -> None:
        try:
            self._presence.show({name: child.ready for name, child in self._children.items()})
        except OSError as error:
            _log.warning("processes_not_shown", extra={"problem": error.strerror})

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._events.put(_Event("stop"))

    def _handle(self, child: _Child, event: _Event) -> None:
        if event.what == "ready":
            child.ready, child.restart_in_s = True, FIRST_RESTART_S
            _log.info("process_ready", extra={"child": child.name})
            if not self._announced and all(other.ready for other in self._children.values()):
                self._announced = True
                self._on_ready(self._settings)
        elif event.what == "restart":
            self._start(child)
        else:
            self._handle_death(child, event.code)

    def _handle_death(self, child: _Child, code: int) -> None:
        for error in (ConfigInvalid, PackageInvalid):
            if code == error.exit_code and not self._announced:
                raise error(f"the {child.name} cannot start; its log line above says why")
        child.ready = False
        _log.error("process_died", extra={"child": child.name, "code": code, "restart_in_s": child.restart_in_s})
        timer = threading.Timer(child.restart_in_s, self._events.put, [_Event("restart", child.name)])
        timer.daemon = True
        timer.start()
        child.restart_in_s = min(child.restart_in_s * 2, LONGEST_RESTART_S)

    def _start(self, child: _Child) -> None:
        # A session of its own: Ctrl-C reaches the node alone, which then stops its children in order.
        process = subprocess.Popen(  # noqa: S603 - this project's own modules, by this interpreter
            child.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        child.process = process
        _log.info("process_started", extra={"child": child.name, "pid": process.pid})
        timekeeper = Timekeeper(process, Spool(self._settings.spool))
        # Two threads: a process that its child started may keep the pipe open after it.
        threading.Thread(target=self._listen, args=(child.name, process, timekeeper), daemon=True).start()
        threading.Thread(target=self._watch, args=(child.name, process, timekeeper), daemon=True).start()

    def _listen(self, name: str, process: subprocess.Popen[bytes], timekeeper: Timekeeper) -> None:
        assert process.stdout is not None  # noqa: S101 - for the type checker; _start asks for a pipe
        for line in process.stdout:
            if line == READY:
                self._events.put(_Event("ready", name))
            else:
                timekeeper.hear(line)

    def _watch(self, name: str, process: subprocess.Popen[bytes], timekeeper: Timekeeper) -> None:
        code = process.wait()
        timekeeper.stop()
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
        _log.info("node_stopped")


def _allow_deep_stacks() -> None:
    # Holoscan asks for it; a process reads it when it starts, so it must be set before the worker is.
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = HOLOSCAN_STACK if hard == resource.RLIM_INFINITY else min(HOLOSCAN_STACK, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))


def child_commands(
    config: str, listeners: int = 1, workers: int = 1, *, worker: str = "app.worker"
) -> dict[str, Sequence[str]]:
    """Command lines of the node's own children, for a ``node.yaml``.

    Parameters
    ----------
    config
        Path of the settings.
    listeners, workers
        How many processes receive on the one port, and how many run models; the first is called ``listener`` or
        ``worker``, the others are numbered.
    worker
        The workers' module.
    """
    commands: dict[str, Sequence[str]] = {}
    for number in range(1, listeners + 1):
        commands[_numbered("listener", number)] = [sys.executable, "-m", "app.listener_process", config]
    for number in range(1, workers + 1):
        commands[_numbered("worker", number)] = [sys.executable, "-m", worker, config, str(number)]
    return commands


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"
