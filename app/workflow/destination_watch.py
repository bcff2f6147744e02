"""A watch on destinations that work waits for: one that comes back is used at once, not after an hour's wait.

Each destination has a thread, so that one in which an echo hangs delays no other. A destination that answers echoes and
refuses objects is not tried more often for it: only its coming back counts, and the first look at work that waits.
"""

import threading

from sqlalchemy.exc import SQLAlchemyError

from app.settings.node import NodeSettings
from app.workflow.send import check_that_it_answers
from app.workflow.workflow_ids import delivery_queue
from core.errors import ConfigInvalid, RetryLater
from core.event_log import EventLog
from runtime.durable_queue import delayed_in, end_delays, is_used
from runtime.lease_table import reason_of
from runtime.worker_lease import WorkerLease

ECHO_EVERY_S = 5.0

_log = EventLog()


class DestinationWatch:
    """The watch of one worker; of all workers that share a database, the first alone watches.

    Parameters
    ----------
    settings
        The node's settings.
    lease
        This worker's own lease.
    """

    def __init__(self, settings: NodeSettings, lease: WorkerLease) -> None:
        self._settings = settings
        self._lease = lease
        self._answered: dict[str, bool] = {}

    def start(self) -> None:
        """Watch every destination in a thread of its own."""
        for name in self._settings.destinations:
            threading.Thread(target=self._keep_watching, args=[name], name=f"echo-{name}", daemon=True).start()

    def _keep_watching(self, name: str) -> None:
        pause = threading.Event()
        while not pause.wait(ECHO_EVERY_S):
            try:
                if self._lease.is_first:
                    self.look(name)
            except SQLAlchemyError as error:
                _log.warning("destination_not_watched", destination=name, reason=reason_of(error))

    def look(self, name: str) -> bool:
        """Echo a destination if work waits for it, and begin that work if it is back; return whether it was begun."""
        queue = delivery_queue(name)
        if not delayed_in(queue, at_most=1):
            # While a try is under way nothing waits for a moment: that is no coming back, so the answer is kept.
            if not is_used(queue):
                self._answered.pop(name, None)
            return False
        answered_before = self._answered.get(name)
        try:
            check_that_it_answers(self._settings.destinations[name], self._settings.ae_title)
        except (RetryLater, ConfigInvalid):  # the delivery itself says why
            self._answered[name] = False
            return False
        except Exception as problem:  # noqa: BLE001 - an odd answer may break a library, and an echo is worth no worker
            _log.warning("destination_not_watched", destination=name, reason=type(problem).__name__)
            self._answered[name] = False
            return False
        self._answered[name] = True
        if answered_before:
            return False
        waiting = delayed_in(queue)
        end_delays(waiting)
        if answered_before is False:
            _log.info("destination_recovered", destination=name, deliveries=len(waiting))
        return True
