"""The node: its listener and its workers under a supervisor, and how it shows itself.

It does no work itself and imports nothing heavy.
"""

import resource
import subprocess
from collections.abc import Callable, Mapping, Sequence

from app.node.presence import Presence, part_of
from app.node.status_server import serve_status
from app.settings.node import ENVIRONMENT, NodeSettings
from app.workflow.study_timeout import StudyWatchdog
from core.event_log import EventLog
from dicom_io.spool.counters import COUNTERS, forget_counters
from dicom_io.spool.spool import Spool
from runtime.child import PYTHON
from runtime.logs import configure_logging
from runtime.processor import settle_threads
from runtime.settings_environment import keys_from_environment
from runtime.supervisor import Supervisor, numbered

HOLOSCAN_STACK = 32 << 20

_log = EventLog()


class Node:
    """One node's processes.

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
        self, settings: NodeSettings, commands: Mapping[str, Sequence[str]], on_ready: Callable[[NodeSettings], None]
    ) -> None:
        self._settings = settings
        self._parts = {part_of(command) for command in commands}
        self._presence = Presence(settings.spool, settings.executor, self._parts)
        self._supervisor = Supervisor(commands, lambda: on_ready(settings), self._show, self._watchdog)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT.

        Raises
        ------
        ConfigInvalid
            If a node of this machine runs on the spool already.
        ConfigInvalid, PackageInvalid
            If a child cannot start for a reason that only a person can remedy; its log says which.
        """
        _allow_deep_stacks()
        settle_threads(len(self._settings.workers))  # for the children, which read it as soon as they start
        configure_logging("node", self._settings.logs)
        if keys := keys_from_environment(ENVIRONMENT):
            _log.info("settings_overridden", keys=",".join(keys))
        is_seen = self._hold_the_spool()  # a node that is refused leaves the running one's audit trail alone
        audit = self._settings.audit_trail()
        audit.application("start")
        try:
            if is_seen:
                self._serve_status()
            self._supervisor.run()
        finally:
            _log.info("node_stopped")
            audit.application("stop")
            self._presence.release()

    def _hold_the_spool(self) -> bool:
        try:
            self._presence.hold()
            forget_counters(self._settings.spool / COUNTERS, self._parts)
        except OSError:
            return False  # the listener says what is wrong with the spool
        return True

    def _serve_status(self) -> None:
        if (http := self._settings.http) is not None:
            serve_status(Spool(self._settings.spool), http.host, http.port, self._settings.reception.kept_free)

    def _show(self, ready: dict[str, bool]) -> None:
        try:
            self._presence.show(ready)
        except OSError as error:
            _log.warning("processes_not_shown", problem=error.strerror)

    def _watchdog(self, process: subprocess.Popen[bytes]) -> StudyWatchdog:
        return StudyWatchdog(process, Spool(self._settings.spool))


def _allow_deep_stacks() -> None:
    # Holoscan asks for it; a process reads it when it starts, so it must be set before the worker is.
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = HOLOSCAN_STACK if hard == resource.RLIM_INFINITY else min(HOLOSCAN_STACK, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))


def child_commands(
    config: str, listeners: int = 1, workers: int = 1, *, worker: str = "app.node.worker"
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
    for name in numbered("listener", listeners):
        commands[name] = [*PYTHON, "app.node.listener", config]
    for slot, name in enumerate(numbered("worker", workers), start=1):
        commands[name] = [*PYTHON, worker, config, str(slot)]
    return commands
