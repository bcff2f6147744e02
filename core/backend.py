"""The library that computes a model's networks, its version, and the type of its numbers."""

from dataclasses import dataclass
from typing import Literal

BackendName = Literal["torch", "openvino"]
Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Backend:
    """A backend as it runs on one machine (`segmentation.backends`).

    Attributes
    ----------
    name
        The library.
    version
        Its version, without the suffix of a build.
    precision
        The type in which the network's convolutions are computed.
    """

    name: BackendName
    version: str
    precision: Precision

    def __str__(self) -> str:
        """Write it as reports, objects and logs have it: ``openvino 2026.4.1 float32``."""
        return f"{self.name} {self.version} {self.precision}"
