"""Lines in the worker's log that tell how far a run is: one at each tenth of its epochs, and one when it validates."""

from core.event_log import EventLog
from training.runs.records import RunFolder

TENTHS = 10

_log = EventLog()


class ToldProgress:
    """The progress of one run's process, as far as it was told.

    Parameters
    ----------
    run
        The run.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._told = (0, "training")

    def look(self) -> None:
        """Read how far the training is, and log it if a tenth or a phase is new."""
        progress = self._run.progress()
        if not progress.epochs:
            return
        now = (TENTHS * progress.epoch // progress.epochs, str(progress.phase))
        if now == self._told or now == (0, "training"):
            return
        self._told = now
        left = progress.seconds_left
        _log.info(
            "run_advanced",
            run=self._run.key,
            phase=progress.phase,
            epoch=progress.epoch,
            epochs=progress.epochs,
            dice=None if progress.dice is None else round(progress.dice, 3),
            seconds_left=None if left is None else round(left),
        )
