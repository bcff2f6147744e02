"""A watch for a wall clock that is set back: DBOS measures delays by it, so queued work would wait as long again."""

import time

from dbos import DBOS

STEP_S = 5.0
"""A smaller step is a time service's slewing of the clock, and delays a retry no longer than that."""


class ClockWatch:
    """A comparison of the wall clock with the monotonic clock."""

    def __init__(self) -> None:
        self._ahead = _ahead_s()

    def set_back_by(self) -> float:
        """Return the seconds that the wall clock was set back since the last call; 0 if it was not."""
        before, self._ahead = self._ahead, _ahead_s()
        step = before - self._ahead
        return step if step > STEP_S else 0.0


def _ahead_s() -> float:
    return time.time() - time.monotonic()


def bring_forward(seconds: float) -> int:
    """Shorten the delay of all work that waits for a retry, and return the number of workflows."""
    delayed = DBOS.list_workflows(status=["DELAYED"], load_input=False, load_output=False)
    for workflow in delayed:
        if (until := workflow.delay_until_epoch_ms) is not None:
            DBOS.set_workflow_delay(workflow.workflow_id, delay_until_epoch_ms=max(0, until - int(seconds * 1000)))
    return len(delayed)
