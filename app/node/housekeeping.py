"""The work of one worker of all beside its studies: it closes and queues them, and keeps the database small."""

import math
import time

from sqlalchemy.exc import SQLAlchemyError

from app.workflow.intake import Intake, StudyWork, recover
from app.workflow.study_queue import StudyQueue
from core.event_log import EventLog
from dicom_io.spool.spool import Spool
from runtime.clock import ClockWatch, bring_forward
from runtime.durable_queue import FORGOTTEN_AT_ONCE, forget_ended
from runtime.lease_table import reason_of
from runtime.worker_lease import WorkerLease

RECOVER_EVERY_S = 600.0
FORGET_EVERY_S = 3600.0
KEPT_DAYS = 7.0
"""Time that the database keeps finished work, for a person who asks what happened; the spool has what came of it."""

_log = EventLog()


class Housekeeping:
    """Looks after the spool and the workflow database.

    Parameters
    ----------
    spool
        The spool.
    intake
        Closes its studies.
    work
        What their work is queued with.
    lease
        This worker's own lease.
    queue
        The queue of studies.
    """

    def __init__(self, spool: Spool, intake: Intake, work: StudyWork, lease: WorkerLease, queue: StudyQueue) -> None:
        self._spool = spool
        self._intake = intake
        self._work = work
        self._lease = lease
        self._queue = queue
        self._clock = ClockWatch()
        self._versions = lease.versions
        self._recovered = self._forgot = -math.inf

    def look(self) -> None:
        """Do what is due; what disk or database do not allow for now is logged."""
        try:
            if back := self._clock.set_back_by():
                _log.warning("clock_set_back", seconds=round(back), waiting=bring_forward(back))
            if time.monotonic() - self._recovered > RECOVER_EVERY_S or self._versions != self._lease.versions:
                self._versions = self._lease.versions
                recover(self._spool, self._work)
                self._recovered = time.monotonic()
            self._intake.look()
            self._queue.settle()
            # A full batch is followed by the next one at the next look, so that studies never wait for many.
            if time.monotonic() - self._forgot > FORGET_EVERY_S and forget_ended(KEPT_DAYS) < FORGOTTEN_AT_ONCE:
                self._forgot = time.monotonic()
        except OSError as error:
            # A full disk passes; a worker that ended over it would cost the study that it runs.
            _log.error("spool_failed", problem=error.strerror)
        except SQLAlchemyError as error:
            _log.error("database_not_reached", reason=reason_of(error))
