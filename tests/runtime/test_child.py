"""The end of a child process by an unforeseen error: logged in one line, without data that a peer sent."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pynetdicom.association import Association
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.node.spool_access import prepared_spool
from app.node.worker import _does_work
from core.errors import ConfigInvalid, RetryLater
from dicom_io.spool.spool import Spool
from runtime.lease_table import Executor, Holder, LeaseTable, reason_of
from runtime.takeover import Takeover
from runtime.worker_lease import WorkerLease
from tests.support.node_process import PATIENCE_S, ROOT

CHILD = """
import threading
from runtime.child import run_child, watch_threads
from runtime.logs import configure_logging

configure_logging("worker")

def fail():
    raise {error}

def main():
    watch_threads(lambda thread: {ends}, lambda: print("before the end", flush=True))
    thread = threading.Thread(target=fail, name="lease")
    thread.start()
    thread.join()
    print("lives", flush=True)
    {then}

run_child(main)
"""


def run(error: str = "ValueError('CANARY')", *, ends: bool = True, then: str = "pass") -> tuple[int, str, str]:
    """Return exit code and output of a child whose thread fails."""
    command = [sys.executable, "-c", CHILD.format(error=error, ends=ends, then=then)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)  # noqa: S603 - our own interpreter
    assert "CANARY" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_thread_that_fails_ends_its_process_with_a_line() -> None:
    code, said, log = run()
    assert (code, said) == (1, "before the end\n")
    assert "thread_died error=ValueError" in log
    assert "name_of_thread=lease" in log
    assert len(log.splitlines()) == 1


def test_a_thread_that_does_no_work_ends_alone() -> None:
    code, said, log = run(ends=False)
    assert (code, said) == (0, "lives\n")
    assert "thread_died" in log


@pytest.mark.parametrize(
    ("then", "code", "line"),
    [
        (f"raise OSError({errno.ENOSPC}, 'No space left on device')", RetryLater.exit_code, "No space left on device"),
        ("raise ValueError('CANARY')", 1, "process_failed error=ValueError"),
    ],
)
def test_error_of_the_process_itself_is_one_line_too(then: str, code: int, line: str) -> None:
    ended, _, log = run("SystemExit", then=then)
    assert ended == code
    assert line in log
    assert len(log.splitlines()) == 1


def test_which_threads_do_the_work() -> None:
    assert _does_work(threading.Thread())
    assert _does_work(None)
    assert not _does_work(Association.__new__(Association))


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, RetryLater), (errno.EIO, RetryLater), (errno.EACCES, ConfigInvalid)]
)
def test_a_disk_that_is_full_is_no_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    def prepare(self: Spool) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Spool, "prepare", prepare)
    with pytest.raises(error, match=os.strerror(number)):
        prepared_spool(tmp_path)


class Busy(LeaseTable):
    """The lease table of a database whose connections are all in use at the first question."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"sqlite:///{folder / 'workflow.sqlite'}", 30.0)
        self.asked = 0

    def renew(self, executor: str, instance: str) -> bool:
        self._refuse_once()
        return super().renew(executor, instance)

    def executors(self) -> list[Executor]:
        self._refuse_once()
        return super().executors()

    def _refuse_once(self) -> None:
        self.asked += 1
        if self.asked == 1:
            raise PoolTimeout("QueuePool limit reached")


def test_a_database_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    leases = Busy(tmp_path)
    leases.prepare("spool")
    leases.acquire("ct-1", Holder("a", "m", "host", "4"))
    lease = WorkerLease(leases, "ct-1", Holder("a", "m", "host", "4"))
    lease.confirm()
    assert leases.asked > 1
    assert lease.holds()
    leases.close()
    assert reason_of(PoolTimeout("QueuePool limit reached")) == "TimeoutError"


def test_takeover_outlives_a_database_that_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = Busy(tmp_path)
    leases.seconds = 0.03
    takeover = Takeover(WorkerLease(leases, "ct-1", Holder("a", "m", "host", "4")))
    looks = iter([PoolTimeout("QueuePool limit reached"), KeyboardInterrupt()])

    def look() -> list[str]:
        raise next(looks)

    monkeypatch.setattr(takeover, "look", look)
    with pytest.raises(KeyboardInterrupt):
        takeover._keep_looking()
    leases.close()
