"""A clock that jumps by a day while a study is on its way: it completes in its time, and is delivered once.

The jumps are libfaketime's, told to leave the monotonic clock alone, as a clock that is set leaves it. It then breaks
``clock_nanosleep`` until a moment of the monotonic clock, which is how Python sleeps; here Python sleeps otherwise.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from tests.conftest import missing
from tests.faults.table import FAULT
from tests.support.node_process import PATIENCE_S, NodeProcess, free_port, wait_until, write_study
from tests.support.peers import store
from tests.support.receiver import Receiver
from tests.support.stub_worker import GO

LIBRARY = "libfaketime.so.1"
SLEEP = """
import threading, time

def sleep(seconds):
    threading.Event().wait(seconds)

time.sleep = sleep
"""
"""Code that every interpreter of the node runs at its start."""

QUIET_S = 4.0
TRIES = 8
"""Attempts to send a study with images no further apart than `QUIET_S`, which a busy machine can deny."""

LATE_S = PATIENCE_S
"""Within this time after a jump all is done, although the clock says a day more or less."""


@dataclass
class Clockwork:
    """A node with a clock that can be set."""

    node: NodeProcess
    pacs: Receiver
    clock: Path
    storescu: str

    def set(self, days: int) -> None:
        """Let the node's clock go wrong by that number of days from now on."""
        replacement = self.clock.with_suffix(".new")
        replacement.write_text(f"{days:+d}d\n")
        replacement.replace(self.clock)

    def send(self, study: str, *, first: int = 1, description: str = "") -> None:
        """Send two images of a study."""
        folder = self.node.folder / f"{study}-{first}"
        write_study(folder, study, images=2, first=first, description=description)
        assert store(self.storescu, self.node.port, "SEGNODE", folder) == 0

    def end_of(self, study: str) -> str:
        """Return a study's final state, its number of revisions, and its results."""
        state = self.node.wait_for_end(study, timeout_s=LATE_S)["state"]
        latest = self.node.latest(study)
        assert latest is not None
        taken = {one.instance for one in self.pacs.taken if one.study == study}
        return f"{state}, {latest.number + 1} revision of {latest.image_count()} images, {len(taken)} object"


@pytest.fixture(scope="module")
def clockwork(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clockwork]:
    folder = tmp_path_factory.mktemp("clock")
    library = next(Path("/usr/lib").glob(f"**/{LIBRARY}"), None)
    if library is None:
        missing(f"{LIBRARY} is not installed (Debian: faketime)")
    clock = folder / "clock"
    (folder / "sitecustomize.py").write_text(SLEEP)
    environment = {
        "LD_PRELOAD": str(library),
        "PYTHONPATH": str(folder),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    pacs = Receiver(free_port())
    node = NodeProcess(folder / "node", {"pacs": (pacs.port, "PACS")}, quiet_seconds=QUIET_S, environment=environment)
    retry = {"first_seconds": 0.5, "longest_seconds": 1.0}
    destination = {"kind": "dicom", "ae_title": "PACS", "host": "127.0.0.1", "port": pacs.port, "retry": retry}
    node.set(destinations={"pacs": destination})
    works = Clockwork(node, pacs, clock, peer("storescu"))
    works.set(0)
    node.start()
    yield works
    node.stop()
    pacs.stop()


@pytest.fixture(params=[1, -1], ids=["forward", "back"])
def jump(request: pytest.FixtureRequest, clockwork: Clockwork, record_property: Callable[[str, object], None]) -> int:
    """The days of a jump from a clock that is right."""
    days = int(request.param)
    what = request.node.originalname.removeprefix("test_").replace("_", " ")
    record_property(FAULT, f"clock set {'forward' if days > 0 else 'back'} by a day: {what}")
    clockwork.set(0)
    return days


def test_study_receiving(clockwork: Clockwork, jump: int) -> None:
    clockwork.pacs.start()
    try:
        for _ in range(TRIES):
            study, start = str(generate_uid()), time.monotonic()
            clockwork.set(0)
            clockwork.send(study)
            clockwork.set(jump)
            time.sleep(1)  # in which it is looked at
            clockwork.send(study, first=3)
            if time.monotonic() - start < QUIET_S:
                break
        else:
            pytest.fail(f"four images took longer than {QUIET_S} s each time")
        assert clockwork.end_of(study) == "delivered, 1 revision of 4 images, 1 object"
    finally:
        clockwork.pacs.stop()


def test_study_running(clockwork: Clockwork, jump: int) -> None:
    study, go = str(generate_uid()), clockwork.node.folder / GO
    clockwork.pacs.start()
    try:
        clockwork.send(study, description="held")
        wait_until(lambda: (found := clockwork.node.latest(study)) and found.state == "running", every_s=0.05)
        clockwork.set(jump)
        go.touch()
        assert clockwork.end_of(study) == "delivered, 1 revision of 2 images, 1 object"
    finally:
        go.unlink(missing_ok=True)
        clockwork.pacs.stop()


def test_study_waiting_for_its_next_try(clockwork: Clockwork, jump: int) -> None:
    study = str(generate_uid())
    clockwork.pacs.start()
    try:
        clockwork.send(study, description="later")
        wait_until(lambda: (found := clockwork.node.latest(study)) and found.read_state()["reason"], every_s=0.05)
        clockwork.set(jump)
        assert clockwork.end_of(study) == "delivered, 1 revision of 2 images, 1 object"
    finally:
        clockwork.pacs.stop()


def test_delivery_waiting_for_its_next_try(clockwork: Clockwork, jump: int) -> None:
    study = str(generate_uid())
    clockwork.send(study)
    wait_until(lambda: (found := clockwork.node.latest(study)) and found.state == "delivering", every_s=0.05)
    time.sleep(1)
    clockwork.set(jump)
    clockwork.pacs.start()
    try:
        assert clockwork.end_of(study) == "delivered, 1 revision of 2 images, 1 object"
    finally:
        clockwork.pacs.stop()
