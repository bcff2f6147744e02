"""The figure of ``docs/geometry.md``: a tilted and an uneven stack over their regular grids, and one true voxel.

python -m bench.geometry_figure docs/images/tilted-stack.png
"""

import sys
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("agg")
from matplotlib import pyplot as plt  # the backend is chosen first
from matplotlib.patches import Ellipse, Polygon

from core.irregular_stack import IrregularStack
from core.regular_grid import regular_grid
from core.volume import Geometry

TILT_DEGREES = 18.5
ROWS, PIXEL_MM = 23, 8.0
BLUE, ORANGE, RED, GREY = "#1f77b4", "#ff7f0e", "#d62728", "#777777"


def main() -> None:
    """Draw three panels, and write them to the named file."""
    mpl.rcParams.update({"font.size": 9, "axes.titlesize": 9})
    figure, panels = plt.subplots(1, 3, figsize=(13.2, 5.2), layout="constrained", width_ratios=(1.45, 1, 1))
    _tilted(panels[0])
    _uneven(panels[1])
    _voxel(panels[2])
    figure.savefig(sys.argv[1], dpi=110)


def _stack(gaps: list[float], degrees: float) -> Geometry:
    """Build a stack that is one pixel wide, its rows in the side view: y to the back, z to the head."""
    turn = np.radians(degrees)
    heights = np.concatenate([[0.0], np.cumsum(gaps)])
    offsets = np.stack([heights * np.tan(turn), np.zeros_like(heights)], axis=1)
    cos, sin = np.cos(turn), np.sin(turn)
    direction = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    stack = IrregularStack(heights, offsets)
    spacing = (stack.median_gap, PIXEL_MM, PIXEL_MM)
    return Geometry((len(heights), ROWS, 1), spacing, (0.0, 0.0, 0.0), direction, stack)


def _points(geometry: Geometry) -> Any:
    """Return y and z ``(slice, row, 2)`` of every voxel."""
    return geometry.index_to_lps(np.moveaxis(np.indices(geometry.shape), 0, -1))[:, :, 0, 1:]


def _tilted(axes: Any) -> None:
    stack = _stack([12.0] * 11, TILT_DEGREES)
    slices, grid = _points(stack), regular_grid(stack)
    places = _points(grid)
    found = stack.lps_to_index(grid.index_to_lps(np.moveaxis(np.indices(grid.shape), 0, -1)))[:, :, 0, 1]
    acquired = (found > -0.5) & (found < ROWS - 0.5)
    middle = slices.reshape(-1, 2).mean(axis=0)
    axes.add_patch(Ellipse(tuple(middle), 150, 190, color="#f5e0d0", zorder=0))
    corners = places[[0, 0, -1, -1], [0, -1, -1, 0]]
    own = slices[[0, 0, -1, -1], [0, -1, -1, 0]]
    for wedge in ((own[1], corners[1], own[2]), (own[0], own[3], corners[3])):
        axes.add_patch(Polygon(wedge, color=RED, alpha=0.13, linewidth=0, zorder=1))
    axes.scatter(*places[acquired].T, s=4, color=GREY, zorder=2, label="regular grid that the network is shown")
    axes.scatter(*places[~acquired].T, s=6, color=RED, zorder=2, label="wedges without a source: air, and not counted")
    for number, line in enumerate(slices):
        axes.plot(
            *line.T, color=BLUE, linewidth=1.3, zorder=3, label=None if number else "slices as they were acquired"
        )
    axes.annotate(
        "", slices[-1, 0] - (0, 8), slices[0, 0] - (0, 8), arrowprops={"arrowstyle": "->", "color": ORANGE, "lw": 1.5}
    )
    axes.text(*(slices[4, 0] - (6, 8)), "the table's way", rotation=90, color=ORANGE, ha="right", va="center")
    normal = places[-1, 0] - places[0, 0]
    axes.annotate(
        "", places[0, 0] + normal * 1.1, places[0, 0], arrowprops={"arrowstyle": "->", "color": GREY, "lw": 1.2}
    )
    axes.text(*(places[0, 0] + normal * 1.12), "normal", color=GREY, ha="center", va="bottom")
    axes.set_title(f"1  A stack under a gantry tilted by {TILT_DEGREES:g} degrees, from the patient's left")
    axes.legend(loc="lower right", fontsize=7, framealpha=0.9)
    _finish(axes)


def _uneven(axes: Any) -> None:
    stack = _stack([5.0] * 12 + [10.0] * 6, 0.0)
    heights = stack.slice_positions[:, 2]
    planes = regular_grid(stack).slice_positions[:, 2]
    assert stack.stack is not None  # noqa: S101 - for the type checker
    for height, share in zip(heights, stack.stack.shares, strict=True):
        axes.plot((0, 1), (height, height), color=BLUE, linewidth=1.3)
        axes.plot((1.06, 1.06), (height - share / 2 + 0.7, height + share / 2 - 0.7), color=ORANGE, linewidth=3)
    for plane in planes:
        axes.plot((-1.1, -0.1), (plane, plane), color=GREY, linewidth=0.9, linestyle="--")
    top = float(heights[-1]) + 6
    axes.text(-0.6, top, "grid at the\nmedian gap", color=GREY, ha="center")
    axes.text(0.45, top, "slices", color=BLUE, ha="center")
    axes.text(1.1, top, "share of\neach slice", color=ORANGE, ha="center")
    axes.set_xlim(-1.25, 1.5)
    axes.set_ylim(-5, top + 14)
    axes.set_title("2  A stack of 12 gaps of 5 mm and 6 of 10 mm:\nvolumes count each slice by its share")
    axes.axis("off")


def _voxel(axes: Any) -> None:
    corners, place = np.array([(0, 0), (1, 0), (0, 1), (1, 1)], float), np.array([0.38, 0.64])
    rows, planes = np.meshgrid(np.arange(-1, 3), np.arange(-1, 3))
    axes.scatter(rows, planes, s=26, color=GREY, label="logits on the network's grid")
    for corner in corners:
        weight = np.prod(1 - np.abs(place - corner))
        axes.plot(*np.stack([corner, place]).T, color=ORANGE, linewidth=0.8 + 3 * weight)
        axes.text(*(corner + (corner - 0.5) * 0.22), f"{weight:.2f}", color=ORANGE, ha="center", va="center")
    for step in (-1, 0, 1):
        axes.scatter(
            np.arange(-1, 3) + place[0] + step * 0.33, np.full(4, place[1] + step), s=22, marker="x", color=BLUE
        )
    axes.scatter([], [], s=22, marker="x", color=BLUE, label="true voxels of three slices")
    axes.scatter(
        *place, s=70, facecolors="none", edgecolors=RED, linewidths=1.6, label="one of them: decided here, once"
    )
    axes.set_xlim(-1.3, 2.3)
    axes.set_ylim(-1.9, 2.3)
    axes.set_title("3  Each true voxel is labelled from logits:\nno mask is ever resampled")
    axes.legend(loc="lower center", fontsize=7)
    _finish(axes)


def _finish(axes: Any) -> None:
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


if __name__ == "__main__":
    main()
