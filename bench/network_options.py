"""Ways to run a network of nnU-Net's own size on one tile of 128^3: seconds a tile, and how far logits move.

    python -m bench.network_options [--device cuda] [--options single bfloat16 …]

``docs/appendix/network-options.md`` says which options are used and which were dropped.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch

from bench.cases import FULL, FULL_CONVOLUTIONS
from segmentation.backends.openvino_network import OpenVinoNetwork, convert, is_installed
from segmentation.importing.add import add_package
from segmentation.package.network import build_network
from tests.support.tiny_models import write_results_folder
from tests.support.tiny_plans import TinyPlan

SIDE = 128
REPEATS = 2
THREADS = torch.get_num_threads()
Predict = Callable[[torch.Tensor], torch.Tensor]
Option = tuple[Callable[[], Predict], int]
"""A function that prepares the prediction of tiles, and their number at a time."""


def main() -> None:
    """Measure every option, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--options", nargs="+")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    arguments = parser.parse_args()
    ways = Ways(make_network().to(arguments.device), arguments.device)
    sys.stdout.write(f"{'option':<28}{'s/tile':>8}{'first':>8}{'logits move by':>16}\n")
    for name in arguments.options or ways.options():
        found = measure(ways, name, arguments.repeats)
        sys.stdout.write(f"{name:<28}{found['tile_s']:>8.2f}{found['first_s']:>8.2f}{found['moved']:>16.2g}\n")
        sys.stdout.flush()


def make_network(side: int = SIDE, features: tuple[int, ...] = FULL) -> torch.nn.Module:
    """Build nnU-Net's PlainConvUNet, 32 to 320 channels by default, with 20 classes and random weights."""
    labels = {"background": 0, **{f"organ {index}": index for index in range(1, 20)}}
    plan = TinyPlan(labels=labels, spacing=(1.5,) * 3, patch_size=(side,) * 3, mirror_axes=None)
    with TemporaryDirectory() as folder:
        source = write_results_folder(
            Path(folder) / "stock", plan, 0, features=features, convolutions=FULL_CONVOLUTIONS, fill=lambda *_: None
        )
        package = add_package(source, "full", Path(folder) / "models")
        return build_network(package.manifest.configurations[0].network)


@dataclass(frozen=True)
class Ways:
    """The ways in which a network can be run.

    Attributes
    ----------
    network
        On ``device``.
    device
        ``cpu`` or ``cuda``.
    side
        Edge of a tile in voxels.
    """

    network: torch.nn.Module
    device: str
    side: int = SIDE

    def options(self) -> dict[str, Option]:
        """List the options of the device by name."""
        low = torch.float16 if self.device == "cuda" else torch.bfloat16
        half = self.under(low, self.network)
        table: dict[str, Option] = {
            "single": (lambda: self.network, 1),
            "single, one thread": (lambda: on_one_thread(self.network), 1),
            "single, channels last": (self.channels_last, 1),
            "single, 2 tiles at a time": (lambda: self.network, 2),
            "single, compiled": (lambda: torch.compile(self.network), 1),
            f"{low}".removeprefix("torch."): (lambda: half, 1),
            "half, one thread": (lambda: on_one_thread(half), 1),
            "half, channels last": (lambda: self.under(low, self.channels_last()), 1),
            "half, 2 tiles at a time": (lambda: half, 2),
            "half, 4 tiles at a time": (lambda: half, 4),
            "half, compiled": (lambda: torch.compile(half), 1),
        }
        return table | (self._on_gpu(half) if self.device == "cuda" else self._on_cpu())

    def _on_cpu(self) -> dict[str, Option]:
        if not is_installed():
            return {}
        return {
            "OpenVINO, single": (lambda: self.converted("float32"), 1),
            "OpenVINO, bfloat16": (lambda: self.converted("bfloat16"), 1),
        }

    def _on_gpu(self, half: Predict) -> dict[str, Option]:
        return {
            "half, CUDA graph": (partial(self.graphed, half), 1),
            "half, cudnn.benchmark": (partial(by_trial, half), 1),
            "half, from pageable memory": (partial(from_host, half, pinned=False), 1),
            "half, from pinned memory": (partial(from_host, half, pinned=True), 1),
            "bfloat16": (lambda: self.under(torch.bfloat16, self.network), 1),
        }

    def under(self, precision: torch.dtype, model: Predict) -> Predict:
        """Run a model under autocast."""

        def predict(tile: torch.Tensor) -> torch.Tensor:
            with torch.autocast(self.device, precision):
                return model(tile)

        return predict

    def channels_last(self) -> torch.nn.Module:
        """Copy the network, with its weights in another order of memory."""
        turned = copy.deepcopy(self.network)
        for parameter in turned.parameters():
            if parameter.ndim == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        return turned

    def graphed(self, model: Predict) -> Predict:
        """Record a model's kernels once, and replay them."""
        static = torch.zeros((1, 1, *(self.side,) * 3), device=self.device)
        model(static)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = model(static)

        def predict(tile: torch.Tensor) -> torch.Tensor:
            static.copy_(tile)
            graph.replay()
            return result

        return predict

    def converted(self, precision: Literal["float32", "bfloat16"]) -> Predict:
        """Convert the network for OpenVINO."""
        with TemporaryDirectory() as folder:
            graph, numbers = Path(folder) / "network.xml", Path(folder) / "network.bin"
            convert(self.network, (1, 1, *(self.side,) * 3), graph, numbers)
            return OpenVinoNetwork(graph.read_bytes(), numbers.read_bytes(), precision, THREADS)


def on_one_thread(model: Predict) -> Predict:
    """Take one thread for what follows."""
    torch.set_num_threads(1)
    return model


def by_trial(model: Predict) -> Predict:
    """Let cuDNN try its convolutions and take the quickest, as nnU-Net does."""
    torch.backends.cudnn.benchmark = True
    return model


def from_host(model: Predict, *, pinned: bool) -> Predict:
    """Take tiles from the host's memory, and bring logits back there."""

    def predict(tile: torch.Tensor) -> torch.Tensor:
        host = tile.cpu()
        on_device = (host.pin_memory() if pinned else host).to(tile.device, non_blocking=pinned)
        logits = model(on_device)
        back = torch.empty(logits.shape, dtype=logits.dtype, pin_memory=pinned)
        return back.copy_(logits, non_blocking=pinned)

    return predict


@torch.inference_mode()
def measure(ways: Ways, name: str, repeats: int = REPEATS) -> Mapping[str, Any]:
    """Measure an option: seconds a tile, of the first run, and the largest change of a logit from single precision."""
    tile = torch.randn((1, 1, *(ways.side,) * 3), generator=torch.Generator().manual_seed(0)).to(ways.device)
    expected = ways.network(tile)
    prepare, tiles = ways.options()[name]
    times = []
    try:
        predict = prepare()
        batch = tile.expand(tiles, *tile.shape[1:]).contiguous()
        for _ in range(1 + repeats):
            start = time.perf_counter()
            logits = predict(batch)
            if ways.device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(THREADS)
        torch.backends.cudnn.benchmark = False
    moved = float((logits[:1].to(ways.device).float() - expected).abs().max())
    return {"tile_s": min(times[1:]) / tiles, "first_s": times[0], "moved": moved}


if __name__ == "__main__":
    main()
