"""Leases of workers in a real PostgreSQL and in SQLite, and the end of a process that loses its own."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from core.errors import ConfigInvalid
from runtime.lease_table import Holder, LeaseTable
from runtime.worker_lease import WorkerLease
from tests.support.node_process import wait_until
from tests.support.postgres import Postgres

LONG_S = 600.0
"""A lease that does not run out during a test, however slow the machine is."""

SHORT_S = 1.0
"""One that has to."""


def holder(instance: str, machine: str) -> Holder:
    return Holder(instance, machine, host=f"host-{machine}", version="3")


@pytest.fixture(params=["sqlite", "postgresql"])
def leases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LeaseTable]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'workflow.sqlite'}"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        server.query("DROP TABLE IF EXISTS segnode_executors, segnode_spool")
        url = server.url
    table = LeaseTable(url, LONG_S)
    table.prepare("this-spool")
    yield table
    table.close()


def let_run_out(leases: LeaseTable, executor: str, instance: str) -> None:
    """Have a lease run out that nobody renews."""
    leases.seconds = 0.05
    assert leases.renew(executor, instance)
    leases.seconds = LONG_S
    wait_until(lambda: [known.is_live for known in leases.executors()] == [False])


def test_a_name_that_works_on_another_machine_is_not_given_out_until_its_lease_ends(leases: LeaseTable) -> None:
    assert leases.acquire("ct-1", holder("a", "m1")) is None
    other = leases.acquire("ct-1", holder("b", "m2"))
    assert other is not None
    assert (other.host, other.is_live) == ("host-m1", True)
    assert leases.renew("ct-1", "a")
    assert not leases.renew("ct-1", "b")
    let_run_out(leases, "ct-1", "a")
    assert leases.acquire("ct-1", holder("b", "m2")) is None
    assert not leases.renew("ct-1", "a")
    assert leases.renew("ct-1", "b")


def test_a_lease_that_ran_out_is_its_holders_until_somebody_takes_it(leases: LeaseTable) -> None:
    leases.acquire("ct-1", holder("a", "m1"))
    let_run_out(leases, "ct-1", "a")
    assert leases.renew("ct-1", "a")
    assert [known.is_live for known in leases.executors()] == [True]


def test_a_worker_that_starts_again_on_its_machine_need_not_wait(leases: LeaseTable) -> None:
    leases.acquire("ct-1", holder("a", "m1"))
    assert leases.acquire("ct-1", holder("b", "m1")) is None
    assert not leases.renew("ct-1", "a")


def test_released_lease_is_free_at_once(leases: LeaseTable) -> None:
    leases.acquire("ct-1", holder("a", "m1"))
    leases.release("ct-1", "b")
    assert len(leases.executors()) == 1
    leases.release("ct-1", "a")
    assert leases.executors() == []
    assert leases.acquire("ct-1", holder("b", "m2")) is None


def test_of_many_that_ask_at_once_one_gets_it(leases: LeaseTable) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(leases.acquire, "ct-1", holder(str(n), f"m{n}")) for n in range(8)]
        assert sum(one.result() is None for one in asked) == 1


def test_a_database_of_another_spool_is_refused(leases: LeaseTable) -> None:
    leases.prepare("this-spool")
    with pytest.raises(ConfigInvalid, match=r"another spool or another work folder"):
        leases.prepare("an-empty-folder")


class Lost(Exception):
    """In place of the end of the process."""


def raise_lost() -> None:
    raise Lost


def never(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def test_a_lease_is_kept_and_given_up(leases: LeaseTable) -> None:
    leases.seconds = SHORT_S
    lease = WorkerLease(leases, "ct-1", holder("a", "m1"), raise_lost)
    assert not lease.holds()
    assert lease.begin("this-spool", never)
    time.sleep(SHORT_S + 0.5)
    # A disk that stands still for a second lets it run out for a moment.
    wait_until(lambda: lease.holds() and [known.is_live for known in leases.executors()] == [True])
    lease.confirm()
    lease.give_up()
    assert not lease.holds()
    assert leases.executors() == []


def test_one_of_a_name_waits_until_the_other_machine_is_gone(
    leases: LeaseTable, caplog: pytest.LogCaptureFixture
) -> None:
    first = WorkerLease(leases, "ct-1", holder("a", "m1"), raise_lost)
    first.begin("this-spool", never)
    second = WorkerLease(leases, "ct-1", holder("b", "m2"), raise_lost)
    assert not second.begin("this-spool", lambda seconds: True)
    (said,) = [record for record in caplog.records if record.message == "executor_claimed_elsewhere"]
    assert (vars(said)["executor"], vars(said)["host"]) == ("ct-1", "host-m1")
    assert "executor: in node.yaml" in vars(said)["remedy"]
    waiting = threading.Thread(target=second.begin, args=("this-spool", never))
    waiting.start()
    first.give_up()
    waiting.join()
    assert second.holds()
    second.give_up()


def test_a_process_that_finds_its_lease_taken_ends(leases: LeaseTable) -> None:
    lease = WorkerLease(leases, "ct-1", holder("a", "m1"), raise_lost)
    lease.begin("this-spool", never)
    leases.acquire("ct-1", holder("b", "m1"))
    with pytest.raises(Lost):
        lease.confirm()
    lease.give_up()
    assert leases.renew("ct-1", "b")


def test_the_first_of_those_that_live_is_first_and_each_knows_the_versions(leases: LeaseTable) -> None:
    one = WorkerLease(leases, "ct-1", holder("a", "m1"), raise_lost)
    other = WorkerLease(leases, "ct-2", Holder("b", "m2", "host", "2"), raise_lost)
    for lease in (one, other):
        lease.begin("this-spool", never)
    one.confirm()
    assert (one.is_first, other.is_first) == (True, False)
    assert one.versions == {"2", "3"}
    one.give_up()
    other.confirm()
    assert other.is_first
    assert other.versions == {"2"}
    other.give_up()


def test_a_lease_outlasts_a_database_that_is_away(postgres: Postgres) -> None:
    """The holder of a lease goes on with it, though it ran out while nobody could renew it."""
    table = LeaseTable(postgres.url, SHORT_S)
    lease = WorkerLease(table, "away-1", holder("a", "m1"), raise_lost)
    table.prepare("this-spool")
    lease.begin("this-spool", never)
    postgres.stop()
    try:
        time.sleep(SHORT_S + 0.3)
        assert not lease.holds()
        with pytest.raises(DBAPIError):
            table.executors()
        confirmed = threading.Thread(target=lease.confirm)
        confirmed.start()
        confirmed.join(0.5)
        assert confirmed.is_alive()
    finally:
        postgres.start()
    confirmed.join()
    wait_until(lease.holds)
    lease.give_up()
    table.close()


@pytest.fixture(autouse=True)
def _no_thread_survives() -> Iterator[None]:
    yield
    wait_until(lambda: not any(thread.name == "lease" for thread in threading.enumerate()))
