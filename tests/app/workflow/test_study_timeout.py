"""A study that hangs, breaks its worker or loses its GPU: the worker is replaced, and the next study goes on."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from app.workflow.study_timeout import StudyWatchdog
from core.errors import OutOfMemory
from core.report import Reason
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.received import study_key
from dicom_io.spool.spool import Spool
from runtime.devices import is_device_lost
from tests.support.arriving import Sent, put
from tests.support.node_process import PATIENCE_S, NodeProcess, wait_until, write_study
from tests.support.peers import StorageServer, store

STUDY_S = 4.0
"""A study that does not hang takes far less, also on a busy machine."""


@pytest.fixture(scope="module")
def node(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that gives a study little time and 2 tries; no name is in its log."""
    pacs = StorageServer(peer("storescp"), tmp_path_factory.mktemp("pacs")).start()
    process = NodeProcess(tmp_path_factory.mktemp("node"), {"pacs": (pacs.port, "PACS")})
    process.set(work={"study_minutes": STUDY_S / 60.0, "tries": 2})
    process.start()
    yield process
    process.stop()
    pacs.stop()
    assert "CANARY" not in process.log.read_text()


@pytest.fixture
def send(node: NodeProcess, peer: Callable[[str], str], tmp_path: Path) -> Callable[[str], str]:
    def make_and_send(description: str) -> str:
        study = str(generate_uid())
        folder = write_study(tmp_path / study, study, description=description)
        assert store(peer("storescu"), node.port, "SEGNODE", folder) == 0
        return study

    return make_and_send


def runs(node: NodeProcess, study: str) -> int:
    return (node.folder / "runs.txt").read_text().count(study)


@pytest.mark.parametrize(
    ("wish", "code", "message", "said"),
    [
        ("hang", "study_too_long", "2 took longer", "study_timed_out study={key} revision=0"),
        ("segfault", "worker_died", "died 2 times", "process_died child=worker"),
    ],
)
def test_a_study_that_costs_its_worker_is_set_aside_and_the_next_goes_on(
    node: NodeProcess, send: Callable[[str], str], wish: str, code: str, message: str, said: str
) -> None:
    study = send(wish)
    end = node.wait_for_end(study)
    assert (end["state"], end["reason"]["code"]) == ("failed", code)
    assert message in end["reason"]["message"]
    assert runs(node, study) == 2
    assert said.format(key=study_key("SEGNODE", study)) in node.log.read_text()
    assert node.wait_for_end(send(""))["state"] == "delivered"


@pytest.mark.parametrize(("wish", "said"), [("hang once", "study_timed_out"), ("lost GPU", "gpu_lost")])
def test_study_that_ended_one_worker_is_delivered_by_the_next(
    node: NodeProcess, send: Callable[[str], str], wish: str, said: str
) -> None:
    worker = node.pid_of("worker")
    study = send(wish)
    end = node.wait_for_end(study)
    assert (end["state"], end["reason"]) == ("delivered", None)
    assert runs(node, study) == 2
    assert f"{said} study={study_key('SEGNODE', study)}" in node.log.read_text()
    assert node.pid_of("worker") != worker


def test_a_lack_of_gpu_memory_passes_in_the_same_worker(node: NodeProcess, send: Callable[[str], str]) -> None:
    worker = node.pid_of("worker")
    study = send("no memory")
    waiting = wait_until(lambda: (found := node.latest(study)) and found.read_state()["reason"], every_s=0.02)
    assert waiting["code"] == "out_of_memory"
    assert node.wait_for_end(study)["state"] == "delivered"
    assert node.pid_of("worker") == worker


def test_which_errors_leave_a_gpu_unusable() -> None:
    assert is_device_lost(RuntimeError("CUDA error: unspecified launch failure"))
    assert not is_device_lost(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert Reason.of(OutOfMemory("x")).code == "out_of_memory"


def test_each_of_two_studies_at_once_has_its_own_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    for study in ("1.2.1", "1.2.2"):
        put(Ingest(spool), Sent("SEGNODE", study, "1.2.3", True, b"image"))
    first, second = (study_key("SEGNODE", study) for study in ("1.2.1", "1.2.2"))
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        watchdog = StudyWatchdog(process, spool)
        watchdog.hear(f"busy {first} 0 2.0\n".encode())
        watchdog.hear(f"busy {second} 0 2.5\n".encode())
        watchdog.hear(f"done {first} 0\n".encode())
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
    wait_until(lambda: spool.revision(second, 0).read_state().overtimes == 1)
    assert spool.revision(first, 0).read_state().overtimes == 0


def test_overtime_is_the_fault_of_its_study_though_the_network_of_another_ran(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    for study in ("1.2.1", "1.2.2"):
        put(Ingest(spool), Sent("SEGNODE", study, "1.2.3", True, b"image"))
    at_network, written = (study_key("SEGNODE", study) for study in ("1.2.1", "1.2.2"))
    blamed, spared = spool.revision(at_network, 0).tries, spool.revision(written, 0).tries
    for mark in (blamed.mark(2), blamed.mark(12), spared.mark(9), spared.spared_mark(10)):
        mark.touch()
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        watchdog = StudyWatchdog(process, spool)
        watchdog.hear(f"busy {at_network} 0 600.0\n".encode())
        watchdog.hear(f"busy {written} 0 0.01\n".encode())
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
        wait_until(lambda: spool.revision(written, 0).read_state().overtimes == 1)
        watchdog.stop()
    assert blamed.counted() == [blamed.mark(2)]
    assert sorted(spared.counted()) == sorted([spared.mark(9), spared.mark(10)])
    assert spool.revision(at_network, 0).read_state().overtimes == 0


def test_a_worker_that_has_ended_has_no_time_any_more(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    put(Ingest(spool), Sent("SEGNODE", "1.2.1", "1.2.3", True, b"image"))
    key = study_key("SEGNODE", "1.2.1")
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait(PATIENCE_S)
        watchdog = StudyWatchdog(process, spool)
        watchdog.hear(f"busy {key} 0 2.0\n".encode())
        watchdog.stop()
        watchdog.hear(f"busy {key} 0 0.1\n".encode())
    time.sleep(2.3)
    assert spool.revision(key, 0).read_state().overtimes == 0
