"""The way from a network's logits to labels on the image's own grid, as in nnU-Net, for one model and for ensembles.

References
----------
nnU-Net v2 ``inference/export_prediction.py``, ``ensembling/ensemble.py``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import PackageInvalid
from segmentation.labels.label_handling import Decision, LargestLogit, RegionsInOrder, label_type
from segmentation.labels.labeller import Labeller, Slab
from segmentation.labels.torch_labels import label_with_torch
from segmentation.package.network_spec import Configuration, Labels
from segmentation.preprocessing.preprocess import Grids
from segmentation.preprocessing.target_grid import axis_of, order_of
from segmentation.preprocessing.torch_resampling import resample_with_torch

VOXELS_AT_ONCE = 2**16
"""Number of voxels, on which an ensemble's members disagree, that are decided at a time."""


@dataclass(frozen=True)
class Prediction:
    """The prediction of one network for an image.

    Attributes
    ----------
    logits
        float16 ``(output, z, y, x)`` on the network's grid, without padding.
    grids
        As :func:`segmentation.preprocessing.preprocess.preprocess` returned it.
    """

    logits: torch.Tensor
    grids: Grids
    configuration: Configuration


def labels_of_slabs(
    slabs: Iterator[torch.Tensor], grids: Grids, configuration: Configuration, labels: Labels
) -> NDArray[np.integer[Any]]:
    """Compute labels on the image's grid from logits that come slab by slab and are not kept.

    Parameters
    ----------
    slabs
        float16 ``(output, planes, y, x)``, as :func:`segmentation.inference.sliding_window.predict_slabs` yields them.
    grids, configuration
        The grids and the configuration for which the logits were predicted.
    labels
        The labels of the data set.

    Returns
    -------
    numpy.ndarray
        ``(z, y, x)`` as :func:`labels_of_prediction`.

    Raises
    ------
    PackageInvalid
        As :func:`labels_of_prediction`.
    """
    if configuration.resampling_probabilities.function == "resample_torch_fornnunet":
        # torch has no way to interpolate a part of a volume as it does the whole.
        logits = predict_logits(slabs, grids.new_shape)
        return labels_of_prediction(Prediction(logits, grids, configuration), labels)
    decision = decision_of(labels)
    result, crop = _empty(grids, configuration, decision)
    labeller = _labeller(grids.new_shape, grids, configuration, decision)
    for slab, logits in _windows(slabs, labeller):
        crop[slab.target] = labeller.label(logits, slab).cpu().numpy()
        del logits  # the next ones are made while this name would still hold them
    return result


def labels_of_prediction(prediction: Prediction, labels: Labels) -> NDArray[np.integer[Any]]:
    """Compute labels ``(z, y, x)`` on the image's grid, as uint8, or as uint16 for 255 labels and more.

    Raises
    ------
    PackageInvalid
        If a logit is not a finite number, or the plans' resampling is not supported.
    """
    decision = decision_of(labels)
    result, crop = _empty(prediction.grids, prediction.configuration, decision)
    for planes, part in _labelled(prediction, decision):
        crop[planes] = part.cpu().numpy()
    return result


def labels_of_ensemble(predictions: Sequence[Prediction], labels: Labels) -> NDArray[np.integer[Any]]:
    """Compute the labels ``(z, y, x)`` of the members' mean probabilities.

    A label on which all members agree is that of their mean, so probabilities are needed only elsewhere.

    Parameters
    ----------
    predictions
        At least one; all of the same image.
    labels
        The labels of the data set, which the members share.

    Raises
    ------
    PackageInvalid
        As :func:`labels_of_prediction`.
    """
    result = labels_of_prediction(predictions[0], labels)
    contested = np.zeros(result.shape, dtype=bool)
    for prediction in predictions[1:]:
        contested |= labels_of_prediction(prediction, labels) != result
    values = np.asarray(decision_of(labels).values)
    for plane in np.flatnonzero(contested.any(axis=(1, 2))):
        rows, columns = np.nonzero(contested[plane])
        for start in range(0, len(rows), VOXELS_AT_ONCE):
            part = slice(start, start + VOXELS_AT_ONCE)
            voxels = (np.full(len(rows[part]), plane), rows[part], columns[part])
            result[voxels] = values[index_of_mean([_probabilities(p, voxels, labels) for p in predictions], labels)]
    return result


def regular_batches(
    grids: Grids, configuration: Configuration, labels: Labels, device: torch.device
) -> tuple[NDArray[np.integer[Any]], Iterator[tuple[slice, Callable[[torch.Tensor], None]]]]:
    """Return an array of background on the image's grid, and the batches that label it, as `labels_of_slabs` would.

    A batch is the planes of the logits that it needs and the call that labels with them; batches ascend.
    """
    decision = decision_of(labels)
    result, crop = _empty(grids, configuration, decision)
    labeller = _labeller(grids.new_shape, grids, configuration, decision)

    def call(slab: Slab) -> Callable[[torch.Tensor], None]:
        def label(logits: torch.Tensor) -> None:
            crop[slab.target] = labeller.label(logits, slab).cpu().numpy()

        return label

    return result, ((slab.source, call(slab)) for slab in labeller.slabs(device))


def decision_of(labels: Labels) -> Decision:
    """Choose the rule by which a data set's outputs become labels."""
    if labels.has_regions:
        return RegionsInOrder(labels.regions_class_order or ())
    return LargestLogit(len(labels.outputs) + 1)


def _labelled(prediction: Prediction, decision: Decision) -> Iterator[tuple[slice, torch.Tensor]]:
    """Label a prediction; yields planes of the crop, and their labels."""
    logits, grids, resampling = prediction.logits, prediction.grids, prediction.configuration.resampling_probabilities
    if resampling.function == "resample_torch_fornnunet":
        axis = axis_of(resampling, grids.new_spacing, grids.spacing)
        yield slice(None), label_with_torch(logits, grids.cropped_shape, axis, resampling.arguments, decision)
        return
    labeller = _labeller(logits.shape[1:], grids, prediction.configuration, decision)
    for slab in labeller.slabs(logits.device):
        yield slab.target, labeller.label(logits[:, slab.source], slab)


def _windows(slabs: Iterator[torch.Tensor], labeller: Labeller) -> Iterator[tuple[Slab, torch.Tensor]]:
    """Yield the labeller's slabs, each with its planes of the logits, which are valid until the next are requested."""
    piece = next(slabs)
    begin, end = 0, piece.shape[1]
    for slab in labeller.slabs(piece.device):
        start, stop = slab.source.start, slab.source.stop
        if begin <= start and stop <= end:
            yield slab, piece[:, start - begin : stop - begin]
            continue
        window = piece.new_empty((piece.shape[0], stop - start, *piece.shape[2:]))
        filled = start
        while filled < stop:
            if filled >= end:
                piece = next(slabs)
                begin, end = end, end + piece.shape[1]
                continue
            upto = min(end, stop)
            window[:, filled - start : upto - start] = piece[:, filled - begin : upto - begin]
            filled = upto
        yield slab, window
        del window  # before the next one is made
    for _ in slabs:
        # Planes that coarser labels do not need are predicted all the same, as nnU-Net would.
        continue


def _empty(
    grids: Grids, configuration: Configuration, decision: Decision
) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]:
    """Make an array of background on the image's grid, and a view of its crop in transposed order."""
    shape = tuple(grids.shape[axis] for axis in configuration.transpose_backward)
    result = np.zeros(shape, dtype=label_type(decision.values))
    return result, result.transpose(configuration.transpose_forward)[grids.box]


def _labeller(size_in: Sequence[int], grids: Grids, configuration: Configuration, decision: Decision) -> Labeller:
    resampling = configuration.resampling_probabilities
    if resampling.function == "no_resampling_hack":
        if tuple(size_in) != grids.cropped_shape:
            raise PackageInvalid("plans.json: images are resampled, but probabilities would not be resampled back")
        return Labeller(size_in, grids.cropped_shape, decision)
    order = order_of(resampling)
    if order > 1:
        raise PackageInvalid(f"plans.json: resampling probabilities with order {order} is not supported, only 0 and 1")
    return Labeller(
        size_in, grids.cropped_shape, decision, axis_of(resampling, grids.new_spacing, grids.spacing), order
    )


def _probabilities(prediction: Prediction, voxels: Sequence[NDArray[np.int64]], labels: Labels) -> torch.Tensor:
    """Compute the probabilities, float32 ``(output, voxel)``, at voxels of the image, all inside the crop."""
    turned = [voxels[axis] for axis in prediction.configuration.transpose_forward]
    place = [index - part.start for index, part in zip(turned, prediction.grids.box, strict=True)]
    logits, grids, resampling = prediction.logits, prediction.grids, prediction.configuration.resampling_probabilities
    if resampling.function == "resample_torch_fornnunet":
        axis = axis_of(resampling, grids.new_spacing, grids.spacing)
        resampled = (resample_with_torch(plane, grids.cropped_shape, axis, resampling.arguments) for plane in logits)
        values = torch.stack([plane[tuple(map(torch.from_numpy, place))].float().cpu() for plane in resampled])
    else:
        labeller = _labeller(logits.shape[1:], grids, prediction.configuration, decision_of(labels))
        values = torch.from_numpy(labeller.values_at(logits, place)).float()
    return torch.sigmoid(values) if labels.has_regions else torch.softmax(values, 0)


def index_of_mean(probabilities: Sequence[torch.Tensor], labels: Labels) -> NDArray[np.int64]:
    """Compute the index into the decision's values by nnU-Net's rules for averaged probabilities."""
    mean = probabilities[0]
    for further in probabilities[1:]:
        mean = mean + further
    mean = mean / len(probabilities)
    if not labels.has_regions:
        winners: NDArray[np.int64] = np.argmax(mean.numpy(), axis=0)
        return winners
    index = np.zeros(mean.shape[1], dtype=np.int64)
    for number, region in enumerate(mean.numpy(), start=1):
        index[region > 0.5] = number
    return index


def predict_logits(slabs: Iterator[torch.Tensor], shape: Sequence[int]) -> torch.Tensor:
    """Collect all slabs in one float16 array ``(output, z, y, x)`` on the CPU, for uses that need them more than once.

    Raises
    ------
    ValueError
        If there is no slab.
    """
    logits: torch.Tensor | None = None
    start = 0
    for slab in slabs:
        if logits is None:
            logits = torch.empty((slab.shape[0], *shape), dtype=torch.half)
        logits[:, start : start + slab.shape[1]] = slab.cpu()
        start += slab.shape[1]
    if logits is None:
        raise ValueError(f"an image of shape {tuple(shape)} has no tiles")
    return logits
