"""Several machines on one spool and one PostgreSQL: machines that die, that wake up late, and a database that goes."""

import hashlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.support.node_process import PATIENCE_S, NodeProcess, free_port, wait_until, write_study
from tests.support.peers import StorageServer, store
from tests.support.postgres import Postgres
from tests.support.several_workers import DELIVERED, Machines
from tests.support.stub_worker import GO

LONG_ENOUGH_S = 3 * Machines.lease_seconds
"""A lease, and the two looks that it takes to call its holder dead."""


@pytest.fixture
def pacs(peer: Callable[[str], str], tmp_path: Path) -> Iterator[StorageServer]:
    server = StorageServer(peer("storescp"), tmp_path / "pacs").start()
    yield server
    server.stop()


@pytest.fixture
def database(postgres: Postgres) -> str:
    """URL of an empty database."""
    postgres.query("DROP SCHEMA IF EXISTS dbos CASCADE")
    postgres.query("DROP TABLE IF EXISTS segnode_executors, segnode_spool")
    return postgres.url


@pytest.fixture
def machines(database: str, pacs: StorageServer, tmp_path: Path) -> Iterator[Machines]:
    shared = Machines(tmp_path, database, {"pacs": pacs.port})
    yield shared
    shared.end()


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def objects(pacs: StorageServer) -> list[str]:
    """SOP Instance UID of each object that came; one that came twice is here twice."""
    return sorted(str(dcmread(path).SOPInstanceUID) for path in pacs.received())


def test_of_three_machines_one_dies_and_never_comes_back(machines: Machines, pacs: StorageServer) -> None:
    workers = {name: machines.start(name) for name in ("ct", "mr", "pt")}
    for worker in workers.values():
        worker.wait_until_ready()
    studies = [machines.study("held") for _ in range(6)]
    wait_until(lambda: {machines.runner(key) for key in studies} >= workers.keys())
    # The first by name, which also decides what is complete.
    workers["ct"].end()
    mine = [key for key in studies if machines.runner(key) == "ct"]
    assert mine
    machines.let_go()
    studies += [machines.study()]
    assert machines.wait_for_end(*studies) == [DELIVERED] * 7
    assert len(set(objects(pacs))) == len(objects(pacs)) == 7
    # A study runs once, and once more for each worker that died over it.
    assert {key: machines.runs(key) for key in studies} == {key: 2 if key in mine else 1 for key in studies}
    assert f"executor_died executor=ct-1 handed_on={len(mine)}" in "".join(
        workers[name].log.read_text() for name in ("mr", "pt")
    )


def test_a_machine_that_joins_one_with_two_studies_in_hand_leaves_it_both(machines: Machines) -> None:
    machines.start("ct").wait_until_ready()
    studies = [machines.study("held") for _ in range(2)]
    wait_until(lambda: [machines.runner(key) for key in studies] == ["ct", "ct"])
    machines.start("mr").wait_until_ready()
    studies += [machines.study("held") for _ in range(2)]
    wait_until(lambda: "mr" in map(machines.runner, studies))
    machines.let_go()
    assert machines.wait_for_end(*studies) == [DELIVERED] * 4
    assert [machines.runs(key) for key in studies] == [1] * 4


def test_a_machine_that_wakes_up_late_changes_nothing(machines: Machines, pacs: StorageServer) -> None:
    workers = {name: machines.start(name) for name in ("ct", "mr")}
    for worker in workers.values():
        worker.wait_until_ready()
    study = machines.study("held")
    sleeper = workers[wait_until(lambda: machines.runner(study))]
    sleeper.send(signal.SIGSTOP)
    machines.let_go()
    assert machines.wait_for_end(study) == [DELIVERED]
    assert machines.runs(study) == 2
    before = contents(machines.revision(study).path)
    sleeper.send(signal.SIGCONT)
    assert sleeper.process.wait(PATIENCE_S) == 5
    assert "lease_lost" in sleeper.log.read_text()
    # It takes back the mark of its own try alone, since it did not die over the study.
    assert before.pop("trying.2")  # the first claim was that of its plan
    assert contents(machines.revision(study).path) == before
    assert len(objects(pacs)) == 1


def test_a_machine_that_sleeps_while_it_connects_sends_nothing(
    database: str, peer: Callable[[str], str], tmp_path: Path
) -> None:
    """The association is accepted while the worker is stopped, for longer than its lease; another has delivered."""
    pacs = StorageServer(peer("storescp"), tmp_path / "pacs", options=("--fork",)).start()
    door = HeldDoor(pacs.port)
    machines = Machines(tmp_path, database, {"pacs": door.port})
    try:
        workers = {name: machines.start(name) for name in ("ct", "mr")}
        for worker in workers.values():
            worker.wait_until_ready()
        study = machines.study()
        assert door.knocked.wait(PATIENCE_S)
        sender = machines.revision(study).deliveries()["pacs"].claim.by.removesuffix("-1")
        workers[sender].send(signal.SIGSTOP)
        assert machines.wait_for_end(study) == [DELIVERED]
        before = contents(machines.revision(study).path)
        door.open()
        time.sleep(0.5)
        workers[sender].send(signal.SIGCONT)
        assert workers[sender].process.wait(PATIENCE_S) == 5
        assert contents(machines.revision(study).path) == before
        assert len(objects(pacs)) == 1
    finally:
        machines.end()
        door.close()
        pacs.stop()


def test_work_goes_on_when_the_database_comes_back(machines: Machines, pacs: StorageServer, postgres: Postgres) -> None:
    workers = [machines.start(name).wait_until_ready() for name in ("ct", "mr")]
    running = machines.study("held")
    wait_until(lambda: machines.runner(running))
    postgres.stop()
    try:
        machines.let_go()
        during = machines.study()
        time.sleep(LONG_ENOUGH_S)
    finally:
        postgres.start()
    assert machines.wait_for_end(running, during) == [DELIVERED] * 2
    assert len(objects(pacs)) == 2
    assert machines.runs(running) == 1
    assert all(worker.process.poll() is None for worker in workers)
    assert "database_not_reached" in workers[0].log.read_text()


def test_machine_without_permission_to_work_waits_or_ends_with_the_remedy(
    machines: Machines, database: str, pacs: StorageServer, tmp_path: Path
) -> None:
    first = machines.start("ct").wait_until_ready()
    namesake = machines.start("ct")
    unmounted = Machines(tmp_path / "empty", database, {"pacs": pacs.port}).start("mr")
    wait_until(lambda: "worker_delayed executor=ct-1" in namesake.log.read_text())
    assert "name each machine by executor: in node.yaml" in namesake.log.read_text()
    # As where the shared folder is not mounted: it is there, and empty.
    assert unmounted.process.wait(PATIENCE_S) == 2
    assert "mount the one that all machines share" in unmounted.log.read_text()
    unmounted.end()
    first.end()
    namesake.wait_until_ready()


def test_an_upgrade_begins_again_what_an_older_version_left(
    database: str, postgres: Postgres, peer: Callable[[str], str], tmp_path: Path
) -> None:
    """Delivering, running and queued work of an older version; results' UIDs follow from the version too."""
    pacs = StorageServer(peer("storescp"), tmp_path / "pacs")
    late = StorageServer(peer("storescp"), tmp_path / "late")
    machines = Machines(tmp_path, database, {"pacs": pacs.port, "late": late.port})
    try:
        pacs.start()
        old = machines.start("ct", {"STUB_VERSION": "1"}).wait_until_ready()
        delivering = machines.study()
        wait_until(lambda: "delivery_postponed" in old.log.read_text() and pacs.received())
        running = machines.study("hang once")
        wait_until(lambda: machines.runner(running))
        beside = machines.study()  # a worker that is alone has two studies in hand
        wait_until(lambda: machines.runner(beside))
        queued = machines.study()
        wait_until(lambda: machines.revision(queued).state == "waiting")
        old.end()
        late.start()
        machines.start("ct", {"STUB_VERSION": "2"}).wait_until_ready()
        assert machines.wait_for_end(delivering, running, beside, queued) == [DELIVERED] * 4
        assert objects(pacs) == objects(late)
        assert len(set(objects(pacs))) == len(objects(pacs)) == 4
        assert [machines.runs(key) for key in (delivering, running, beside, queued)] == [1, 2, 2, 1]
        # Nobody would ever do the older version's work, and its entries would lie there for ever.
        statuses = "SELECT DISTINCT status FROM dbos.workflow_status WHERE application_version = '1'"
        assert set(postgres.query(statuses).split()) == {"SUCCESS", "CANCELLED"}
    finally:
        machines.end()
        pacs.stop()
        late.stop()


def test_an_older_version_that_still_works_is_left_its_work(machines: Machines, pacs: StorageServer) -> None:
    """As while machines are upgraded one after the other."""
    old = machines.start("ct", {"STUB_VERSION": "1"}).wait_until_ready()
    study = machines.study("held")
    wait_until(lambda: machines.runner(study))
    machines.start("aa", {"STUB_VERSION": "2"}).wait_until_ready()
    machines.let_go()
    assert machines.wait_for_end(study) == [DELIVERED]
    assert machines.runs(study) == 1
    old.end()
    assert machines.wait_for_end(machines.study()) == [DELIVERED]
    assert len(objects(pacs)) == 2


def test_one_node_runs_several_workers(peer: Callable[[str], str], pacs: StorageServer, tmp_path: Path) -> None:
    """On SQLite: two studies at a time, each in a process of its own name."""
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS")})
    node.set(workers=["cpu", "cpu"], executor="ct")
    node.start()
    try:
        studies = [f"1.2.3.{number}" for number in range(1, 5)]
        for study in studies:
            write_study(tmp_path / "studies" / study, study, description="held")
        assert store(peer("storescu"), node.port, "SEGNODE", tmp_path / "studies") == 0

        def runners() -> set[str]:
            states = [node.spool.revision(key, 0).read_state() for key in node.spool.study_keys()]
            return {state.claim.by for state in states if state.state == "running"}

        wait_until(lambda: runners() == {"ct-1", "ct-2"})
        (node.folder / GO).touch()
        for study in studies:
            assert node.wait_for_end(study)["state"] == DELIVERED
        assert node.pid_of("worker") != node.pid_of("worker-2")
    finally:
        node.stop()


class HeldDoor:
    """A way to a server whose first connection is let in, and hears nothing of the server until the door is opened."""

    def __init__(self, server: int) -> None:
        self.port = free_port()
        self.knocked = threading.Event()
        self._server = server
        self._opened = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def open(self) -> None:
        """Let the first connection hear the server."""
        self._opened.set()

    def close(self) -> None:
        """Take no more connections."""
        self.open()
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            held = not self.knocked.is_set()
            self.knocked.set()
            server = socket.create_connection(("127.0.0.1", self._server))
            threading.Thread(target=self._pass_on, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, held), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, held: bool) -> None:
        if held:
            self._opened.wait(PATIENCE_S)
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, target):
                end.close()
