"""nnU-Net's normalisation schemes, measured on a whole channel and applied to any part of it.

The measurement uses the same numpy operations on the same memory order as nnU-Net's, since the mean of many
single-precision numbers depends on the order in which they are added.

References
----------
nnU-Net v2 ``preprocessing/normalization/default_normalization_schemes.py``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import ReasonCode, StudyRejected
from segmentation.package.network_spec import Normalisation

LEAST_SCALE = 1e-8
"""nnU-Net's lower limit of a channel's divisor."""


@dataclass(frozen=True)
class Scaling:
    """The steps of a normalisation on a channel: clip, subtract, divide.

    Attributes
    ----------
    clip
        Bounds in the image's unit.
    masked
        True if voxels outside the image's nonzero mask stay as they are.
    bounds
        Least and greatest value of the channel after scaling.
    """

    clip: tuple[float, float] | None
    shift: np.float32
    scale: np.float32
    masked: bool
    bounds: tuple[float, float]

    def apply(self, part: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> None:
        """Scale a part of the channel in place; ``mask`` of the same shape is needed if ``masked`` is set."""
        if self.masked:
            part[mask] = (part[mask] - self.shift) / self.scale
            return
        if self.clip:
            np.clip(part, *self.clip, out=part)
        # Not to touch values twice without need; the result would be the same.
        if self.shift != 0:
            part -= self.shift
        if self.scale != 1:
            part /= self.scale


def measure(
    channel: NDArray[np.float32],
    normalisation: Normalisation,
    mask: NDArray[np.bool_] | None,
    acquired: NDArray[np.bool_] | None = None,
) -> Scaling:
    """Find the scaling of one channel, already cropped.

    Parameters
    ----------
    channel
        float32 ``(z, y, x)``; not modified.
    mask
        The nonzero voxels with holes filled, ``(z, y, x)``; needed only if the normalisation uses a mask.
    acquired
        The voxels ``(z, y, x)`` that are measured, though all are scaled; all by default.

    Raises
    ------
    StudyRejected
        ``colour_range``, if a channel of an RGB image leaves the range 0 to 255.
    """
    least, greatest = np.float32(channel.min()), np.float32(channel.max())
    clip: tuple[float, float] | None = None
    shift, scale = np.float32(0), np.float32(1)
    masked = normalisation.use_mask and normalisation.scheme == "ZScoreNormalization"
    if masked and mask is not None:
        if acquired is not None:
            return _masked_of_acquired(channel, mask, acquired)
        inside, outside = channel[mask], channel[~mask]
        if inside.size == 0:
            return Scaling(None, shift, scale, False, (float(least), float(greatest)))
        shift, scale = _mean_and_deviation(inside)
        extremes = [(inside.min() - shift) / scale, (inside.max() - shift) / scale]
        extremes += [outside.min(), outside.max()] if outside.size else []
        return Scaling(None, shift, scale, True, (float(min(extremes)), float(max(extremes))))
    if normalisation.scheme == "ZScoreNormalization":
        shift, scale = _mean_and_deviation(channel if acquired is None else channel[acquired])
    elif normalisation.scheme == "CTNormalization":
        clip, shift, scale = _of_training(normalisation)
    elif normalisation.scheme == "RescaleTo01Normalization":
        low, high = (least, greatest) if acquired is None else _extremes(channel[acquired])
        shift, scale = low, np.float32(max(high - low, np.float32(LEAST_SCALE)))
    elif normalisation.scheme == "RGBTo01Normalization":
        if least < 0 or greatest > 255:
            raise StudyRejected(
                ReasonCode.COLOUR_RANGE,
                f"A channel has values from {least:g} to {greatest:g}.",
            )
        scale = np.float32(255)
    ends = np.array([least, greatest], dtype=np.float32)
    scaling = Scaling(clip, shift, scale, False, (0.0, 0.0))
    scaling.apply(ends)
    return Scaling(clip, shift, scale, False, (float(ends[0]), float(ends[1])))


def _masked_of_acquired(channel: NDArray[np.float32], mask: NDArray[np.bool_], acquired: NDArray[np.bool_]) -> Scaling:
    """Measure the acquired voxels of a mask; those of the mask that were not acquired are scaled with them."""
    known = channel[mask & acquired]
    if known.size == 0:
        return Scaling(None, np.float32(0), np.float32(1), False, (float(channel.min()), float(channel.max())))
    shift, scale = _mean_and_deviation(known)
    ends = [(end - shift) / scale for end in _extremes(channel[mask])]
    ends += _extremes(channel[~mask]) if not mask.all() else []
    return Scaling(None, shift, scale, True, (float(min(ends)), float(max(ends))))


def _extremes(values: NDArray[np.float32]) -> tuple[np.float32, np.float32]:
    return np.float32(values.min()), np.float32(values.max())


def _mean_and_deviation(values: NDArray[np.float32]) -> tuple[np.float32, np.float32]:
    return np.float32(values.mean()), np.float32(max(values.std(), np.float32(LEAST_SCALE)))


def _of_training(normalisation: Normalisation) -> tuple[tuple[float, float], np.float32, np.float32]:
    low, high = normalisation.percentile_00_5, normalisation.percentile_99_5
    if normalisation.mean is None or normalisation.std is None or low is None or high is None:
        raise ValueError("CTNormalization lacks the intensities of the training images")
    return (low, high), np.float32(normalisation.mean), np.float32(max(normalisation.std, LEAST_SCALE))
