"""The figure of ``docs/performance.md``: resampling as a product, and the cells that need interpolation.

python -m bench.figure docs/images/short-cuts.png
"""

import sys
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("agg")
from matplotlib import pyplot as plt  # the backend is chosen first
from matplotlib.patches import Rectangle

from segmentation.preprocessing.interpolation import axis_matrix

CELLS, CLASSES = 22, 4
COLOURS = ("#f2f2f2", "#9ecae1", "#fdae6b", "#a1d99b")


def main() -> None:
    """Draw three panels, and write them to the named file."""
    mpl.rcParams.update({"font.size": 9, "axes.titlesize": 9})
    figure, panels = plt.subplots(1, 3, figsize=(12.8, 4.3), layout="constrained")
    _matrix(panels[0])
    _cells(panels[1])
    _rounding(panels[2])
    figure.savefig(sys.argv[1], dpi=110)


def _matrix(axes: Any) -> None:
    matrix = np.abs(axis_matrix(64, 33, 3))
    image = axes.imshow(np.log10(np.maximum(matrix, 1e-9)), cmap="Blues", vmin=-9, vmax=0, aspect="auto")
    axes.figure.colorbar(image, ax=axes, label="log10 of the weight", shrink=0.85)
    axes.set_title("1  One axis of order 3 is one banded matrix\n(prefilter and interpolation, 64 to 33 voxels)")
    axes.set_xlabel("voxel of the image")
    axes.set_ylabel("voxel that the network sees")


def _cells(axes: Any) -> None:
    y, x = np.mgrid[:CELLS, :CELLS].astype(float)
    centres = [(7.0, 7.5, 5.2), (14.5, 12.0, 6.0), (6.0, 16.5, 3.6)]
    fields = [radius - np.hypot(y - cy, x - cx) for cy, cx, radius in centres]
    winner = np.argmax(np.stack([np.full(y.shape, 0.0), *fields]), axis=0)
    axes.scatter(x, y, c=[COLOURS[k] for k in winner.ravel()], s=34, edgecolors="#555555", linewidths=0.4, zorder=3)
    boundary = 0
    for row in range(CELLS - 1):
        for column in range(CELLS - 1):
            corners = winner[row : row + 2, column : column + 2]
            mixed = corners.min() != corners.max()
            boundary += int(mixed)
            colour = "#d62728" if mixed else COLOURS[corners[0, 0]]
            axes.add_patch(Rectangle((column, row), 1, 1, color=colour, alpha=0.45 if mixed else 0.8, linewidth=0))
    share = boundary / (CELLS - 1) ** 2
    axes.set_title(
        f"2  Only cells whose corners disagree are interpolated\n(red: {share:.0%} of this coarse plane; "
        "in a CT a few percent)"
    )
    axes.set_xlim(-0.6, CELLS - 0.4)
    axes.set_ylim(CELLS - 0.4, -0.6)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])


def _rounding(axes: Any) -> None:
    # Class 1 wins at both corners by one step of half precision, but above 4 a step is twice as long as below.
    low, high = np.array([4 - 2 * 2.0**-9, 4 + 5 * 2.0**-8]), np.array([4 - 2.0**-9, 4 + 6 * 2.0**-8])
    place = np.linspace(0, 1, 4001)
    values = [(1 - place) * ends[0] + place * ends[1] for ends in (low, high)]
    rounded = [value.astype(np.float16).astype(float) for value in values]
    for value, half, colour, name in zip(values, rounded, ("#1f77b4", "#ff7f0e"), ("class 0", "class 1"), strict=True):
        axes.plot(place, value, "--", color=colour, linewidth=0.9)
        axes.plot(place, half, color=colour, linewidth=1.8, label=f"{name}, rounded to half precision")
    tie = rounded[0] == rounded[1]
    bottom, top = axes.get_ylim()
    axes.fill_between(
        place, bottom, top, where=tie, color="#d62728", alpha=0.2, linewidth=0, label="a tie: class 0 wins"
    )
    axes.set_ylim(bottom, top + 0.3 * (top - bottom))
    axes.set_title("3  Corners that agree are not enough in half precision:\nwithin one step, voxels are decided again")
    axes.set_xlabel("from one corner of the cell to the next")
    axes.set_ylabel("logit")
    axes.legend(loc="upper left", fontsize=7)


if __name__ == "__main__":
    main()
