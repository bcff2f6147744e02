"""One fixed set of images of a study, and how far the work on it has come."""

import json
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from core.files import replace_file


class State(StrEnum):
    """How far a revision of a study has come."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    RUNNING = "running"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    COMMITTED = "committed"
    NOTHING_FOUND = "nothing_found"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in (State.DELIVERED, State.COMMITTED, State.NOTHING_FOUND, State.REFUSED, State.FAILED)


ARRIVED = ("delivered", "committed")
"""States of a delivery that came to where it should."""
WITHDRAWN = "withdrawn"
"""State of a delivery that no route asks for any more."""
NO_DESTINATION = "no_destination"
"""Reason code of a revision whose results no route sends anywhere any more."""
SUPERSEDED = "superseded"
"""Reason code of a revision that was still receiving when a corrected description opened the next."""

ENDED_WELL = frozenset({State.DELIVERED, State.COMMITTED, State.NOTHING_FOUND})
"""States in which everybody has what there was to get."""


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
        """A number that changes whenever an image arrives."""
        return self.images.stat().st_mtime_ns

    def image_count(self) -> int:
        """How many images the revision has."""
        return sum(1 for _ in self.images.iterdir())

    # State

    def read_state(self) -> dict[str, Any]:
        """``state``, ``since`` (UTC), ``run`` (how often it was begun again), ``overtimes`` (how many tries took too
        long), ``reason``, ``notes``, ``priority``, ``claim``.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        return _object(self.path / "state.json")

    @property
    def state(self) -> State:
        """How far it has come."""
        return State(self.read_state()["state"])

    @property
    def priority(self) -> str:
        """``stat`` where it overtakes others, otherwise ``routine``."""
        return str(self.read_state().get("priority", "routine"))  # a state of an earlier version has none

    @property
    def needs_nobody(self) -> bool:
        """Whether it is at an end that asks nothing of a person."""
        content = self.read_state()
        return content["state"] in ENDED_WELL or (content["reason"] or {}).get("code") == SUPERSEDED

    def write_state(self, **changes: object) -> None:
        """Change some of the state; hold `Spool.changing` where others may change it too.

        Parameters
        ----------
        changes
            Any of the keys of `read_state` but ``since``; ``reason`` is ``{"code", "message"}`` or None.
        """
        path = self.path / "state.json"
        old: dict[str, Any] = {"state": None, "since": "", "run": 0, "reason": None}
        old |= {"notes": [], "priority": "routine"}
        if path.exists():
            old = self.read_state()
        new = {**old, **changes}
        if new["state"] != old["state"]:
            new["since"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        replace_file(path, json.dumps(new, indent=1).encode())

    # Tries

    def mark_of_try(self, number: int) -> Path:
        """An empty file that is there while the run of a claim tries the revision, and stays if its process dies."""
        return self.path / f"trying.{number}"

    def marks_of_tries(self) -> list[Path]:
        """Marks of all tries that are under way, or ended with their process."""
        return list(self.path.glob("trying.*"))

    def forget_tries(self) -> None:
        """Count from nothing again."""
        for mark in self.marks_of_tries():
            mark.unlink(missing_ok=True)

    # Outcome and deliveries

    def read_outcome(self) -> dict[str, Any] | None:
        """What the graph answered, if it has."""
        return _read_json(self.path / "outcome.json")

    def write_outcome(self, outcome: dict[str, Any]) -> None:
        """Keep what the graph answered; from here on it is not run again for this revision."""
        replace_file(self.path / "outcome.json", json.dumps(outcome, indent=1).encode())

    def forget_outcome(self) -> None:
        """Have the graph run again."""
        (self.path / "outcome.json").unlink(missing_ok=True)

    def read_delivery(self, destination: str) -> dict[str, Any] | None:
        """What one destination has got: ``state``, ``attempts``, ``reason``, ``sent`` (file names)."""
        return _read_json(self.path / "deliveries" / f"{destination}.json")

    def write_delivery(self, destination: str, delivery: dict[str, Any]) -> None:
        """Keep what one destination has got."""
        folder = self.path / "deliveries"
        folder.mkdir(exist_ok=True)
        replace_file(folder / f"{destination}.json", json.dumps(delivery, indent=1).encode())

    def forget_deliveries(self) -> None:
        """Forget what each destination has got: what the next run makes is sent to all of them."""
        for path in (self.path / "deliveries").glob("*.json"):
            path.unlink()

    def deliveries(self) -> dict[str, dict[str, Any]]:
        """What each destination has got, by name."""
        names = sorted(path.stem for path in (self.path / "deliveries").glob("[!.]*.json"))
        return {name: found for name in names if (found := self.read_delivery(name)) is not None}


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    return _object(path)


def _object(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    return content
