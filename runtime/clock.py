"""Notices when the wall clock was set back: DBOS counts its delays by it, and would make work wait as long again."""

import time

from dbos import DBOS

STEP_S = 5.0
"""Less is the work of a time service that slews the clock, and no more than a late try."""


class ClockWatch:
    """Compares the wall clock with the one that nobody sets."""

    def __init__(self) -> None:
        self._ahead = _ahead_s()

    def set_back_by(self) -> float:
        """Seconds that the wall clock was set back since the last look; 0 where it was not."""
        before, self._ahead = self._ahead, _ahead_s()
        step = before - self._ahead
        return step if step > STEP_S else 0.0


def _ahead_s() -> float:
    return time.time() - time.monotonic()


def bring_forward(seconds: float) -> int:
    """Let all work that waits for its next try wait so much less; how much work that was."""
    delayed = DBOS.list_workflows(status=["DELAYED"], load_input=False, load_output=False)
    for workflow in delayed:
        if (until := workflow.delay_until_epoch_ms) is not None:
            DBOS.set_workflow_delay(workflow.workflow_id, delay_until_epoch_ms=max(0, until - int(seconds * 1000)))
    return len(delayed)
