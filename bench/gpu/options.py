"""Options of the network on a GPU, each beside half precision alone; see `bench.gpu.items`, `bench.network_options`."""

from functools import cache

from bench.gpu.items import Figures, Setting, Size, print_items
from bench.network_options import SIDE, Ways, make_network
from bench.network_options import measure as measure_option

ITEMS: dict[Size, tuple[str, ...]] = {
    "full": ("single", "float16", "bfloat16", "half, channels last", "half, cudnn.benchmark", "half, CUDA graph",
             "half, from pageable memory", "half, from pinned memory", "half, 2 tiles at a time"),
    "tiny": ("single", "bfloat16", "half, channels last"),
}  # fmt: skip
"""The last but two of the full ones need a GPU, so a dry run has others."""
TINY_SIDE, TINY_FEATURES = 16, (4, 8)


def measure(item: str, setting: Setting) -> Figures:
    """Measure an option on a tile of 128^3 of a network of nnU-Net's size."""
    return dict(measure_option(_ways(setting), item))


@cache
def _ways(setting: Setting) -> Ways:
    if setting.size == "tiny":
        return Ways(make_network(TINY_SIDE, TINY_FEATURES), setting.device, TINY_SIDE)
    return Ways(make_network(SIDE).to(setting.device), setting.device, SIDE)


if __name__ == "__main__":
    print_items(measure)
