"""The backend ``openvino``: networks of nnU-Net on a CPU, converted once and compiled where they run.

OpenVINO reports to its makers' server when it is imported and by ``openvino.convert_model``, unless a file in the
user's home forbids it. It is imported by `load_openvino` alone, which keeps the reporting package out, and networks are
converted by its front end itself (ADR 18).

References
----------
OpenVINO documentation, "CPU device: supported properties", "Precision control".
"""

import importlib
import importlib.util
import re
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import torch
from torch.jit._trace import TracerWarning  # torch exports it without saying so

if TYPE_CHECKING:
    import openvino

HINTS: dict[str, str] = {"float32": "f32", "bfloat16": "bf16"}
"""OpenVINO's names of the types in which a network is computed."""


def is_installed() -> bool:
    """Return whether OpenVINO can be imported here."""
    return importlib.util.find_spec("openvino") is not None


def installed_version() -> str:
    """Return OpenVINO's version; only where it is installed."""
    return version("openvino")


def load_openvino() -> ModuleType:
    """Import OpenVINO without the package that reports its use, in place of which it then takes a stub of its own.

    The report would also fork a process whose threads hold locks (ADR 13).
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # how Python marks what cannot be imported
    return importlib.import_module("openvino")


def convert(module: torch.nn.Module, shape: Sequence[int], graph: Path, numbers: Path) -> None:
    """Write a network in OpenVINO's form, with its weights in single precision.

    Parameters
    ----------
    module
        The network, in evaluation mode, on the CPU.
    shape
        ``(1, channel, *patch)``: the only shape that it will take.
    graph, numbers
        Paths of the new files, ``.xml`` and ``.bin``.
    """
    library = load_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.inference_mode(), warnings.catch_warnings():
        # OpenVINO traces with what torch calls deprecated, and a trace holds for one shape, which is all that is asked.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", TracerWarning)
        example = (torch.zeros(tuple(shape)),)
        decoder = TorchScriptPythonDecoder(module, example_input=example, trace_kwargs={"check_trace": False})
        front_end = FrontEndManager().load_by_framework("pytorch")
        model = front_end.convert(front_end.load(decoder))
    model.reshape(list(shape))
    # Names count what the process converted before; without them the same network gives the same file.
    model.set_friendly_name("network")
    for number, operation in enumerate(model.get_ordered_ops()):
        operation.set_friendly_name(f"{operation.get_type_name()}_{number}")
    library.serialize(model, graph, numbers)
    text = graph.read_text(encoding="utf-8")
    graph.write_text(re.sub(r'\s*<attribute name="fused_names"[^>]*/>', "", text), encoding="utf-8")


class OpenVinoNetwork:
    """A converted network, compiled for the processor that is here.

    Parameters
    ----------
    graph, numbers
        Contents of the two files that :func:`convert` writes.
    precision
        ``float32`` or ``bfloat16``: the type in which it is computed.
    threads
        Number of threads that it computes on.
    """

    def __init__(self, graph: bytes, numbers: bytes, precision: Literal["float32", "bfloat16"], threads: int) -> None:
        library = load_openvino()
        core = library.Core()
        model = core.read_model(graph, numbers)
        settings = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Several workers would pin their threads to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._request: openvino.InferRequest = core.compile_model(model, "CPU", settings).create_infer_request()
        self._shape = tuple(model.output(0).shape)
        self._tensor = library.Tensor

    def __call__(self, tiles: torch.Tensor) -> torch.Tensor:
        """Compute the logits of tiles, as `segmentation.backends.tile_network.TileNetwork` says."""
        logits = torch.empty((len(tiles), *self._shape[1:]))
        for tile, out in zip(tiles.contiguous(), logits, strict=True):
            self._compute(tile[None], out[None])
        return logits

    def _compute(self, tile: torch.Tensor, out: torch.Tensor) -> None:
        """Compute one tile from torch's memory into torch's memory, without a copy."""
        self._request.set_input_tensor(self._tensor(tile.numpy(), shared_memory=True))
        self._request.set_output_tensor(self._tensor(out.numpy(), shared_memory=True))
        self._request.infer()
