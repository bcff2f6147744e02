"""The changes made to a CT, so that one patient stands for many: contrast medium, a table, a kernel, noise.

Labels are made before; nothing here changes where body, lung and bone are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.recipes.organ_masks import OrganMasks

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]

_PATCHY = {"bowel", "stomach"}
"""Organs in which contrast medium mixes with other content."""
_FLUID_HU = -100.0
"""Gas stays gas."""


@dataclass(frozen=True)
class Disguise:
    """The changes made to a CT.

    Attributes
    ----------
    bottom
        The first slice that is kept, counted from the feet.
    thick
        Number of neighbouring slices averaged into one.
    contrast
        Mean HU of each organ that is brightened, by ``organ_masks.GROUPS``.
    table
        Seed of the table that is drawn under the body; 0 for none.
    sharpness
        Strength of an edge-enhancing kernel; below 0 it smooths.
    noise_hu
        Standard deviation of the added noise, in HU.
    scale, offset_hu
        Another calibration: ``HU * scale + offset``.
    """

    bottom: int = 0
    thick: int = 1
    contrast: Mapping[str, float] = field(default_factory=dict)
    table: int = 0
    sharpness: float = 0.0
    noise_hu: float = 0.0
    scale: float = 1.0
    offset_hu: float = 0.0


def average(array: Image, spacing: Spacing, bottom: int, thick: int) -> tuple[Image, Spacing]:
    """Shorten a volume and average its slices."""
    array = array[bottom:]
    count = len(array) // thick
    averaged = array[: count * thick].reshape(count, thick, *array.shape[1:]).mean(axis=1)
    return averaged, (spacing[0] * thick, spacing[1], spacing[2])


def brighten(array: Image, spacing: Spacing, masks: OrganMasks, contrast: Mapping[str, float], seed: int) -> Image:
    """Fill organs with contrast medium: their fluid is raised to a mean HU, their texture stays."""
    result = array.copy()
    for number, (name, target) in enumerate(contrast.items()):
        mask = masks.organs[name] & (array > _FLUID_HU)
        if not mask.any():
            continue
        weight = ndimage.gaussian_filter(mask.astype(np.float32), [0.8 / s for s in spacing]) * (array > _FLUID_HU)
        if name in _PATCHY:
            weight *= _patches(array.shape, spacing, [seed, number])
        result += weight * np.float32(target - float(np.median(array[mask])))
    return result


def _patches(shape: tuple[int, ...], spacing: Spacing, seed: list[int]) -> Image:
    """Make a smooth pattern from 0 to 1 that covers some two thirds of the space, in lumps of centimetres."""
    noise = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, [9.0 / s for s in spacing])
    smooth /= max(float(smooth.std()), 1e-6)
    return np.asarray(np.clip(1.5 * smooth + 1.2, 0.0, 1.0))


def lay_on_table(array: Image, spacing: Spacing, body: Mask, seed: int) -> Image:
    """Draw a table under a body: one or two curved shells with foam between, near the skin or touching it."""
    rng = np.random.default_rng(seed)
    rows = np.nonzero(body.any(axis=(0, 2)))[0]
    if len(rows) == 0:
        return array
    lowest = float(rows.max()) * spacing[1]
    y = (np.arange(array.shape[1]) * spacing[1])[:, None]
    x = (np.arange(array.shape[2]) * spacing[2])[None] - array.shape[2] * spacing[2] / 2.0 + rng.uniform(-20.0, 20.0)
    half = rng.uniform(180.0, 260.0)
    bend = rng.uniform(0.0, 60.0) * (x / half) ** 2
    first = lowest + rng.uniform(-2.0, 6.0) + rng.uniform(1.0, 3.0) - bend
    second = lowest + rng.uniform(15.0, 45.0) - bend * rng.uniform(0.3, 1.0)
    thick, hard = rng.uniform(1.5, 4.0), rng.uniform(-150.0, 700.0)
    plane = np.full(array.shape[1:], -1000.0, np.float32)
    inside = np.abs(x) < half
    if rng.random() < 0.7:
        plane[inside & (y > first) & (y < second)] = rng.uniform(-970.0, -800.0)
    plane[inside & (np.abs(y - first) < thick / 2.0)] = hard
    plane[inside & (np.abs(y - second) < thick / 2.0)] = hard
    plane = ndimage.gaussian_filter(plane, [0.6 / spacing[1], 0.6 / spacing[2]])
    free = ~body & (np.broadcast_to(plane, array.shape) > array)
    return np.where(free, plane[None], array)


def scan(array: Image, recipe: Disguise) -> Image:
    """Apply the kernel, the noise and the calibration of another scanner."""
    rng = np.random.default_rng(round(recipe.noise_hu * 10))
    sigma = (0.0, 0.8, 0.8)
    if recipe.sharpness > 0.0:
        array = array + np.float32(recipe.sharpness) * (array - ndimage.gaussian_filter(array, sigma))
    elif recipe.sharpness < 0.0:
        array = ndimage.gaussian_filter(array, sigma)
    noise = rng.standard_normal(array.shape, dtype=np.float32) * np.float32(recipe.noise_hu)
    return array * np.float32(recipe.scale) + np.float32(recipe.offset_hu) + noise
