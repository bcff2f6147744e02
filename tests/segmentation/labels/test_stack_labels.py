"""Labels of irregular stacks against shapes that are known at every point."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.model_config import Orientation
from core.regular_grid import regular_grid
from core.volume import Geometry
from segmentation.labels.export_prediction import Prediction, labels_of_prediction, labels_of_slabs
from segmentation.labels.stack_labels import labels_of_stack, labels_of_stack_ensemble
from segmentation.labels.stack_points import StackPoints
from segmentation.package.network_spec import Configuration, Labels
from segmentation.preprocessing.orientation import reorientation
from tests.support.plans_of import make_configuration
from tests.support.series_helpers import DIRECTIONS
from tests.support.stacks import SHAPES, grids_of, logits_at, made_stack, network_logits, points_of

LABELS = Labels(values={"background": 0, "a": 1, "b": 2, "c": 3, "d": 4})
EVEN = [3.0] * 25
UNEVEN = [2.0] * 12 + [3.3] * 15


def in_slabs(logits: torch.Tensor, planes: int = 5) -> Iterator[torch.Tensor]:
    """Yield slabs whose memory is overwritten as soon as the next one is requested, as the sliding window does."""
    for start in range(0, logits.shape[1], planes):
        slab = logits[:, start : start + planes].clone()
        yield slab
        slab.fill_(-1000)


def labelled(
    geometry: Geometry, configuration: Configuration, orientation: Orientation = "acquired"
) -> NDArray[np.integer]:
    grid = regular_grid(geometry)
    turn = reorientation(geometry, orientation)
    grids = grids_of(grid, turn, configuration)
    logits = network_logits(grid, turn, grids, configuration)
    if geometry.is_regular:
        return turn.undo(labels_of_slabs(in_slabs(logits), grids, configuration, LABELS))
    points = StackPoints.of(geometry, grid).turned(turn)
    return labels_of_stack(in_slabs(logits), grids, configuration, LABELS, points).main


def share_wrong(geometry: Geometry, found: NDArray[np.integer]) -> tuple[float, float]:
    """Return the share of voxels that differ from the shapes', and the largest margin of a voxel that does."""
    true = logits_at(points_of(geometry))
    wrong = found != true.argmax(0)
    first, second = np.sort(true[:, wrong], axis=0)[-1:-3:-1] if wrong.any() else (np.zeros(1), np.zeros(1))
    return float(wrong.mean()), float((first - second).max())


FINER = make_configuration(spacing=(1.7, 1.0, 1.0))
COARSER = make_configuration(spacing=(3.0, 2.1, 2.1))
TRANSPOSED = make_configuration(spacing=(2.1, 3.0, 2.1), transpose=(1, 0, 2))
TURNED = make_configuration(spacing=(2.1, 2.1, 3.0), transpose=(2, 1, 0))
APART = make_configuration(spacing=(3.0, 0.7, 0.7))
"""nnU-Net resamples the slices apart, each voxel from the nearest one."""

TILTS = (-30, 0, 18.5, 30)


def shares_of_grids(direction: NDArray[np.float64], configuration: Configuration) -> list[tuple[float, float]]:
    """Return share and margin for regular stacks of both gaps, at several places between the network's voxels."""
    found = []
    for gap, count in ((3.0, 25), (2.0, 37)):
        for number in range(2):
            straight = made_stack([gap] * count, 0, direction)
            origin = straight.index_to_lps(np.array([0.31, 0.43, 0.17]) * number)
            grid = Geometry(straight.shape, straight.spacing, tuple(origin), straight.direction)
            found.append(share_wrong(grid, labelled(grid, configuration, "LPS")))
    return found


@pytest.mark.parametrize(
    ("plane", "configuration"),
    [
        ("axial", FINER),
        ("oblique", FINER),
        ("axial", TURNED),
        ("sagittal", TURNED),
        ("feet_first", COARSER),
        ("coronal", TRANSPOSED),
        ("axial", APART),
        ("oblique", APART),
    ],
)
def test_labels_equal_the_shapes_at_every_true_point(plane: str, configuration: Configuration) -> None:
    """Shares of wrong voxels, all at borders, are those of regular stacks: 0.03 to 0.2 % on these grids.

    They hang on where borders lie between voxels, by a few percent; over more stacks and shifts the mean is smaller.
    """
    direction = DIRECTIONS[plane]
    of_grids = np.array(shares_of_grids(direction, configuration))
    for gaps, regular in ((EVEN, of_grids[:2]), (UNEVEN, of_grids[2:])):
        tilts = [degrees for degrees in TILTS if gaps is UNEVEN or degrees]
        stacks = [made_stack(gaps, degrees, direction, sideways=0.1 * (degrees > 10)) for degrees in tilts]
        found = np.array([share_wrong(stack, labelled(stack, configuration, "LPS")) for stack in stacks])
        # a tenth, since the share hangs on where borders lie between voxels: so much do grids differ by their shifts
        assert found[:, 0].mean() <= 1.1 * regular[:, 0].max()
        # two logits, each half a distance from a centre: linear interpolation errs by its curvature, 1 / radius
        error = sum(step**2 for step in configuration.spacing) / 8 / min(radius for _, radius in SHAPES)
        assert found[:, 1].max() <= max(error, 1.5 * of_grids[:, 1].max())


@pytest.mark.parametrize(
    "function", ["resample_data_or_seg_to_shape", "resample_torch_fornnunet", "no_resampling_hack"]
)
@pytest.mark.parametrize("spacing", [(1.7, 1.0, 1.0), (9.0, 1.5, 1.5), (1.4, 1.4)], ids=str)
def test_an_even_straight_stack_has_the_labels_of_its_grid(function: str | None, spacing: tuple[float, ...]) -> None:
    named = {} if function is None else {"function": function}
    configuration = make_configuration(spacing=spacing, transpose=(1, 0, 2), **named)
    stack = made_stack(EVEN)
    grid = Geometry(stack.shape, stack.spacing, stack.origin, stack.direction)
    expected, found = labelled(grid, configuration), labelled(stack, configuration)
    assert len(np.unique(expected)) == 5
    # torch, which computes in single precision, may decide a tie otherwise: at most 3 of 65,000 voxels
    assert (found != expected).sum() <= (3 if function == "resample_torch_fornnunet" else 0)


@pytest.mark.parametrize("function", ["resample_data_or_seg_to_shape", "resample_torch_fornnunet"])
@pytest.mark.parametrize("transpose", [(0, 1, 2), (1, 2, 0)])
def test_labels_of_the_regular_grid_come_beside(function: str, transpose: tuple[int, int, int]) -> None:
    configuration = make_configuration(spacing=(1.7, 2.0, 1.0), function=function, transpose=transpose)
    stack = made_stack(UNEVEN, 18.5)
    grid = regular_grid(stack)
    turn = reorientation(stack, "acquired")
    grids = grids_of(grid, turn, configuration)
    logits = network_logits(grid, turn, grids, configuration)
    points = StackPoints.of(stack, grid)
    both = labels_of_stack(in_slabs(logits), grids, configuration, LABELS, points, regular=True)
    assert both.beside is not None
    assert np.array_equal(both.beside, labels_of_slabs(in_slabs(logits), grids, configuration, LABELS))
    alone = labels_of_stack(in_slabs(logits, 3), grids, configuration, LABELS, points)
    assert alone.beside is None
    assert np.array_equal(alone.main, both.main)


def test_an_ensemble_of_one_network_twice_is_that_network() -> None:
    stack = made_stack(UNEVEN, -12)
    grid = regular_grid(stack)
    turn = reorientation(stack, "acquired")
    points = StackPoints.of(stack, grid)
    members = []
    for spacing in ((1.7, 1.0, 1.0), (3.0, 2.1, 2.1)):
        configuration = make_configuration(spacing=spacing)
        grids = grids_of(grid, turn, configuration)
        members.append(Prediction(network_logits(grid, turn, grids, configuration), grids, configuration))
    alone = labels_of_stack(iter([members[0].logits]), members[0].grids, members[0].configuration, LABELS, points).main
    assert np.array_equal(labels_of_stack_ensemble([members[0]] * 2, LABELS, points), alone)
    share, _ = share_wrong(stack, labels_of_stack_ensemble(members, LABELS, points))
    assert share < 0.002
    on_grid = labels_of_prediction(members[0], LABELS)
    assert on_grid.shape == grid.shape


def test_regions_are_decided_at_the_true_points() -> None:
    regions = Labels(values={"background": 0, "a": (1, 2), "b": 2}, regions_class_order=(1, 2))
    stack = made_stack(UNEVEN, 18.5)
    grid = regular_grid(stack)
    turn = reorientation(stack, "acquired")
    grids = grids_of(grid, turn, FINER)
    logits = network_logits(grid, turn, grids, FINER)[1:3]
    found = labels_of_stack(in_slabs(logits), grids, FINER, regions, StackPoints.of(stack, grid)).main
    true = logits_at(points_of(stack))[1:3]
    expected = np.where(true[1] > 0, 2, np.where(true[0] > 0, 1, 0))
    assert (found != expected).mean() < 0.001


def test_points_outside_of_the_crop_are_background() -> None:
    stack = made_stack(UNEVEN, 18.5)
    grid = regular_grid(stack)
    points = StackPoints.of(stack, grid)
    box = (slice(5, 20), slice(10, 50), slice(12, 44))
    cropped = points.cropped(box)
    for number in (0, 9, 20):
        rows = cropped.along(1, number)
        assert np.array_equal(
            cropped.inside(1, rows), (points.along(1, number) >= 9.5) & (points.along(1, number) <= 49.5)
        )
