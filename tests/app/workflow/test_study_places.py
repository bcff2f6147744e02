"""Two studies in one worker's hands: whose network runs, who gives way, and who is alone."""

import threading
from collections.abc import Callable, Iterator

import pytest

from app.workflow import study_places
from app.workflow.study_places import PLACES, GaveWay, StudyPlace, StudyPlaces
from tests.support.node_process import PATIENCE_S, wait_until

SHORT_S = 0.05


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_places, "LOOK_EVERY_S", SHORT_S)


class Study:
    """A study in a thread of its own: it takes a place, and its network runs when it is told to go on."""

    def __init__(self, places: StudyPlaces, name: str, *, is_urgent: bool = False, is_alone: bool = False) -> None:
        self.name = name
        self.is_in, self.reaches_gate = threading.Event(), threading.Event()
        self.network, self.ends_network, self.ends = threading.Event(), threading.Event(), threading.Event()
        self.gave_way, self.is_refused = "", False
        self.place: StudyPlace | None = None
        self._places, self._is_urgent, self._is_alone = places, is_urgent, is_alone
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with self._places.taken(is_urgent=self._is_urgent, is_alone=self._is_alone) as self.place:
            self.is_in.set()
            assert self.reaches_gate.wait(PATIENCE_S)
            if self.is_refused:
                return
            try:
                with self.place.network():
                    self.network.set()
                    assert self.ends_network.wait(PATIENCE_S)
            except GaveWay as reason:
                self.gave_way = str(reason)
                return
            assert self.ends.wait(PATIENCE_S)

    def let_go(self) -> None:
        for event in (self.reaches_gate, self.ends_network, self.ends):
            event.set()

    def wait_for_end(self) -> None:
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


Begin = Callable[..., Study]


@pytest.fixture
def queued() -> list[str]:
    """Urgent studies that wait in the queue."""
    return []


@pytest.fixture
def begin(queued: list[str]) -> Iterator[Begin]:
    places = StudyPlaces(lambda: bool(queued))
    studies: list[Study] = []

    def make(name: str, *, is_urgent: bool = False, is_alone: bool = False, waits: bool = False) -> Study:
        study = Study(places, name, is_urgent=is_urgent, is_alone=is_alone)
        studies.append(study)
        if not waits:
            assert study.is_in.wait(PATIENCE_S)
        return study

    yield make
    for study in studies:
        study.let_go()
    for study in studies:
        study.wait_for_end()


def at_network(study: Study) -> Study:
    study.reaches_gate.set()
    assert study.network.wait(PATIENCE_S)
    return study


def stays(event: threading.Event) -> bool:
    """Tell whether it does not happen for several looks."""
    return not event.wait(5 * SHORT_S)


def test_networks_take_turns_and_all_else_goes_on(begin: Begin) -> None:
    first, second = at_network(begin("first")), begin("second")
    second.reaches_gate.set()
    assert stays(second.network)
    first.ends_network.set()
    assert second.network.wait(PATIENCE_S), "the first still has its place, and is written"
    third = begin("third", waits=True)
    assert stays(third.is_in), f"there are {PLACES} places"
    first.ends.set()
    assert third.is_in.wait(PATIENCE_S)


def test_a_routine_study_waits_while_an_urgent_one_is_read(begin: Begin) -> None:
    routine, urgent = begin("routine"), begin("urgent", is_urgent=True)
    routine.reaches_gate.set()
    assert stays(routine.network)
    at_network(urgent)
    assert stays(routine.network)
    urgent.ends_network.set()
    assert routine.network.wait(PATIENCE_S)


def test_an_urgent_study_that_comes_to_its_end_before_the_network_holds_up_nobody(begin: Begin) -> None:
    routine, urgent = begin("routine"), begin("urgent", is_urgent=True)
    routine.reaches_gate.set()
    assert stays(routine.network)
    urgent.is_refused = True
    urgent.reaches_gate.set()
    assert routine.network.wait(PATIENCE_S)


def test_one_urgent_study_does_not_wait_until_another_is_read(begin: Begin) -> None:
    begin("urgent", is_urgent=True)
    at_network(begin("urgent too", is_urgent=True))


def test_a_routine_study_gives_its_place_to_an_urgent_one_that_is_queued(begin: Begin, queued: list[str]) -> None:
    first, second = at_network(begin("first")), begin("second")
    second.reaches_gate.set()
    assert stays(second.network)
    queued.append("urgent")
    urgent = begin("urgent", is_urgent=True)
    assert second.gave_way == "an urgent study needs the place"
    queued.clear()
    urgent.reaches_gate.set()
    first.ends_network.set()
    assert urgent.network.wait(PATIENCE_S)


def test_an_urgent_study_that_is_queued_at_the_last_moment_goes_first_too(
    begin: Begin, queued: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_places, "LOOK_EVERY_S", PATIENCE_S)
    first, second = at_network(begin("first")), begin("second")
    second.reaches_gate.set()
    assert stays(second.network)
    queued.append("urgent")
    first.ends_network.set()
    second.wait_for_end()
    assert second.gave_way
    assert not second.network.is_set()


def test_a_routine_study_gives_its_place_to_an_urgent_one_that_stands_outside(begin: Begin) -> None:
    """Studies that are recovered at a start do not come from the queue."""
    at_network(begin("first"))
    second, urgent = begin("second"), begin("urgent", is_urgent=True, waits=True)
    second.reaches_gate.set()
    assert urgent.is_in.wait(PATIENCE_S)
    assert second.gave_way


def test_a_routine_study_gives_its_memory_to_an_urgent_one(begin: Begin) -> None:
    routine, urgent = begin("routine"), begin("urgent", is_urgent=True)
    assert urgent.place is not None
    with urgent.place.waiting_for_memory():
        routine.reaches_gate.set()
        wait_until(lambda: routine.gave_way == "an urgent study needs the memory")


def test_a_study_that_was_there_when_a_worker_died_is_alone(begin: Begin) -> None:
    first = begin("first")
    alone = begin("alone", is_alone=True, waits=True)
    later = begin("later", waits=True)
    assert stays(alone.is_in)
    assert not later.is_in.is_set(), "else it would never be its turn"
    first.let_go()
    assert alone.is_in.wait(PATIENCE_S)
    assert stays(later.is_in)
    alone.let_go()
    assert later.is_in.wait(PATIENCE_S)
