"""Ways to run a network of nnU-Net's own size on one tile of 128^3: seconds a tile, and how far logits move.

    python -m bench.network_options [--device cuda] [--options single bf16 …]

``docs/performance.md`` says which options are used and which were dropped.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

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


def main() -> None:
    """Measure every option, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--options", nargs="+")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    arguments = parser.parse_args()
    network = make_network().to(arguments.device)
    tile = torch.randn((1, 1, SIDE, SIDE, SIDE), generator=torch.Generator().manual_seed(0)).to(arguments.device)
    table = options(network, arguments.device)
    with torch.inference_mode():
        expected = network(tile)
        sys.stdout.write(f"{'option':<28}{'s/tile':>8}{'first':>8}{'logits move by':>16}\n")
        for name in arguments.options or table:
            predict, tiles = table[name]()
            batch = tile.expand(tiles, *tile.shape[1:]).contiguous()
            times = []
            for _ in range(1 + arguments.repeats):
                start = time.perf_counter()
                logits = predict(batch)
                if arguments.device == "cuda":
                    torch.cuda.synchronize()
                times.append(time.perf_counter() - start)
            first, *times = times
            moved = float((logits[:1].float() - expected).abs().max())
            sys.stdout.write(f"{name:<28}{min(times) / tiles:>8.2f}{first:>8.2f}{moved:>16.2g}\n")
            sys.stdout.flush()
            torch.set_num_threads(THREADS)


def make_network() -> torch.nn.Module:
    """Build nnU-Net's PlainConvUNet with 32 to 320 channels, 20 classes and random calibrated weights."""
    labels = {"background": 0, **{f"organ {index}": index for index in range(1, 20)}}
    plan = TinyPlan(labels=labels, spacing=(1.5,) * 3, patch_size=(SIDE,) * 3, mirror_axes=None)
    with TemporaryDirectory() as folder:
        source = write_results_folder(
            Path(folder) / "stock", plan, 0, features=FULL, convolutions=FULL_CONVOLUTIONS, fill=lambda *_: None
        )
        package = add_package(source, "full", Path(folder) / "models")
        return build_network(package.manifest.configurations[0].network)


def options(network: torch.nn.Module, device: str) -> dict[str, Callable[[], tuple[Predict, int]]]:
    """List the options by name; each prepares the prediction of tiles, and gives their number at a time."""

    def under(precision: torch.dtype, model: Predict) -> Predict:
        def predict(tile: torch.Tensor) -> torch.Tensor:
            with torch.autocast(device, precision):
                return model(tile)

        return predict

    def last() -> torch.nn.Module:
        turned = copy.deepcopy(network)
        for parameter in turned.parameters():
            if parameter.ndim == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        return turned

    def on_threads(count: int, predict: Predict) -> Predict:
        torch.set_num_threads(count)
        return predict

    def graphed() -> Predict:
        static = torch.zeros((1, 1, SIDE, SIDE, SIDE), device=device)
        model = under(torch.float16, network)
        model(static)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = model(static)

        def predict(tile: torch.Tensor) -> torch.Tensor:
            static.copy_(tile)
            graph.replay()
            return result

        return predict

    def converted(precision: Literal["float32", "bfloat16"]) -> Predict:
        with TemporaryDirectory() as folder:
            graph, numbers = Path(folder) / "network.xml", Path(folder) / "network.bin"
            convert(network, (1, 1, SIDE, SIDE, SIDE), graph, numbers)
            return OpenVinoNetwork(graph.read_bytes(), numbers.read_bytes(), precision, THREADS)

    low = torch.float16 if device == "cuda" else torch.bfloat16
    table: dict[str, Callable[[], tuple[Predict, int]]] = {
        "single": lambda: (network, 1),
        "single, one thread": lambda: (on_threads(1, network), 1),
        "single, channels last": lambda: (last(), 1),
        "single, 2 tiles at a time": lambda: (network, 2),
        "single, compiled": lambda: (torch.compile(network), 1),
        f"{low}".removeprefix("torch."): lambda: (under(low, network), 1),
        "half, one thread": lambda: (on_threads(1, under(low, network)), 1),
        "half, channels last": lambda: (under(low, last()), 1),
        "half, 2 tiles at a time": lambda: (under(low, network), 2),
        "half, 4 tiles at a time": lambda: (under(low, network), 4),
        "half, compiled": lambda: (torch.compile(under(low, network)), 1),
    }
    if device == "cpu" and is_installed():
        table["OpenVINO, single"] = lambda: (converted("float32"), 1)
        table["OpenVINO, bfloat16"] = lambda: (converted("bfloat16"), 1)
    if device == "cuda":
        table["half, CUDA graph"] = lambda: (graphed(), 1)
        table["bfloat16"] = lambda: (under(torch.bfloat16, network), 1)
    return table


if __name__ == "__main__":
    main()
