"""One fixed set of images of a study, and how far the work on it has come."""

from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from dicom_io.spool.records import (
    ENDED_WELL,
    SUPERSEDED,
    Delivery,
    Outcome,
    RevisionState,
    State,
    StateChanges,
    read_record,
    write_record,
)
from dicom_io.spool.tries import Tries


@dataclass(frozen=True)
class Revision:
    """A folder ``rev-<n>`` of the spool.

    Attributes
    ----------
    path
        The folder.
    number
        Counts from 0.
    key
        Short ID of the study.
    """

    path: Path
    number: int
    key: str

    @property
    def images(self) -> Path:
        """Folder of the images."""
        return self.path / "images"

    @property
    def results(self) -> Path:
        """Folder that the graph writes to."""
        return self.path / "results"

    def arrival_stamp(self) -> int:
        """Return a number that changes whenever an image arrives."""
        return self.images.stat().st_mtime_ns

    def image_count(self) -> int:
        """Count the images of the revision."""
        return sum(1 for _ in self.images.iterdir())

    # State

    def begin(self, state: State, priority: str = "routine") -> None:
        """Write the first state of a new revision."""
        write_record(RevisionState.begun(state, priority), self._state_file)

    def read_state(self) -> RevisionState:
        """Read how far the revision has come, since when, and why.

        Raises
        ------
        OSError, ValueError, KeyError
            If the file is gone, cannot be read, or is damaged.
        """
        return read_record(RevisionState, self._state_file)

    @property
    def state(self) -> State:
        """Return how far the revision has come."""
        return self.read_state().state

    @property
    def priority(self) -> str:
        """``stat`` where it overtakes others, otherwise ``routine``."""
        return self.read_state().priority

    @property
    def needs_nobody(self) -> bool:
        """Return whether the revision is at an end that asks nothing of a person."""
        state = self.read_state()
        return state.state in ENDED_WELL or (state.reason is not None and state.reason.code == SUPERSEDED)

    def write_state(self, **changes: Unpack[StateChanges]) -> None:
        """Change some of the state; hold `Spool.changing` where others may change it too."""
        write_record(self.read_state().changed(**changes), self._state_file)

    @property
    def _state_file(self) -> Path:
        return self.path / "state.json"

    @property
    def tries(self) -> Tries:
        """Return the marks of its tries."""
        return Tries(self.path)

    # Outcome and deliveries

    def read_outcome(self) -> Outcome | None:
        """Read what the graph answered, if it has."""
        return read_record(Outcome, self._outcome_file) if self._outcome_file.exists() else None

    def write_outcome(self, outcome: Outcome) -> None:
        """Keep what the graph answered; from here on it is not run again for this revision."""
        write_record(outcome, self._outcome_file)

    def forget_outcome(self) -> None:
        """Have the graph run again."""
        self._outcome_file.unlink(missing_ok=True)

    @property
    def _outcome_file(self) -> Path:
        return self.path / "outcome.json"

    def read_delivery(self, destination: str) -> Delivery | None:
        """Read what one destination has got; None where it is to get nothing."""
        path = self._deliveries / f"{destination}.json"
        return read_record(Delivery, path) if path.exists() else None

    def write_delivery(self, destination: str, delivery: Delivery) -> None:
        """Keep what one destination has got."""
        self._deliveries.mkdir(exist_ok=True)
        write_record(delivery, self._deliveries / f"{destination}.json")

    def forget_deliveries(self) -> None:
        """Forget what each destination has got: what the next run makes is sent to all of them."""
        for path in self._deliveries.glob("*.json"):
            path.unlink()

    def deliveries(self) -> dict[str, Delivery]:
        """Read what each destination has got, by name."""
        names = sorted(path.stem for path in self._deliveries.glob("[!.]*.json"))
        return {name: found for name in names if (found := self.read_delivery(name)) is not None}

    @property
    def _deliveries(self) -> Path:
        return self.path / "deliveries"
