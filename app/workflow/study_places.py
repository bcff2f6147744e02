"""The places of a worker: the studies that it has in hand, and the turn of their networks.

One study is read, post-processed or written while the network of another runs. Networks run one at a time, those of
urgent studies first: a routine study waits while an urgent one is read, and gives its place back, to be begun again
later, where an urgent one lacks the place or the memory. A study that was under way when a worker died has the worker
to itself, so that the next death is surely its own (`runtime.attempts`).
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.errors import RetryLater

PLACES = 2
"""One at the network, and one before or behind it: with more, none would be done sooner, and memory would be short."""

LOOK_EVERY_S = 1.0
"""A study that waits for its turn looks so often whether it has to give way."""


class GaveWay(RetryLater):
    """A study gives its place back, since an urgent one needs it; that is no failure, and none of its waits."""


class StudyPlace:
    """The place of one study.

    Parameters
    ----------
    places
        All places of the worker.
    is_urgent
        Whether its network goes before those of others.
    is_alone
        Whether no other study may have a place beside it.
    """

    def __init__(self, places: "StudyPlaces", *, is_urgent: bool, is_alone: bool) -> None:
        self._places = places
        self.is_urgent = is_urgent
        self.is_alone = is_alone
        self.is_before_network = True
        self.lacks_memory = False

    @contextmanager
    def network(self) -> Iterator[None]:
        """Wait for the turn of its network, which ends with the block.

        Raises
        ------
        GaveWay
            If it gives its place back.
        """
        self._places.wait_for_turn(self)
        try:
            yield
        finally:
            self._places.end_turn()

    @contextmanager
    def waiting_for_memory(self) -> Iterator[None]:
        """Say that it waits for memory in the block."""
        self.lacks_memory = True
        try:
            yield
        finally:
            self.lacks_memory = False


class StudyPlaces:
    """The places of one worker.

    Parameters
    ----------
    is_urgent_queued
        Tells whether an urgent study waits to be taken from the queue.
    """

    def __init__(self, is_urgent_queued: Callable[[], bool] = lambda: False) -> None:
        self._is_urgent_queued = is_urgent_queued
        self._changed = threading.Condition()
        self._outside: list[StudyPlace] = []
        self._taken: list[StudyPlace] = []
        self._at_network: StudyPlace | None = None

    @contextmanager
    def taken(self, *, is_urgent: bool = False, is_alone: bool = False) -> Iterator[StudyPlace]:
        """Wait for a place, which is given back at the end of the block.

        Parameters
        ----------
        is_urgent, is_alone
            As :class:`StudyPlace` takes them.
        """
        place = StudyPlace(self, is_urgent=is_urgent, is_alone=is_alone)
        with self._changed:
            self._outside.append(place)
            self._changed.wait_for(lambda: self._may_enter(place))
            self._outside.remove(place)
            self._taken.append(place)
            self._changed.notify_all()
        try:
            yield place
        finally:
            with self._changed:
                self._taken.remove(place)
                self._changed.notify_all()

    def wait_for_turn(self, place: StudyPlace) -> None:
        """Return when the network of a study may run, which it does until `end_turn`.

        Raises
        ------
        GaveWay
            If the study gives its place back.
        """
        while True:
            # Not under the lock, since the database is asked.
            if reason := self._reason_to_give_way(place):
                raise GaveWay(reason)
            with self._changed:
                if self._is_its_turn(place):
                    place.is_before_network = False
                    self._at_network = place
                    return
                self._changed.wait_for(lambda: self._is_its_turn(place), LOOK_EVERY_S)

    def end_turn(self) -> None:
        """Let the next network run."""
        with self._changed:
            self._at_network = None
            self._changed.notify_all()

    def _may_enter(self, place: StudyPlace) -> bool:
        first = min(self._outside, key=lambda one: not one.is_urgent)  # the first of its kind
        if place is not first or len(self._taken) >= PLACES:
            return False
        return not (self._taken and (place.is_alone or self._taken[0].is_alone))

    def _is_its_turn(self, place: StudyPlace) -> bool:
        # Of those that wait at once, the first to be woken goes: they are two.
        is_held_up = not place.is_urgent and any(one.is_urgent and one.is_before_network for one in self._taken)
        return self._at_network is None and not is_held_up

    def _reason_to_give_way(self, place: StudyPlace) -> str:
        if place.is_urgent:
            return ""
        with self._changed:
            if any(one.is_urgent and one.lacks_memory for one in self._taken):
                return "an urgent study needs the memory"
            is_outside = any(one.is_urgent for one in self._outside)
        return "an urgent study needs the place" if is_outside or self._is_urgent_queued() else ""
