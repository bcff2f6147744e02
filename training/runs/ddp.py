"""One run on several devices together: nnU-Net's own DDP, a process a device, by nccl on GPUs and by gloo on CPUs.

``nnUNetv2_train -num_gpus`` asks for CUDA and nccl, and knows nothing of this project's checkpoints; the processes here
do what its do.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

from runtime.child import ParentLink

LOOK_EVERY_S = 0.5
_LOOPBACK = "127.0.0.1"


def on_devices(count: int, work: Callable[..., None], arguments: tuple[Any, ...], link: ParentLink) -> None:
    """Run one function in a process a device, and return when all have ended.

    Parameters
    ----------
    work
        Called as ``work(rank, is_to_stop, *arguments)`` in each.
    link
        Tells when to stop.

    Raises
    ------
    torch.multiprocessing.ProcessRaisedException, ProcessExitedException
        If one fails; the others are ended.
    """
    from torch.multiprocessing.spawn import spawn

    stop = multiprocessing.get_context("spawn").Event()
    os.environ |= {"MASTER_ADDR": _LOOPBACK, "MASTER_PORT": str(_free_port())}
    context: Any = spawn(_one_rank, (count, stop, work, arguments), nprocs=count, join=False)  # type: ignore[no-untyped-call]
    while not context.join(timeout=LOOK_EVERY_S):
        if link.wait_for_stop(0.0):
            stop.set()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _one_rank(rank: int, count: int, stop: Any, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    import torch
    from torch import distributed

    on_gpus = torch.cuda.is_available()
    distributed.init_process_group("nccl" if on_gpus else "gloo", rank=rank, world_size=count)
    if on_gpus:
        torch.cuda.set_device(rank)
    else:
        _let_cpus_in()
    try:
        work(rank, stop.is_set, *arguments)
    finally:
        distributed.destroy_process_group()


def _let_cpus_in() -> None:
    """Have nnU-Net's trainer wrap its network without a GPU's number, which DDP refuses on a CPU."""
    from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as module
    from torch.nn.parallel import DistributedDataParallel

    def wrapped(network: Any, device_ids: list[int]) -> Any:
        return DistributedDataParallel(network)

    module.DDP = wrapped


def settle_on_cpu(trainer: Any) -> None:
    """Put a trainer that was built in a process of gloo's on the CPU; it takes every such process for a GPU's."""
    import torch

    if trainer.is_ddp and not torch.cuda.is_available():
        trainer.device = torch.device("cpu")
        trainer.grad_scaler = None
