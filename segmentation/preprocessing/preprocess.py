"""The way from an image to the network's input: transposed, cropped, normalised and resampled, as in nnU-Net.

Normalising and resampling go through the image plane after plane, so that besides the image and the result no array
of their size exists.

References
----------
nnU-Net v2 ``preprocessing/preprocessors/default_preprocessor.py``: ``run_case_npy``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segmentation.boxes import Box
from segmentation.package.network_spec import Configuration, Labels, Resampling
from segmentation.preprocessing.cropping import nonzero_box, nonzero_mask
from segmentation.preprocessing.label_resampling import resample_labels
from segmentation.preprocessing.normalisation import Scaling, measure
from segmentation.preprocessing.resampling import resample_planes
from segmentation.preprocessing.target_grid import Shape3, axis_of, order_of, resampled_shape
from segmentation.preprocessing.torch_resampling import resample_labels_with_torch, resample_with_torch

Spacing3 = tuple[float, float, float]


@dataclass(frozen=True)
class Grids:
    """The way from an image's grid to the network's, needed again on the way back; axes in transposed order.

    Attributes
    ----------
    shape
        ``(z, y, x)`` of the whole image.
    box
        The crop to its nonzero part.
    spacing, new_spacing
        Of the image and of the network, in mm.
    new_shape
        ``(z, y, x)`` that the network sees, without padding.
    """

    shape: Shape3
    box: Box
    spacing: Spacing3
    new_spacing: Spacing3
    new_shape: Shape3

    @property
    def cropped_shape(self) -> Shape3:
        """``(z, y, x)`` of the crop."""
        sizes = [part.stop - part.start for part in self.box]
        return sizes[0], sizes[1], sizes[2]


def preprocess(
    image: NDArray[np.float32],
    spacing: Sequence[float],
    configuration: Configuration,
    labels: Labels,
    previous: NDArray[np.integer[Any]] | None = None,
    device: torch.device | None = None,
    acquired: NDArray[np.bool_] | None = None,
) -> tuple[torch.Tensor, Grids]:
    """Bring an image to the network's grid and range; it is not modified.

    Parameters
    ----------
    image
        ``(channel, z, y, x)`` in the image's unit and the order in which the model was trained; a view is fine.
    spacing
        In mm, in array order.
    configuration, labels
        The network's axis order, spacing, normalisation and resampling; the data set's labels, for ``previous``.
    previous
        For a cascade, the first stage's labels on the image's grid; they become further channels, one for each label.
    device
        Device on which the image is resampled and the result lies; the CPU by default.
    acquired
        ``(z, y, x)`` as the image: the voxels by which it is cropped and its values are measured; all by default.

    Returns
    -------
    tuple
        float32 ``(channel, z, y, x)``, and the grids that labels need for the way back
        (:func:`segmentation.labels.export_prediction.labels_of_slabs`).

    Raises
    ------
    StudyRejected
        ``too_small``, if the image is smaller than half a voxel of the network along an axis; ``colour_range``, if an
        RGB channel leaves the range 0 to 255.
    """
    forward = configuration.transpose_forward
    turned = image.transpose(0, *(1 + axis for axis in forward))
    known = acquired.transpose(forward) if acquired is not None else None
    grids = _grids(turned, [spacing[axis] for axis in forward], configuration, known)
    known = known[grids.box] if known is not None else None
    cropped = turned[(slice(None), *grids.box)]
    mask, stage = nonzero_mask(cropped) if any(n.use_mask for n in configuration.normalisation) else None, None
    if previous is not None:
        stage = _stage(previous.transpose(forward)[grids.box], nonzero_mask(cropped) if mask is None else mask)
        mask = stage >= 0
    extra = len(labels.foreground_values) if stage is not None else 0
    result = torch.empty((len(image) + extra, *grids.new_shape), dtype=torch.float32, device=device)
    for index, normalisation in enumerate(configuration.normalisation):
        whole = image[index]
        if normalisation.scheme == "ZScoreNormalization":
            # A sum in single precision depends on the memory's order, which in nnU-Net is the one of a file's array.
            whole = np.ascontiguousarray(whole)
        channel = whole.transpose(forward)[grids.box]
        _resample(channel, measure(channel, normalisation, mask, known), mask, result[index], grids, configuration)
    if stage is not None:
        _add_stage(stage, labels, result[len(image) :], grids, configuration)
    return result, grids


def _stage(previous: NDArray[np.integer[Any]], mask: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Mark voxels outside of the mask by -1, as nnU-Net does; those that the first stage labelled stay in."""
    stage = previous.astype(np.int16)
    stage[(stage == 0) & ~mask] = -1
    return stage


def _grids(
    image: NDArray[np.float32],
    spacing: Sequence[float],
    configuration: Configuration,
    acquired: NDArray[np.bool_] | None,
) -> Grids:
    box = nonzero_box(image, acquired)
    # A 2d network leaves the distance of the slices as it is.
    new_spacing = (*spacing[: 3 - len(configuration.spacing)], *configuration.spacing)
    cropped = [part.stop - part.start for part in box]
    return Grids(
        shape=(image.shape[1], image.shape[2], image.shape[3]),
        box=box,
        spacing=(spacing[0], spacing[1], spacing[2]),
        new_spacing=(new_spacing[0], new_spacing[1], new_spacing[2]),
        new_shape=_new_shape(cropped, spacing, new_spacing, configuration.resampling_data),
    )


def _new_shape(
    cropped: Sequence[int], spacing: Sequence[float], new_spacing: Sequence[float], resampling: Resampling
) -> Shape3:
    if resampling.function == "no_resampling_hack":
        return cropped[0], cropped[1], cropped[2]
    return resampled_shape(cropped, spacing, new_spacing)


def _resample(
    channel: NDArray[np.float32],
    scaling: Scaling,
    mask: NDArray[np.bool_] | None,
    out: torch.Tensor,
    grids: Grids,
    configuration: Configuration,
) -> None:
    resampling = configuration.resampling_data
    axis = axis_of(resampling, grids.spacing, grids.new_spacing)
    if resampling.function == "resample_torch_fornnunet":
        whole = channel.astype(np.float32)
        scaling.apply(whole, mask)
        scaled = torch.from_numpy(whole).to(out.device)
        out.copy_(resample_with_torch(scaled, grids.new_shape, axis, resampling.arguments))
        return
    moved = np.moveaxis(channel, axis or 0, 0)
    moved_mask = np.moveaxis(mask, axis or 0, 0) if mask is not None else None

    def read(box: tuple[slice, ...]) -> torch.Tensor:
        part = moved[box].astype(np.float32, order="C")
        scaling.apply(part, moved_mask[box] if moved_mask is not None else None)
        return torch.from_numpy(part).to(out.device)

    resample_planes(read, channel.shape, out, axis, order_of(resampling), scaling.bounds)


def _add_stage(
    stage: NDArray[np.int16], labels: Labels, out: torch.Tensor, grids: Grids, configuration: Configuration
) -> None:
    """Write a channel for each label of the first stage, 1 where it is."""
    resampled = torch.from_numpy(_resample_stage(stage, grids, configuration)).to(out.device)
    for value, channel in zip(labels.foreground_values, out, strict=True):
        channel.copy_(resampled == value)


def _resample_stage(stage: NDArray[np.int16], grids: Grids, configuration: Configuration) -> NDArray[np.int16]:
    resampling = configuration.resampling_seg
    axis = axis_of(resampling, grids.spacing, grids.new_spacing)
    if resampling.function == "resample_torch_fornnunet":
        resampled = resample_labels_with_torch(torch.from_numpy(stage), grids.new_shape, axis, resampling.arguments)
        return resampled.numpy()
    if resampling.function == "no_resampling_hack":
        return stage
    return resample_labels(stage, grids.new_shape, axis, order_of(resampling))
