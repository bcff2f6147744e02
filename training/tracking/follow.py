"""The process that follows a site's runs: ``python -m training.tracking.follow SETTINGS_JSON [RUN...]``.

It sends what is new every few seconds. Where the server is down, the runs keep it in their folders, and it is sent when
the server answers again, be it days later, by another process. It ends when its standard input is closed, after a last
look at all runs.
"""

import json
import os
import select
import sys
import time
from collections.abc import Sequence

from core.errors import RetryLater, SegnodeError
from core.event_log import EventLog
from core.file_locks import take_lock
from runtime.child import run_child
from runtime.logs import configure_logging
from training.folders import open_site
from training.runs.records import RunFolder, runs_in
from training.settings import Folders, TrainingSettings
from training.tracking.record import TrackedRun
from training.tracking.send import Sender
from training.tracking.server import Server, shown

LOOK_EVERY_S = 2.0
AGAIN_AFTER_S = 30.0
"""The pause after a failure; a server that is down is asked no more often."""

_log = EventLog()


def send_run(folders: Folders, run: RunFolder, server: Server) -> TrackedRun | None:
    """Send what is new of a run; None where another process does it at this moment.

    Raises
    ------
    RetryLater, ConfigInvalid
        As `Sender.send`.
    """
    descriptor = take_lock(run.path / "tracking.lock")
    if descriptor is None:
        return None
    try:
        return Sender(folders, run, server).send()
    finally:
        os.close(descriptor)


def stamp_of(folders: Folders, run: RunFolder) -> tuple[int, ...]:
    """Return what changes whenever there is something to send: times and sizes of the files that it comes from."""
    names = [run.path / name for name in ("epochs.jsonl", "training.json", "state.json")]
    found = []
    for path in (*names, run.request().output(folders) / "progress.png"):
        try:
            status = path.stat()
        except OSError:
            continue
        found += [status.st_mtime_ns, status.st_size]
    return tuple(found)


class Follower:
    """Follows runs, and tells once of each failure.

    Parameters
    ----------
    folders
        The site's folders.
    only
        Names of the runs; all of the queue where none is given.
    """

    def __init__(self, folders: Folders, only: Sequence[str] = ()) -> None:
        self._folders, self._only = folders, set(only)
        self._server = Server(folders.queue)
        self._sent: dict[str, tuple[int, ...]] = {}
        self._failed_at = -AGAIN_AFTER_S
        self._told = ""

    def look(self, *, is_last: bool = False) -> None:
        """Send what is new of all runs; a failure is logged, and waits for the next look but 30 s."""
        if not is_last and time.monotonic() - self._failed_at < AGAIN_AFTER_S:
            return
        for run in runs_in(self._folders.queue):
            if self._only and run.key not in self._only:
                continue
            try:
                stamp = stamp_of(self._folders, run)
                if self._sent.get(run.key) != stamp and send_run(self._folders, run, self._server) is not None:
                    self._sent[run.key] = stamp
                    self._told = ""
            except RetryLater as error:
                self._tell("tracking_waits", run, error)
                self._failed_at = time.monotonic()
                return
            except (SegnodeError, ValueError, LookupError, OSError) as error:
                self._tell("tracking_failed", run, error)
                self._sent[run.key] = stamp_of(self._folders, run)  # not again before it changes

    def _tell(self, event: str, run: RunFolder, error: Exception) -> None:
        if self._told != str(error):
            self._told = str(error)
            _log.warning(event, run=run.key, reason=str(error), server=shown(self._server.uri))


def _work() -> None:
    settings = TrainingSettings.model_validate(json.loads(sys.argv[1]))
    configure_logging("tracking", settings.logs)
    os.nice(5)
    open_site(settings)
    follower = Follower(settings.folders, sys.argv[2:])
    while not select.select([0], [], [], LOOK_EVERY_S)[0]:
        follower.look()
    follower.look(is_last=True)


def main() -> None:
    """Entry of the process."""
    run_child(_work)


if __name__ == "__main__":
    main()
