"""The takeover of work from executors whose leases have expired by live ones.

DBOS resumes only work of an executor of its own name, so the work of a machine that never returns must be requested.
The requester holds the dead executor's lease meanwhile: no two do it at once, and no process of that name starts in
between.
"""

import threading
from uuid import uuid4

from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from core.event_log import EventLog
from runtime.lease_table import Holder, reason_of
from runtime.worker_lease import WorkerLease

LOOKS_PER_LEASE = 3

_log = EventLog()


class Takeover:
    """A watch on the other executors of one database.

    An executor counts as dead if its lease is found expired twice in a row. So if the database's clock was put forward,
    or it was unreachable for longer than a lease, every worker has time to renew its lease.

    Parameters
    ----------
    lease
        This worker's own lease.
    """

    def __init__(self, lease: WorkerLease) -> None:
        self._lease = lease
        self._suspects: frozenset[tuple[str, str]] = frozenset()

    def start(self) -> None:
        """Look repeatedly, in a thread of its own, since DBOS's resumption of work may take long."""
        threading.Thread(target=self._keep_looking, name="takeover", daemon=True).start()

    def _keep_looking(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._lease.leases.seconds / LOOKS_PER_LEASE):
            try:
                self.look()
            except SQLAlchemyError as error:
                _log.warning("executors_not_checked", reason=reason_of(error))

    def look(self) -> list[str]:
        """Hand on the work of executors that were dead at the last look too, and return their names."""
        known = self._lease.leases.executors()
        instances = {one.executor: one.instance for one in known}
        gone = {one.executor for one in known if not one.is_live} | (_executors_at_work() - instances.keys())
        gone.discard(self._lease.executor)
        # A process that has come back in the meantime is another instance, and so another suspect.
        suspects = frozenset((executor, instances.get(executor, "")) for executor in gone)
        dead = sorted(executor for executor, _ in suspects & self._suspects)
        self._suspects = suspects
        return [executor for executor in dead if self._hand_on(executor)]

    def _hand_on(self, executor: str) -> bool:
        instance = uuid4().hex
        heir = self._lease.holder
        holder = Holder(instance, f"heir:{instance}", heir.host, heir.version)
        leases = self._lease.leases
        if leases.acquire(executor, holder) is not None:
            return False
        handed = DBOS._recover_pending_workflows([executor])
        leases.release(executor, instance)
        _log.warning("executor_died", executor=executor, handed_on=len(handed))
        return True


def _executors_at_work() -> set[str]:
    running = DBOS.list_workflows(
        status="PENDING", app_version=DBOS.application_version, load_input=False, load_output=False
    )
    return {one.executor_id for one in running if one.executor_id}
