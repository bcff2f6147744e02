"""Tilted and uneven series against dcm2niix, which corrects both by programs of its own (``_Tilt`` and ``_Eq``).

Shifts are found by least squares against the gradient of our image, over whole slices and blocks of them.
"""

import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.ndimage import map_coordinates

from core.volume import Volume
from dicom_io.images.volume import read_volume
from phantom import make_phantom, trunk_geometry
from phantom.series import make_series, save_series
from phantom.tags import SeriesTags, StudyTags
from segmentation.preprocessing.regular_image import regular_volume
from tests.support.series_helpers import one_study

LARGEST_SHIFT = 0.5
"""In voxels, along each axis."""

HEAD = (slice(12, 42), slice(150, 450), slice(150, 360))


def corrected(program: str, series: Path, out: Path, ending: str) -> sitk.Image:
    """Return the image that dcm2niix writes beside the plain one."""
    out.mkdir()
    done = subprocess.run(  # noqa: S603 - the program is a peer of the tests
        [program, "-b", "n", "-z", "n", "-f", "x", "-o", str(out), str(series)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = sorted(out.glob(f"*{ending}*.nii"))
    assert len(found) == 1, done.stdout
    return sitk.ReadImage(str(found[0]))


def at_our_points(theirs: sitk.Image, ours: Volume, box: tuple[slice, ...]) -> NDArray[np.float64]:
    """Sample their image at the voxels of a box of our grid; NaN outside of theirs."""
    places = np.moveaxis(np.mgrid[box], 0, -1)
    points = ours.geometry.index_to_lps(places)
    matrix = np.array(theirs.GetDirection()).reshape(3, 3) * np.array(theirs.GetSpacing())
    index = np.linalg.solve(matrix, (points - np.array(theirs.GetOrigin())).reshape(-1, 3).T)[::-1]
    array = sitk.GetArrayFromImage(theirs).astype(np.float64)
    sampled = map_coordinates(array, index, order=1, cval=np.nan)
    return np.asarray(sampled, np.float64).reshape(places.shape[:-1])


def shifts(theirs: NDArray[np.float64], ours: NDArray[np.float32], slabs: int) -> NDArray[np.float64]:
    """Return by how many voxels ``(slab, axis)`` their image is shifted against ours."""
    mine = np.clip(ours.astype(np.float64), -200, 300)
    gradients = np.gradient(mine)
    found = []
    for rows in np.array_split(np.arange(2, len(mine) - 2), slabs):
        inside = np.isfinite(theirs[rows]) & (ours[rows] > -900)
        inside &= theirs[rows] > -900
        columns = np.stack([-one[rows][inside] for one in gradients], axis=1)
        difference = np.clip(theirs[rows][inside], -200, 300) - mine[rows][inside]
        found.append(np.linalg.lstsq(columns, difference, rcond=None)[0])
    return np.array(found)


def scanned(heights: NDArray[np.float64], thicknesses: NDArray[np.float64], degrees: float = 0.0) -> list[Dataset]:
    """Take slices of a made patient at whole millimetres, sheared within their plane by whole pixels."""
    fine = make_series(
        make_phantom(trunk_geometry((1.0, 2.0, 2.0), extent=(90.0, 260.0, 330.0))),
        study=StudyTags(),
        series=SeriesTags(),
    )
    first = np.array(fine[0].ImagePositionPatient, float)
    made = []
    for number, (height, thickness) in enumerate(zip(heights, thicknesses, strict=True)):
        image = deepcopy(fine[int(height)])
        rows = round(height * np.tan(np.radians(degrees)) / 2.0)
        stored = np.roll(image.pixel_array, -rows, axis=0)
        image.PixelData = stored.astype(image.pixel_array.dtype).tobytes()
        image.ImagePositionPatient = [first[0], first[1] + 2.0 * rows, first[2] + float(height)]
        image.SliceThickness, image.InstanceNumber = f"{thickness:g}", number + 1
        image.GantryDetectorTilt = f"{-degrees:g}"
        made.append(image)
    return made


def test_a_made_uneven_series_lies_where_dcm2niix_has_it(peer: Callable[[str], str], tmp_path: Path) -> None:
    heights = np.concatenate([np.arange(0, 37, 3), np.arange(40, 85, 4)]).astype(float)
    save_series(scanned(heights, np.where(heights <= 36, 3.0, 4.0)), tmp_path / "in")
    (series,) = one_study(tmp_path / "in").series
    volume = read_volume(series, geometry="any")
    assert not volume.geometry.is_regular
    ours = regular_volume(volume, (-1000.0,))
    theirs = at_our_points(
        corrected(peer("dcm2niix"), tmp_path / "in", tmp_path / "out", "_Eq"),
        ours,
        tuple(slice(0, size) for size in ours.geometry.shape),
    )
    assert np.abs(shifts(theirs, ours.array[0], 4)).max() < LARGEST_SHIFT


def test_a_real_tilted_series_lies_where_dcm2niix_has_it(
    peer: Callable[[str], str], real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    source = real_data("head-tilt-philips")
    (series,) = one_study(source).series
    ours = regular_volume(read_volume(series, geometry="any"), (-1000.0,))
    theirs = at_our_points(corrected(peer("dcm2niix"), source, tmp_path / "out", "_Tilt"), ours, HEAD)
    found = shifts(theirs, ours.array[0][HEAD], 6)
    assert np.abs(found).max() < LARGEST_SHIFT


def test_each_slice_of_a_real_tilted_series_is_where_simpleitk_has_it(real_data: Callable[[str], Path]) -> None:
    """Each slice as an image of its own, by its own header, resampled onto the plane of our grid at its height."""
    (series,) = one_study(real_data("head-tilt-philips")).series
    volume = read_volume(series, geometry="any")
    ours = regular_volume(volume, (-1000.0,))
    by_uid = {str(one.header.SOPInstanceUID): one.path for one in series.instances}
    grid = ours.geometry
    for number in range(0, len(volume.sop_instance_uids), 13):
        image = sitk.ReadImage(str(by_uid[volume.sop_instance_uids[number]]), sitk.sitkFloat64)
        plane = sitk.Image(grid.shape[2], grid.shape[1], 1, sitk.sitkFloat64)
        plane.SetSpacing((grid.spacing[2], grid.spacing[1], 1.0))
        plane.SetOrigin(tuple(grid.index_to_lps(np.array([number, 0, 0]))))
        plane.SetDirection(tuple(grid.direction.ravel()))
        # the plane of the grid and the slice lie at one height, to rounding; a thick slice lets it count as inside
        image.SetSpacing((*image.GetSpacing()[:2], 1.0))
        resampled = sitk.GetArrayFromImage(sitk.Resample(image, plane, sitk.Transform(), sitk.sitkLinear, np.nan))[0]
        both = np.isfinite(resampled) & (ours.array[0, number] > -900)
        assert both.sum() > 10_000
        difference = np.abs(resampled[both] - ours.array[0, number][both])
        moved = np.abs(shifts(np.repeat(resampled[None], 5, 0), np.repeat(ours.array[:1, number], 5, 0), 1)[0, 1:])
        assert moved.max() < 0.05  # voxels: a linear interpolation is no cubic one
        assert np.median(difference) < 10
