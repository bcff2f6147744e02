"""nnU-Net's ``resample_torch_fornnunet``, for plans that name it: torch's own interpolation, channel by channel.

References
----------
nnU-Net v2 ``preprocessing/resampling/resample_torch.py``.
"""

from collections.abc import Mapping

import torch
from torch.nn.functional import interpolate

from segmentation.package.network_spec import Scalar
from segmentation.preprocessing.target_grid import Shape3

_SURE = 700.0
"""Score, of 1000, above which nnU-Net takes a label at once, before it compares all of them."""

Arguments = Mapping[str, Scalar]


def resample_with_torch(channel: torch.Tensor, shape: Shape3, axis: int | None, arguments: Arguments) -> torch.Tensor:
    """Resample one channel ``(z, y, x)``; the result is float32 unless the shape is unchanged.

    Parameters
    ----------
    axis
        As :func:`segmentation.preprocessing.target_grid.separate_axis` gives it.
    arguments
        ``mode`` and ``aniso_axis_mode`` of the plans.
    """
    mode, across = str(arguments.get("mode", "linear")), str(arguments.get("aniso_axis_mode", "nearest-exact"))
    if axis is None:
        return _resize(channel, shape, "linear")
    planes = channel.movedim(axis, 0)
    in_plane = tuple(size for index, size in enumerate(shape) if index != axis)
    resized = _resize_planes(planes, in_plane, mode).movedim(0, axis)
    return _resize(resized, shape, across)


def resample_labels_with_torch(
    labels: torch.Tensor, shape: Shape3, axis: int | None, arguments: Arguments
) -> torch.Tensor:
    """Resample labels ``(z, y, x)`` of a cascade's first stage, as nnU-Net does with ``is_seg=True``.

    Parameters
    ----------
    axis
        As :func:`segmentation.preprocessing.target_grid.separate_axis` gives it.
    arguments
        ``mode``, ``aniso_axis_mode`` and ``memefficient_seg_resampling`` of the plans.
    """
    if axis is None:
        return _resize_labels(labels[None, None], shape, "trilinear", arguments)[0, 0]
    in_plane = tuple(size for index, size in enumerate(shape) if index != axis)
    planes = labels.movedim(axis, 0)[None]
    mode, across = str(arguments.get("mode", "linear")), str(arguments.get("aniso_axis_mode", "nearest-exact"))
    planes = _resize_labels(planes, in_plane, "bilinear" if mode == "linear" else mode, arguments)
    volume = planes[0].movedim(0, axis)[None, None]
    return _resize_labels(volume, shape, "trilinear" if across == "linear" else across, arguments)[0, 0]


def _resize(volume: torch.Tensor, shape: tuple[int, ...], mode: str) -> torch.Tensor:
    if volume.shape == torch.Size(shape):
        return volume
    named = "trilinear" if mode == "linear" else mode
    return interpolate(volume[None, None].float(), shape, mode=named, antialias=False)[0, 0]


def _resize_planes(planes: torch.Tensor, shape: tuple[int, ...], mode: str) -> torch.Tensor:
    if planes.shape[1:] == torch.Size(shape):
        return planes
    named = "bilinear" if mode == "linear" else mode
    return interpolate(planes[None].float(), shape, mode=named, antialias=False)[0]


def _resize_labels(labels: torch.Tensor, shape: tuple[int, ...], mode: str, arguments: Arguments) -> torch.Tensor:
    """Resample labels ``(1, channel, …)`` to ``shape``."""
    if labels.shape[2:] == torch.Size(shape):
        return labels
    values = torch.unique(labels)
    result = torch.zeros((*labels.shape[:2], *shape), dtype=labels.dtype, device=labels.device)
    if arguments.get("memefficient_seg_resampling"):
        for value in values:
            result[interpolate((labels == value).float(), shape, mode=mode, antialias=False) > 0.5] = value
        return result
    scores = torch.stack(
        [interpolate((labels == v).float() * 1000, shape, mode=mode, antialias=False).half() for v in values]
    )
    for value, score in zip(values, scores, strict=True):
        result[score > _SURE] = value
    unsure = (scores <= _SURE).all(0)
    result[unsure] = values[scores[:, unsure].argmax(0)].to(result.dtype)
    return result
