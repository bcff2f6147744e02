"""Locks between workers: one at a time, no wait for each other, no file that stays."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.cancellation import Cancellation
from core.errors import Cancelled, RetryLater
from services.masks.mask_locks import Locks
from tests.support.node_process import ROOT, wait_until

NAMES = ("cases:0001/mask/total_A.nii.gz", "cases:0001/mask/tumor_A.nii.gz")
HOLD = """
import sys
from pathlib import Path
from services.masks.mask_locks import Locks
with Locks(Path(sys.argv[1])).held(sys.argv[2:]):
    print("held", flush=True)
    sys.stdin.read()
"""


def _asked() -> bool:
    raise AssertionError("nobody else holds it")


UNASKED = Cancellation(_asked)


def test_a_lock_leaves_no_file(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "locks")
    with locks.held([*NAMES, NAMES[0]], UNASKED):
        assert len(list((tmp_path / "locks").iterdir())) == 2
    assert list((tmp_path / "locks").iterdir()) == []


def test_the_second_to_come_waits_and_may_give_up(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "locks")
    with locks.held(NAMES[:1], UNASKED), pytest.raises(Cancelled), locks.held(NAMES, Cancellation(lambda: True)):
        pass
    with locks.held(NAMES, UNASKED):
        pass


def test_of_many_at_once_each_has_it_alone(tmp_path: Path) -> None:
    locks, inside, most, turns = Locks(tmp_path / "locks"), [0], [0], [0]

    def work(names: tuple[str, ...]) -> None:
        for _ in range(5):
            with locks.held(names):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                turns[0] += 1
                inside[0] -= 1

    threads = [threading.Thread(target=work, args=(NAMES[::step],)) for step in (1, -1, 1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, turns) == ([1], [20])
    assert list((tmp_path / "locks").iterdir()) == []


def test_lock_of_a_killed_worker_is_free_and_tidied_away(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "locks")
    command = [sys.executable, "-c", HOLD, str(tmp_path / "locks"), *NAMES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            locks.tidy()
            assert len(list((tmp_path / "locks").iterdir())) == 2  # they are held
        finally:
            process.kill()
    wait_until(lambda: locks.tidy() or not list((tmp_path / "locks").iterdir()))
    with locks.held(NAMES, UNASKED):
        pass


def test_a_disk_that_refuses_is_a_reason_to_come_again(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "locks")
    (tmp_path / "locks").rmdir()
    with pytest.raises(RetryLater, match="work folder"), locks.held(NAMES, UNASKED):
        pass
