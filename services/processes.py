"""The inference service's processes under a supervisor: one serves callers, the others hold models.

This one imports neither gRPC nor torch, and starts its children as fresh interpreters (ADR 13).
"""

import errno
import resource
import subprocess
import sys
from pathlib import Path
from typing import Final

from core.errors import ConfigInvalid
from core.event_log import EventLog
from runtime.child import PYTHON
from runtime.processor import settle_threads
from runtime.settings_environment import keys_from_environment
from runtime.supervisor import Supervisor, numbered
from runtime.watchdog import Watchdog
from services.jobs.timeouts import JobTimeouts
from services.settings import ENVIRONMENT, ServiceSettings, load_service_settings

SQLITE: Final = "sqlite:///"
OPEN_FILES: Final = 65_536

_log = EventLog()


def run_service(config: Path) -> None:
    """Run until SIGTERM or SIGINT.

    Parameters
    ----------
    config
        The ``service.yaml``; absolute.

    Raises
    ------
    ConfigInvalid, PackageInvalid
        If it cannot start for a reason that only a person can remedy; its log states the reason.
    """
    settings = load_service_settings(config)
    if keys := keys_from_environment(ENVIRONMENT):
        _log.info("settings_overridden", keys=",".join(keys))
    commands = {"server": [*PYTHON, "services.server", str(config)]}
    for slot, name in enumerate(numbered("worker", len(settings.workers)), start=1):
        commands[name] = [*PYTHON, "services.worker", str(config), str(slot)]
    _make_place(settings)
    _open_many_files()
    settle_threads(len(settings.workers))  # for the children, which read it as soon as they start
    timeouts = JobTimeouts(settings.work)

    def watchdog(process: subprocess.Popen[bytes]) -> Watchdog:
        return Watchdog(process, ("job",), lambda job, _: timeouts.note(job))

    Supervisor(commands, lambda: _announce(settings), listener=watchdog).run()


def _make_place(settings: ServiceSettings) -> None:
    """Make work folder and queue before the start, so that a person learns of a wrong place at once."""
    try:
        settings.work.mkdir(parents=True, exist_ok=True)
        if settings.database.startswith(SQLITE):
            # Nobody else's to read: requests name paths, and paths may name patients.
            Path(settings.database.removeprefix(SQLITE)).touch(mode=0o600)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return  # this passes: those who need the disk say so, and try again
        remedy = "give the service's user write permission there, or change work or database"
        raise ConfigInvalid(f"{error.filename}: {error.strerror}; {remedy}") from error


def _open_many_files() -> None:
    # A worker holds each file of a folder of DICOM open, the server each connection; common limits, which children get
    # from here, are of a time when programs counted them by bits.
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _announce(settings: ServiceSettings) -> None:
    ports = {"grpc": settings.grpc, "rest": settings.rest}
    shown = " ".join(f"{name}={port.address}" for name, port in ports.items() if port is not None)
    sys.stdout.write(f"ready {shown}\n")
    sys.stdout.flush()
