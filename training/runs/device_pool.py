"""The devices of a machine, leased to its runs: whole, or shared with others that share too."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

LOOK_EVERY_S = 0.5


@dataclass
class _Device:
    name: str | None
    runs: int = 0
    is_whole: bool = False


@dataclass(order=True)
class _Waiting:
    priority: int
    ticket: int
    count: int = field(compare=False)
    is_shared: bool = field(compare=False)


class DevicePool:
    """The leases of one process.

    Parameters
    ----------
    devices
        Each as ``CUDA_VISIBLE_DEVICES`` names it, ``cpu``, or None for the one found.
    runs_per_device
        How many runs may share one.
    """

    def __init__(self, devices: Sequence[str | None], runs_per_device: int = 1) -> None:
        self._devices = [_Device(name) for name in devices]
        self._runs_per_device = runs_per_device
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._tickets = 0

    @property
    def slots(self) -> int:
        """Number of runs that can go on at a time, if all share."""
        return len(self._devices) * self._runs_per_device

    @contextmanager
    def leased(
        self, count: int, priority: int, *, shared: bool, gives_up: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[str | None, ...] | None]:
        """Wait for devices, in the order of priority and then of time, and hold them in the block.

        The first that waits is served first, though another might find its device free: else one that needs two
        would wait for ever.

        Parameters
        ----------
        count
            How many; of several none is shared.
        priority
            The smallest is the first.
        shared
            Other runs may have the device, too.
        gives_up
            Asked while waiting.

        Yields
        ------
        tuple of names, or None
            The devices; None if it gave up.

        Raises
        ------
        ValueError
            If the machine has fewer devices.
        """
        if count > len(self._devices):
            raise ValueError(f"{count} devices are asked for, and this machine has {len(self._devices)}")
        taken = self._wait(count, priority, is_shared=shared and count == 1, gives_up=gives_up)
        try:
            yield None if taken is None else tuple(device.name for device in taken)
        finally:
            with self._changed:
                for device in taken or ():
                    device.runs -= 1
                    device.is_whole = False
                self._changed.notify_all()

    def _wait(
        self, count: int, priority: int, *, is_shared: bool, gives_up: Callable[[], bool]
    ) -> list[_Device] | None:
        with self._changed:
            self._tickets += 1
            me = _Waiting(priority, self._tickets, count, is_shared)
            self._waiting.append(me)
            try:
                while min(self._waiting) is not me or len(free := self._free(me)) < count:
                    if gives_up():
                        return None
                    self._changed.wait(LOOK_EVERY_S)
                for device in free[:count]:
                    device.runs += 1
                    device.is_whole = not is_shared
                return free[:count]
            finally:
                self._waiting.remove(me)
                self._changed.notify_all()

    def _free(self, wish: _Waiting) -> list[_Device]:
        limit = self._runs_per_device if wish.is_shared else 1
        free = [device for device in self._devices if not device.is_whole and device.runs < limit]
        # What is shared already comes first, so that whole devices stay whole for those who need one.
        return sorted(free, key=lambda device: -device.runs) if wish.is_shared else [d for d in free if d.runs == 0]
