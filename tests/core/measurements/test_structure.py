"""Measurements of tubes and spheres of known size, on anisotropic, oblique and uneven grids, and beside SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from core.irregular_stack import IrregularStack
from core.label_map import LabelMap
from core.measurements.structure import Structure, measure
from core.model_config import LabelSpec
from core.volume import Geometry

OBLIQUE = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
REGULAR = Geometry((40, 60, 56), (3.0, 0.8, 1.1), (-20.0, 31.0, 400.0), np.eye(3))
TURNED = Geometry((40, 60, 56), (1.2, 1.2, 1.2), (5.0, 6.0, 7.0), OBLIQUE)
HEIGHTS = np.cumsum([0.0, *([2.0] * 20), *([3.5] * 19)])
UNEVEN = Geometry((40, 60, 56), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0), OBLIQUE, IrregularStack(HEIGHTS, np.zeros((40, 2))))
GRIDS = {"anisotropic": REGULAR, "oblique": TURNED, "uneven": UNEVEN}
LABEL = LabelSpec(value=3, name="thing")


def places(geometry: Geometry) -> NDArray[np.float64]:
    return geometry.index_to_lps(np.moveaxis(np.indices(geometry.shape), 0, -1))


def middle(geometry: Geometry) -> NDArray[np.float64]:
    return geometry.index_to_lps((np.array(geometry.shape) - 1) / 2 + 0.2)


def measured(inside: NDArray[np.bool_], geometry: Geometry, image: NDArray[np.float32] | None = None) -> Structure:
    label_map = LabelMap((inside * 3).astype(np.uint8), geometry, (LABEL,))
    values = np.zeros(geometry.shape, np.float32) if image is None else image
    (structure,) = measure(label_map, values, "SUVbw")
    return structure


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("radius", [9.0, 15.3, 20.0])
def test_a_sphere_has_its_volume_and_both_diameters_within_half_a_voxel_at_each_end(name: str, radius: float) -> None:
    geometry = GRIDS[name]
    inside = np.linalg.norm(places(geometry) - middle(geometry), axis=-1) <= radius
    found = measured(inside, geometry)
    assert found.volume_ml is not None
    assert found.diameters is not None
    voxel = max(geometry.spacing[1:])
    # The middle of a sphere lies between two slices, of which the nearer one has a smaller circle.
    gap = max(np.diff(HEIGHTS)) if name == "uneven" else geometry.spacing[0]
    least = 2 * np.sqrt(radius**2 - (gap / 2) ** 2)
    for size in (found.diameters.long_mm, found.diameters.short_mm):
        assert least - voxel <= size <= 2 * radius + voxel / 2
    assert found.volume_ml == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.03 if name == "uneven" else 0.015)
    assert not found.is_cut_off


@pytest.mark.parametrize("name", ["anisotropic", "oblique"])
@pytest.mark.parametrize("angle", [0.0, 27.0, 90.0])
def test_a_tube_in_the_plane_has_its_length_and_calibre_within_half_a_voxel_at_each_end(
    name: str, angle: float
) -> None:
    geometry, length, calibre = GRIDS[name], 30.0, 8.0
    local = (places(geometry) - middle(geometry)) @ geometry.direction
    turn = np.deg2rad(angle)
    along = local[..., 0] * np.cos(turn) + local[..., 1] * np.sin(turn)
    across = local[..., 1] * np.cos(turn) - local[..., 0] * np.sin(turn)
    inside = (np.abs(along) <= length / 2) & (np.hypot(across, local[..., 2]) <= calibre / 2)
    found = measured(inside, geometry).diameters
    assert found is not None
    # Its longest chord is the diagonal of its middle; the slice next to the middle has a narrower one.
    off = np.abs(local[:, 0, 0, 2]).min()
    width = 2 * np.sqrt((calibre / 2) ** 2 - off**2)
    diagonal = np.hypot(length, width)
    assert abs(found.long_mm - diagonal) <= max(geometry.spacing[1:])
    # The widest extent at right angles to the diagonal.
    assert abs(found.short_mm - width * diagonal / length) <= max(geometry.spacing[1:])


@pytest.mark.parametrize("seed", range(4))
def test_statistics_are_those_of_simpleitk(seed: int) -> None:
    random = np.random.default_rng(seed)
    image = random.normal(40, 25, REGULAR.shape).astype(np.float32)
    mask = random.integers(0, 4, REGULAR.shape).astype(np.uint8)
    labels = tuple(LabelSpec(value=value, name=str(value)) for value in (1, 2, 3, 300))
    found = measure(LabelMap(mask, REGULAR, labels), image, "HU")
    statistics = sitk.LabelStatisticsImageFilter()
    statistics.Execute(sitk.GetImageFromArray(image.astype(np.float64)), sitk.GetImageFromArray(mask))
    for one in found[:3]:
        value = one.label.value
        assert one.intensity is not None
        assert one.intensity.mean == pytest.approx(statistics.GetMean(value), rel=1e-9)
        assert one.intensity.sd == pytest.approx(statistics.GetSigma(value), rel=1e-9)
        assert (one.intensity.minimum, one.intensity.maximum) == (
            statistics.GetMinimum(value),
            statistics.GetMaximum(value),
        )
        assert one.volume_ml == pytest.approx(statistics.GetCount(value) * np.prod(REGULAR.spacing) / 1000)
        assert one.is_cut_off
        assert one.uptake is None
    assert found[3] == Structure(labels[3], None)
    assert not found[3].is_found


def test_peak_uptake_is_the_largest_mean_over_a_sphere_of_one_ml() -> None:
    centre = middle(TURNED)
    away = np.linalg.norm(places(TURNED) - centre, axis=-1)
    image = np.where(away <= 9.0, 8.0, 1.0).astype(np.float32)
    image[tuple(np.argwhere(away <= 9.0)[0])] = 30.0
    found = measured(away <= 9.0, TURNED, image)
    assert found.uptake is not None
    assert found.intensity is not None
    assert found.intensity.maximum == 30.0
    radius = (3000 / 4 / np.pi) ** (1 / 3)
    means = []
    for index in np.argwhere(away <= 9.0)[::7]:  # spheres by their definition
        near = np.linalg.norm(places(TURNED) - TURNED.index_to_lps(index), axis=-1) <= radius
        means.append(float(image[near].mean()))
    assert found.uptake.peak is not None
    # With its hot voxel a sphere within the structure has at most this mean.
    assert max(means) <= found.uptake.peak + 1e-6 <= (30.0 - 8.0) / np.count_nonzero(near) * 1.2 + 8.0


def test_a_single_voxel_has_no_deviation_and_half_a_voxel_of_length() -> None:
    inside = np.zeros(REGULAR.shape, bool)
    inside[4, 5, 6] = True
    found = measured(inside, REGULAR)
    assert found.intensity is not None
    assert found.intensity.sd is None
    assert found.diameters is not None
    assert found.diameters.long_mm == pytest.approx(0.55)
    assert found.diameters.slice_index == 4
    assert found.diameters.long_ends == ((5.0, 5.75), (5.0, 6.25))


def test_axes_are_those_of_the_largest_region_alone() -> None:
    inside = np.zeros(REGULAR.shape, bool)
    inside[3, 10:20, 10:12] = True
    inside[3, 50:53, 50:52] = True
    found = measured(inside, REGULAR).diameters
    assert found is not None
    assert max(row for row, _ in (*found.long_ends, *found.short_ends)) < 20
    assert found.long_mm == pytest.approx(np.hypot(9 * 0.8, 1.1) + 0.42, abs=0.05)


def test_values_that_are_not_finite_are_not_counted_on() -> None:
    inside = np.ones(REGULAR.shape, bool)
    image = np.zeros(REGULAR.shape, np.float32)
    image[0, 0, 0] = np.nan
    found = measured(inside, REGULAR, image)
    assert found.intensity is None
    assert found.uptake is not None
    assert found.uptake.peak is None


def test_an_image_on_another_grid_is_an_error() -> None:
    with pytest.raises(ValueError, match="not on the grid"):
        measure(LabelMap(np.zeros(REGULAR.shape, np.uint8), REGULAR, (LABEL,)), np.zeros((1, 2, 3), np.float32), None)
