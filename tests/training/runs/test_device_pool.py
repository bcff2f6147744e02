"""Devices leased whole or shared, in the order of priority and of time."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.node_process import wait_until
from training.runs.device_pool import DevicePool


class Waiters:
    """Threads that wait for devices; each notes that it has them, and holds them until it is told."""

    def __init__(self, pool: DevicePool) -> None:
        self.pool = pool
        self.got: list[str] = []
        self._ends: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def wait(self, name: str, count: int = 1, priority: int = 100, *, shared: bool = False) -> None:
        """Begin to wait, and return once that is so, or has ended."""
        end = self._ends[name] = threading.Event()
        before = self.pool._tickets

        def hold() -> None:
            with self.pool.leased(count, priority, shared=shared) as devices:
                assert devices is not None
                self.got.append(f"{name}:{','.join(map(str, devices))}")
                end.wait()

        self._threads.append(threading.Thread(target=hold))
        self._threads[-1].start()
        wait_until(lambda: self.pool._tickets > before, every_s=0.005)

    def end(self, name: str) -> None:
        """Have one give its devices back."""
        self._ends[name].set()

    def has(self, *expected: str) -> None:
        """Wait until these have devices, in this order, and no others do."""
        wait_until(lambda: len(self.got) >= len(expected), every_s=0.005)
        assert self.got == list(expected)

    def end_all(self) -> None:
        """End all."""
        for end in self._ends.values():
            end.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def waiters(*devices: str | None, runs_per_device: int = 1) -> Iterator[Waiters]:
    with ExitStack() as stack:
        them = Waiters(DevicePool(devices, runs_per_device))
        stack.callback(them.end_all)
        yield them


def test_whole_devices_go_by_priority_then_time() -> None:
    with waiters("0") as all_of_them:
        all_of_them.wait("first")
        all_of_them.has("first:0")
        all_of_them.wait("later")
        all_of_them.wait("last")
        all_of_them.wait("urgent", priority=1)
        expected = ["first:0"]
        for ended, next_one in (("first", "urgent:0"), ("urgent", "later:0"), ("later", "last:0")):
            all_of_them.end(ended)
            expected.append(next_one)
            all_of_them.has(*expected)


def test_shared_leases_fill_a_device_and_leave_whole_ones_free() -> None:
    with waiters("0", "1", runs_per_device=2) as all_of_them:
        all_of_them.wait("a", shared=True)
        all_of_them.has("a:0")
        all_of_them.wait("b", shared=True)
        all_of_them.wait("whole")
        all_of_them.has("a:0", "b:0", "whole:1")
        all_of_them.wait("c", shared=True)
        all_of_them.end("a")
        all_of_them.has("a:0", "b:0", "whole:1", "c:0")


def test_one_that_needs_two_is_not_overtaken() -> None:
    with waiters("0", "1") as all_of_them:
        all_of_them.wait("small")
        all_of_them.has("small:0")
        all_of_them.wait("both", count=2)
        all_of_them.wait("next")
        assert all_of_them.got == ["small:0"]
        all_of_them.end("small")
        all_of_them.has("small:0", "both:0,1")
        all_of_them.end("both")
        all_of_them.has("small:0", "both:0,1", "next:0")


def test_giving_up_leaves_the_queue() -> None:
    pool = DevicePool(["0"])
    with pool.leased(1, 1, shared=False), pool.leased(1, 1, shared=False, gives_up=lambda: True) as devices:
        assert devices is None
    with pool.leased(1, 1, shared=False) as devices:
        assert devices == ("0",)


def test_more_devices_than_there_are_is_an_error() -> None:
    lease = DevicePool(["0"]).leased(2, 1, shared=False)
    with pytest.raises(ValueError, match="2 devices are asked for, and this machine has 1"), lease:
        pass
