"""Images of irregular stacks on their regular grid, against scipy's splines; and what counts of them."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.ndimage import gaussian_filter, map_coordinates

from core.model_config import Channel, SeriesRule
from core.regular_grid import regular_grid
from core.volume import Geometry, Volume
from segmentation.preprocessing.preprocess import preprocess
from segmentation.preprocessing.regular_image import fill_of, regular_volume
from tests.support.plans_of import PLAIN, make_configuration
from tests.support.stacks import made_stack

EVEN, UNEVEN = [2.5] * 9, [2.0] * 6 + [4.0] * 5
FILL = -77.0


def made_volume(geometry: Geometry, seed: int = 0, low: float = 100.0) -> Volume:
    """Make an image of smooth noise, nowhere below ``low``, on a stack."""
    rng = np.random.default_rng(seed)
    array = gaussian_filter(rng.normal(size=geometry.shape), 1.0) * 900
    array = (array - array.min() + low).astype(np.float32)[None]
    count = geometry.shape[0]
    return Volume(array, geometry, tuple(f"1.2.{n}" for n in range(count)), (1,) * count, ("1.3",), "1.4")


def by_scipy(volume: Volume, grid: Geometry) -> NDArray[np.float64]:
    """Interpolate each slice within its plane, and then each column of voxels along the normal, by scipy."""
    places = grid.lps_to_index(volume.geometry.slice_positions)
    rows, columns = np.indices(grid.shape[1:], float)
    planes = [
        map_coordinates(plane.astype(float), [rows - row, columns - column], order=3, mode="nearest")
        for plane, (_, row, column) in zip(volume.array[0], places, strict=True)
    ]
    spline = make_interp_spline(places[:, 0], np.stack(planes), k=3)
    # nothing is extrapolated: beyond the first and last slice their values go on
    heights = np.clip(np.arange(grid.shape[0]), places[0, 0], places[-1, 0])
    return np.clip(spline(heights), volume.array.min(), volume.array.max())


def is_acquired(stack: Geometry, grid: Geometry, margin: float = -1e-6) -> NDArray[np.bool_]:
    """Mark the voxels of the grid that lie in the matrix of the slice, or between two, at their height."""
    index = np.moveaxis(np.indices(grid.shape, float), 0, -1)
    found = stack.lps_to_index(grid.index_to_lps(index))[..., 1:] + 0.5
    inside: NDArray[np.bool_] = ((found > margin) & (found < np.array(stack.shape[1:]) - margin)).all(-1)
    return inside


@pytest.mark.parametrize(
    ("gaps", "degrees", "sideways"),
    [(EVEN, 18.5, 0.0), (EVEN, -30.0, 0.1), (UNEVEN, 0.0, 0.0), (UNEVEN, 12.0, -0.2)],
    ids=["tilted", "tilted_both_ways", "uneven", "both"],
)
def test_each_voxel_is_interpolated_once_and_the_others_are_filled(
    gaps: Sequence[float], degrees: float, sideways: float
) -> None:
    volume = made_volume(made_stack(gaps, degrees, sideways=sideways, in_plane=(31, 28)))
    before = volume.array.copy()
    regular = regular_volume(volume, [FILL])
    grid = regular_grid(volume.geometry)
    assert regular.geometry.same_grid(grid)
    acquired = is_acquired(volume.geometry, grid)
    assert (acquired if regular.acquired is None else regular.acquired).tolist() == acquired.tolist()
    assert acquired.all() == (degrees == sideways == 0)
    assert (regular.array[0][~acquired] == FILL).all()
    spread = float(volume.array.std())
    # between uneven slices the edge values of neighbours that do not reach so far are continued as they may
    compared = is_acquired(volume.geometry, grid, 8) if gaps is UNEVEN and degrees else acquired
    assert compared.mean() > 0.1
    np.testing.assert_allclose(regular.array[0][compared], by_scipy(volume, grid)[compared], atol=2e-5 * spread)
    assert np.array_equal(volume.array, before)


def test_many_uneven_slices_have_the_spline_through_all_of_them() -> None:
    """The spline is fitted through neighbours alone, since one through all takes memory that grows by the square."""
    volume = made_volume(made_stack([2.0] * 90 + [5.0] * 80, in_plane=(5, 4)))
    spread = float(volume.array.std())
    expected = by_scipy(volume, regular_grid(volume.geometry))
    np.testing.assert_allclose(regular_volume(volume, [FILL]).array[0], expected, atol=1e-6 * spread)


def test_a_stack_that_is_even_and_straight_keeps_its_values() -> None:
    volume = made_volume(made_stack(EVEN))
    regular = regular_volume(volume, [FILL])
    assert np.array_equal(regular.array, volume.array)
    assert regular.acquired is None


@pytest.mark.parametrize(
    ("modality", "unit", "expected"),
    [("CT", None, -1000.0), ("CT", "HU", -1000.0), ("MR", None, None), ("PT", "SUVbw", 0.0)],
)
def test_voxels_without_a_source_are_air_in_ct_zero_in_pet_else_the_lowest(
    modality: str, unit: str | None, expected: float | None
) -> None:
    channel = Channel.model_validate({"name": "a", "series": SeriesRule(modality=(modality,)), "unit": unit})
    assert fill_of(channel) == expected
    volume = made_volume(made_stack(EVEN, 15, in_plane=(31, 28)))
    regular = regular_volume(volume, [fill_of(channel)])
    assert regular.acquired is not None
    filled = np.unique(regular.array[0][~regular.acquired])
    assert filled.tolist() == [volume.array.min() if expected is None else expected]


@pytest.mark.parametrize("scheme", ["CTNormalization", "ZScoreNormalization", "RescaleTo01Normalization"])
@pytest.mark.parametrize("use_mask", [False, True])
def test_crop_and_normalisation_count_acquired_voxels_alone(scheme: str, use_mask: bool) -> None:
    """The acquired voxels become the same, whatever stands in the wedges."""
    configuration = make_configuration(
        spacing=(2.5, 1.6, 1.4), schemes=(scheme,), use_mask=use_mask, function="no_resampling_hack"
    )
    stack = made_stack(EVEN, 18.5, in_plane=(31, 28))
    volume = made_volume(stack)
    volume.array[:, :, :4] = 0  # the crop takes these rows of each slice, but not at one place of the grid
    shown = []
    for fill in (0.0, 5000.0):
        regular = regular_volume(volume, [fill])
        assert regular.acquired is not None
        made, grids = preprocess(
            regular.array, regular.geometry.spacing, configuration, PLAIN, acquired=regular.acquired
        )
        shown.append((made[0].numpy()[regular.acquired[grids.box]], grids.box))
        known = regular.array[0][grids.box][regular.acquired[grids.box]]
        if scheme == "ZScoreNormalization" and not use_mask:
            np.testing.assert_allclose(shown[-1][0], (known - known.mean()) / known.std(), atol=1e-4)
    assert shown[0][1] == shown[1][1]
    if not use_mask:
        assert np.array_equal(shown[0][0], shown[1][0])
