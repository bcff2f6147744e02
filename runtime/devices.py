"""The processor or GPU of a worker process: the worker's share, and the error that means its loss."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from core.event_log import EventLog
from runtime.processor import settle_threads

_log = EventLog()


def take_slot(workers: Sequence[str | None], slot: int) -> None:
    """Restrict this process to its own device and its share of the processor's cores, before torch is loaded."""
    device = workers[slot - 1]
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else device
    settle_threads(len(workers))


LOST_DEVICE_EXIT = 7


def is_device_lost(problem: RuntimeError) -> bool:
    """Tell whether an error leaves a process's CUDA context unusable, as every error but a lack of memory does."""
    return "CUDA error" in str(problem)


@contextmanager
def ends_with_device(work: Mapping[str, str | int]) -> Iterator[None]:
    """End the process if its GPU is lost in the block: no work that comes after could use it in this process.

    Parameters
    ----------
    work
        Identity of the work, for the log.
    """
    try:
        yield
    except RuntimeError as problem:
        if is_device_lost(problem):
            _log.error("gpu_lost", **dict(work))
            os._exit(LOST_DEVICE_EXIT)
        raise
