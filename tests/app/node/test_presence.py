"""The locks of a node: which nodes share one spool, and how a refused one names the one that runs."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.node.presence import Presence, read_processes
from core.errors import ConfigInvalid

BOTH = ("listener", "worker")


@contextmanager
def held(spool: Path, machine: str, *parts: str) -> Iterator[Presence]:
    """Hold the spool as a running node does."""
    presence = Presence(spool, machine, parts)
    presence.hold()
    try:
        yield presence
    finally:
        presence.release()


@pytest.mark.parametrize("second", [("listener",), ("worker",), BOTH])
def test_a_second_node_is_told_which_one_runs_and_changes_nothing(second: tuple[str, ...], tmp_path: Path) -> None:
    with held(tmp_path, "ct", *BOTH) as first:
        first.show({"listener": True, "listener-2": False, "worker": True})
        with pytest.raises(ConfigInvalid) as refused:
            Presence(tmp_path, "ct", second).hold()
        assert read_processes(tmp_path) == {"listener": True, "listener-2": False, "worker": True}
    said = str(refused.value)
    assert f"its {second[0]} is of process {os.getpid()} on {socket.gethostname()}, since 20" in said
    assert said.endswith("; stop that one, or give this one another spool")


def test_a_node_that_is_refused_for_its_worker_lets_go_of_its_listener(tmp_path: Path) -> None:
    with held(tmp_path, "ct", "worker"):
        with pytest.raises(ConfigInvalid, match="its worker is of process"):
            Presence(tmp_path, "ct", BOTH).hold()
        with held(tmp_path, "ct", "listener"):
            pass


def test_locks_of_a_dead_node_are_taken_over(tmp_path: Path) -> None:
    with held(tmp_path, "ct", *BOTH) as dead:
        dead.show({"listener": True, "worker": True})
    locks = list(tmp_path.glob(".node-*.lock"))
    assert len(locks) == 2
    assert all('"pid"' in lock.read_text() for lock in locks)
    assert read_processes(tmp_path) == {}
    with held(tmp_path, "ct", *BOTH):
        assert read_processes(tmp_path) == {"listener": False, "worker": False}


def test_a_listener_beside_a_worker_and_several_machines_share_a_spool(tmp_path: Path) -> None:
    with held(tmp_path, "ct", "listener") as listener, held(tmp_path, "ct", "worker") as worker:
        listener.show({"listener": True})
        worker.show({"worker": True, "worker-2": True})
        assert read_processes(tmp_path) == {"listener": True, "worker": True, "worker-2": True}
        with held(tmp_path, "mr-1", *BOTH) as other:
            other.show({"listener": True, "worker": False})
            assert read_processes(tmp_path) == {"listener": True, "worker": False, "worker-2": True}


def test_a_lock_that_a_full_disk_left_empty_refuses_all_the_same(tmp_path: Path) -> None:
    with held(tmp_path, "ct", "worker"):
        (lock,) = tmp_path.glob(".node-*.lock")
        for content in ("", "[]", '{"pid": 1}', "\0"):
            lock.write_text(content)
            with pytest.raises(ConfigInvalid, match=r"it holds \.node-.*-ct-worker\.lock and has not said which"):
                Presence(tmp_path, "ct", ("worker",)).hold()
