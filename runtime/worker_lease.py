"""The own lease of a worker process, renewed by a thread and checked before work; a process that loses it ends at once.

The process counts its lease from before it asked for it, by a clock that neither jumps nor stops while the machine
sleeps, so it takes it for ended no later than the database does.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError

from core.errors import RetryLater
from core.event_log import EventLog
from core.rate_limit import RateLimit
from runtime.lease_table import Executor, Holder, LeaseTable, reason_of

RENEWALS_PER_LEASE = 3
ASK_AGAIN_S = 1.0
_SAY_AGAIN_S = 60.0

_log = EventLog()


def this_process(spool: Path, host: str, version: str) -> Holder:
    """Return this process's identity in the table of leases."""
    folder = spool.stat()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Holder(uuid4().hex, f"{boot}:{folder.st_dev}:{folder.st_ino}", host, version)


def end_process() -> None:
    """End at once, whatever other threads do: the work belongs to another process."""
    os._exit(RetryLater.exit_code)


class WorkerLease:
    """The lease of one executor; `dicom_io.spool.claims.WorkerLease` for the claims on studies.

    Parameters
    ----------
    leases
        The table.
    executor
        Name of the lease's executor.
    holder
        This process.
    on_lost
        Called when another process has taken the lease; it does not return.
    """

    def __init__(
        self, leases: LeaseTable, executor: str, holder: Holder, on_lost: Callable[[], None] = end_process
    ) -> None:
        self.executor = executor
        self.leases = leases
        self.holder = holder
        self._on_lost = on_lost
        # When the database is back, all renew their leases before anybody has looked twice whose has run out.
        self._ask_again_s = min(ASK_AGAIN_S, leases.seconds / RENEWALS_PER_LEASE / 2.0)
        self._valid_until = 0.0
        self._ended = threading.Event()
        self._known: tuple[Executor, ...] = ()

    def begin(self, spool_id: str, wants_to_stop: Callable[[float], bool]) -> bool:
        """Wait for the database and the lease, log the reason of each wait, then keep the lease.

        Parameters
        ----------
        spool_id
            The spool that the database must belong to.
        wants_to_stop
            Waits for a number of seconds; returns True to give up.

        Returns
        -------
        bool
            True if this process holds the lease; False if it gave up.

        Raises
        ------
        ConfigInvalid
            If the database belongs to another spool.
        """
        said = RateLimit(_SAY_AGAIN_S, _now)  # what is asked every second would fill the log
        while True:
            asked = _now()
            try:
                self.leases.prepare(spool_id)
                other = self.leases.acquire(self.executor, self.holder)
            except SQLAlchemyError as error:
                if said.due("database") is not None:
                    _log.warning("database_not_reached", reason=reason_of(error))
            else:
                if other is None:
                    self._valid_until = asked + self.leases.seconds
                    self._look_around()
                    threading.Thread(target=self._keep, name="lease", daemon=True).start()
                    return True
                # A machine of the same name, or one that died less than a lease ago.
                remedy = "name each machine by executor: in node.yaml"
                if said.due("executor") is not None:
                    _log.warning("executor_claimed_elsewhere", executor=self.executor, host=other.host, remedy=remedy)
            if wants_to_stop(ASK_AGAIN_S):
                return False

    def holds(self) -> bool:
        """Tell whether the lease is certainly unexpired, by the own clock alone."""
        return not self._ended.is_set() and _now() < self._valid_until

    def confirm(self) -> None:
        """Return once the database confirms the lease; end the process if another has taken it."""
        while not self._renew():
            time.sleep(self._ask_again_s)

    @property
    def is_first(self) -> bool:
        """Tell whether this is the first live executor by name, which does the work that only one must do."""
        return min(self.live) >= self.executor

    @property
    def live(self) -> frozenset[str]:
        """Return the names of the live executors, this one included."""
        return frozenset({self.executor, *(known.executor for known in self._known if known.is_live)})

    @property
    def versions(self) -> frozenset[str]:
        """Return the versions of the workflows that live executors run."""
        return frozenset({self.holder.version, *(known.version for known in self._known if known.is_live)})

    def give_up(self) -> None:
        """Begin no more work, and let other executors take it over at once."""
        self._ended.set()
        try:
            self.leases.release(self.executor, self.holder.instance)
        except SQLAlchemyError as error:
            _log.warning("lease_not_released", executor=self.executor, reason=reason_of(error))

    def _keep(self) -> None:
        said = RateLimit(_SAY_AGAIN_S, _now)  # what is asked every second would fill the log
        while not self._ended.wait(self.leases.seconds / RENEWALS_PER_LEASE):
            while not self._renew(said):
                if self._ended.wait(self._ask_again_s):
                    return
            said.clear()

    def _renew(self, said: RateLimit | None = None) -> bool:
        asked = _now()
        try:
            mine = self.leases.renew(self.executor, self.holder.instance)
            if mine:
                self._valid_until = max(self._valid_until, asked + self.leases.seconds)
                self._look_around()
        except SQLAlchemyError as error:
            if said is not None and said.due("database") is not None:
                _log.warning("database_not_reached", reason=reason_of(error))
            return False
        if not mine and not self._ended.is_set():
            _log.error("lease_lost", executor=self.executor)
            self._on_lost()
        return True

    def _look_around(self) -> None:
        self._known = tuple(self.leases.executors())


def _now() -> float:
    # CLOCK_MONOTONIC stands still while a machine sleeps, and others work on meanwhile.
    return time.clock_gettime(time.CLOCK_BOOTTIME)
