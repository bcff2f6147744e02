"""From logits that come slab by slab to the labels of an irregular stack, and beside them those of its regular grid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import PackageInvalid
from segmentation.labels import export_prediction
from segmentation.labels.export_prediction import Prediction, decision_of, index_of_mean, predict_logits
from segmentation.labels.label_handling import label_type
from segmentation.labels.stack_labeller import Batch, StackLabeller
from segmentation.labels.stack_points import StackPoints
from segmentation.package.network_spec import Configuration, Labels
from segmentation.preprocessing.preprocess import Grids
from segmentation.preprocessing.target_grid import axis_of, order_of

TORCH = "resample_torch_fornnunet"
"""The plans' name of torch's own resampling, which is linear too, and by the nearest slice along a coarse axis."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labels of a volume, and beside those of a stack the ones of its regular grid, if they are wanted.

    Attributes
    ----------
    main
        On a regular grid ``(z, y, x)`` in the model's order; of a stack ``(slice, row, column)`` in its own.
    beside
        On the stack's regular grid, ``(z, y, x)`` in the model's order.
    """

    main: NDArray[np.integer[Any]]
    beside: NDArray[np.integer[Any]] | None = None


def labels_of_stack(
    slabs: Iterator[torch.Tensor],
    grids: Grids,
    configuration: Configuration,
    labels: Labels,
    points: StackPoints,
    *,
    regular: bool = False,
) -> Labelled:
    """Compute labels at the points of a stack from logits that are not kept.

    Parameters
    ----------
    slabs, grids, configuration, labels
        As for `segmentation.labels.export_prediction.labels_of_slabs`.
    points
        The stack's voxels on the image that the network was shown, before it was transposed and cropped.
    regular
        Whether the labels of the regular grid are wanted as well, from the same logits.

    Raises
    ------
    PackageInvalid
        If a logit is not a finite number, or the plans' resampling is not supported.
    """
    decision = decision_of(labels)
    result = np.zeros(points.shape, dtype=label_type(decision.values))
    labeller = stack_labeller(points, grids, configuration, labels)
    if regular and configuration.resampling_probabilities.function == TORCH:
        # torch has no way to interpolate a part of a volume as it does the whole.
        logits = predict_logits(slabs, grids.new_shape)
        _feed(iter([logits]), [labeller.batches(result, logits.device)])
        return Labelled(
            result, export_prediction.labels_of_prediction(Prediction(logits, grids, configuration), labels)
        )
    first = next(slabs)
    work = [labeller.batches(result, first.device)]
    beside = None
    if regular:
        beside, batches = export_prediction.regular_batches(grids, configuration, labels, first.device)
        work.append(batches)
    _feed(_chained(first, slabs), work)
    return Labelled(result, beside)


def labels_of_stack_ensemble(
    predictions: Sequence[Prediction], labels: Labels, points: StackPoints
) -> NDArray[np.integer[Any]]:
    """Compute the labels of the members' mean probabilities at the points of a stack."""
    found = []
    for prediction in predictions:
        slabs = iter([prediction.logits])
        found.append(labels_of_stack(slabs, prediction.grids, prediction.configuration, labels, points).main)
    result = found[0]
    contested = np.zeros(result.shape, dtype=bool)
    for other in found[1:]:
        contested |= other != result
    labellers = [stack_labeller(points, p.grids, p.configuration, labels) for p in predictions]
    values = np.asarray(decision_of(labels).values)
    activate = torch.sigmoid if labels.has_regions else partial(torch.softmax, dim=0)
    for plane in np.flatnonzero(contested.any(axis=(1, 2))):
        rows, columns = np.nonzero(contested[plane])
        for start in range(0, len(rows), export_prediction.VOXELS_AT_ONCE):
            part = slice(start, start + export_prediction.VOXELS_AT_ONCE)
            voxels = (np.full(len(rows[part]), plane), rows[part], columns[part])
            probabilities = [
                activate(labeller.values_at(prediction.logits, voxels))
                for labeller, prediction in zip(labellers, predictions, strict=True)
            ]
            result[voxels] = values[index_of_mean(probabilities, labels)]
    return result


def stack_labeller(points: StackPoints, grids: Grids, configuration: Configuration, labels: Labels) -> StackLabeller:
    """Build the labeller of a configuration's logits.

    Raises
    ------
    PackageInvalid
        If the plans' resampling is not supported.
    """
    placed = points.transposed(configuration.transpose_forward).cropped(grids.box)
    resampling = configuration.resampling_probabilities
    decision, size_out = decision_of(labels), grids.cropped_shape
    if resampling.function == "no_resampling_hack":
        return StackLabeller(placed, grids.new_shape, size_out, decision)
    order = 1 if resampling.function == TORCH else order_of(resampling)
    if order > 1:
        raise PackageInvalid(f"plans.json: resampling probabilities with order {order} is not supported, only 0 and 1")
    axis = axis_of(resampling, grids.new_spacing, grids.spacing)
    return StackLabeller(placed, grids.new_shape, size_out, decision, axis, order)


def _chained(first: torch.Tensor, rest: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    yield first
    yield from rest


def _feed(slabs: Iterator[torch.Tensor], work: Sequence[Iterator[Batch]]) -> None:
    """Call every batch of all work with its planes as soon as they are there; planes that nobody needs any more go."""
    waiting: list[tuple[Batch | None, Iterator[Batch]]] = [(next(batches, None), batches) for batches in work]
    held: list[tuple[int, torch.Tensor]] = []
    stop = 0
    for slab in slabs:
        held.append((stop, slab))
        stop += slab.shape[1]
        waiting = [_advanced(batch, batches, held, stop) for batch, batches in waiting]
        needed = min((batch[0].start for batch, _ in waiting if batch is not None), default=stop)
        # a slab's memory is written anew for the next one, so planes that stay are copied before it is requested
        held = [
            (max(begin, needed), piece[:, max(0, needed - begin) :].clone())
            for begin, piece in held
            if begin + piece.shape[1] > needed
        ]
        del slab  # the next one is made while this name would still hold it


def _advanced(
    batch: Batch | None, batches: Iterator[Batch], held: Sequence[tuple[int, torch.Tensor]], stop: int
) -> tuple[Batch | None, Iterator[Batch]]:
    while batch is not None and batch[0].stop <= stop:
        source, label = batch
        parts = [
            piece[:, max(0, source.start - begin) : source.stop - begin]
            for begin, piece in held
            if begin < source.stop and begin + piece.shape[1] > source.start
        ]
        label(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))
        batch = next(batches, None)
    return batch, batches
