"""Hands the work of executors that are heard of no more to those that live.

DBOS goes on only with work of an executor of one's own name, so that of a machine that never comes back has to be asked
for. Who asks holds the dead executor's own lease meanwhile: no two do it at once, and no process of that name starts in
between.
"""

import logging
import threading
from uuid import uuid4

from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from runtime.lease_table import Holder, reason_of
from runtime.worker_lease import Tenure

LOOKS_PER_LEASE = 3

_log = logging.getLogger("segnode")


class Reaper:
    """Looks after the other executors of one database.

    An executor counts as dead when its lease has run out at two looks in turn, so that a database whose clock was put
    forward, or that was away for longer than a lease, gives everybody the time to renew theirs.

    Parameters
    ----------
    tenure
        This worker's own lease.
    """

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure
        self._suspects: frozenset[tuple[str, str]] = frozenset()

    def start(self) -> None:
        """Look again and again, in a thread of its own: what DBOS is asked for may take long."""
        threading.Thread(target=self._keep_looking, name="reaper", daemon=True).start()

    def _keep_looking(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._tenure.leases.seconds / LOOKS_PER_LEASE):
            try:
                self.look()
            except SQLAlchemyError as error:
                _log.warning("not_looked_for_dead_executors", extra={"reason": reason_of(error)})

    def look(self) -> list[str]:
        """Hand on the work of those that were dead at the last look too; their names."""
        known = self._tenure.leases.executors()
        instances = {one.executor: one.instance for one in known}
        gone = {one.executor for one in known if not one.is_live} | (_executors_at_work() - instances.keys())
        gone.discard(self._tenure.executor)
        # A process that has come back in the meantime is another instance, and so another suspect.
        suspects = frozenset((executor, instances.get(executor, "")) for executor in gone)
        dead = sorted(executor for executor, _ in suspects & self._suspects)
        self._suspects = suspects
        return [executor for executor in dead if self._hand_on(executor)]

    def _hand_on(self, executor: str) -> bool:
        instance = uuid4().hex
        heir = self._tenure.holder
        holder = Holder(instance, f"heir:{instance}", heir.host, heir.version)
        leases = self._tenure.leases
        if leases.acquire(executor, holder) is not None:
            return False
        handed = DBOS._recover_pending_workflows([executor])
        leases.release(executor, instance)
        _log.warning("executor_dead", extra={"executor": executor, "handed_on": len(handed)})
        return True


def _executors_at_work() -> set[str]:
    running = DBOS.list_workflows(
        status="PENDING", app_version=DBOS.application_version, load_input=False, load_output=False
    )
    return {one.executor_id for one in running if one.executor_id}
