"""The processor or GPU of a worker process: the worker's share, and the error that means its loss."""

import os
from collections.abc import Sequence


def take_slot(workers: Sequence[str | None], slot: int) -> None:
    """Restrict this process to its own device and its share of the processor's cores, before torch is loaded."""
    device = workers[slot - 1]
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else device
    if len(workers) > 1:
        cores = len(os.sched_getaffinity(0)) // len(workers)
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores)))


LOST_DEVICE_EXIT = 7


def is_device_lost(problem: RuntimeError) -> bool:
    """Tell whether an error leaves a process's CUDA context unusable, as every error but a lack of memory does."""
    return "CUDA error" in str(problem)
