"""The material of the items: made series, models of random weights, and the case of the table (`bench.gpu.items`)."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.cases import FULL, FULL_CONVOLUTIONS, ON_CPU, Case, prepare
from bench.gpu.items import Figures, Setting, Size, print_items
from bench.made import make_image
from core.volume import Geometry
from phantom.anatomy import Phantom
from phantom.series import write_series
from segmentation.importing.totalsegmentator import add_totalsegmentator
from tests.support.totalsegmentator_folder import make_totalsegmentator

TABLE: Mapping[Size, Case] = {
    "full": Case("table", 20, (120, 512, 512), model="full", once=("stock", "torch"),
                 rows=("stock", "torch", "exact", "fast", ON_CPU)),
    "tiny": Case("table", 3, (12, 40, 40), patch=(8, 16, 16), warm=1, rows=("stock", "exact")),
}  # fmt: skip
"""The case of the peers' table."""
SERIES: Mapping[Size, Mapping[str, tuple[tuple[int, int, int], tuple[float, float, float]]]] = {
    "full": {"large": ((531, 512, 512), (1.25, 0.78, 0.78)), "small": ((60, 256, 256), (2.5, 1.4, 1.4))},
    "tiny": {"large": ((12, 40, 40), (2.5, 2.5, 2.5)), "small": ((8, 32, 32), (2.5, 2.5, 2.5))},
}
"""Shape and spacing in mm of the series that the five parts run on."""
PARTS = "parts"
"""Name of the package of five parts."""
ITEMS = ("parts", "large", "small", "table")


def measure(item: str, setting: Setting) -> Figures:
    """Make one of ``ITEMS`` below the folder."""
    start = time.perf_counter()
    if item == "table":
        prepare(TABLE[setting.size], setting.folder / "table")
    elif item == "parts":
        full = setting.size == "full"
        size: dict[str, Any] = {"features": FULL, "convolutions": FULL_CONVOLUTIONS} if full else {}
        changes: dict[str, Any] = {"spacing": (1.5,) * 3, "patch_size": (128,) * 3} if full else {"spacing": (3.0,) * 3}
        make_totalsegmentator(setting.folder / "totalsegmentator", size=size, **changes)
        add_totalsegmentator(setting.folder / "totalsegmentator", PARTS, setting.folder / "models")
    else:
        shape, spacing = SERIES[setting.size][item]
        geometry = Geometry(shape, spacing, (0.0, 0.0, 0.0), np.eye(3))
        phantom = Phantom(make_image(shape), np.zeros(shape, dtype=np.uint8), geometry, "CT", None, 0)
        write_series(phantom, setting.folder / item)
    return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    print_items(measure)
