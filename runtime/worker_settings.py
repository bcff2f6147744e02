"""The keys of ``node.yaml`` about worker processes, and about machines that share a spool and a database."""

import re
import socket
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from core.frozen import Frozen

MOST_WORKERS = 64
_GPU = re.compile(r"\d+|(GPU|MIG)-[A-Za-z0-9/-]+")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]")


def _devices(value: Any) -> tuple[str | None, ...]:
    if type(value) is int and 1 <= value <= MOST_WORKERS:
        return (None,) * value
    if isinstance(value, (list, tuple)) and 1 <= len(value) <= MOST_WORKERS:
        names = tuple(str(item) for item in value)
        if all(name == "cpu" or _GPU.fullmatch(name) for name in names):
            return names
    raise PydanticCustomError(
        "workers",
        "a number from 1 to 64, or a list with each worker's device: cpu, a GPU's number, or its UUID (nvidia-smi -L)",
    )


Workers = Annotated[tuple[str | None, ...], BeforeValidator(_devices)]
"""Device of each worker process: ``cpu``, a GPU as ``CUDA_VISIBLE_DEVICES`` names it, or None for the one found."""


class Work(Frozen):
    """Limits on the time and the attempts of a study."""

    study_minutes: float = Field(default=60.0, gt=0, description="then the worker is ended, and the study tried again")
    tries: int = Field(default=3, ge=1, le=100, description="how often a study may cost its worker")


ExecutorName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


def this_host() -> str:
    """Return the name of the machine in the form of an executor's name; a pod of a StatefulSet keeps its own."""
    return _NOT_IN_A_NAME.sub("_", socket.gethostname()).lstrip("._-")[:100] or "segnode"
