"""From the structures of one case to the label map that nnU-Net trains on."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import CaseCode, CaseRefused
from training.datasets.table import IGNORE, LabelTable

Labels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Composed:
    """Labels ``(slice, row, column)``, and the voxels of each, the ignore label among them if it is used."""

    labels: Labels
    voxels: dict[str, int]


def compose(masks: Mapping[str, NDArray[np.bool_]], looked_for: Set[str], table: LabelTable) -> Composed:
    """Put structures into one label map; what is not known becomes nnU-Net's ignore label.

    Parameters
    ----------
    masks
        ``(slice, row, column)`` by the label's name; at least one.
    looked_for
        Labels that were looked for; where another one may lie, no voxel is background.
    table
        The order in which they overlap.

    Raises
    ------
    CaseRefused
        ``labels_overlap``, ``not_looked_for``, ``nothing_labelled``.
    """
    values = {label.name: label.value for label in table.labels}
    shape = next(iter(masks.values())).shape
    labels = np.zeros(shape, np.uint8 if table.ignore_value <= np.iinfo(np.uint8).max else np.uint16)
    rank = {name: number for number, name in enumerate(table.overlaps)}
    # Those without a rank come first: whatever meets them has no order.
    for name in sorted(masks, key=lambda name: -rank.get(name, len(rank))):
        _check_overlap(labels, masks[name], name, rank, table)
        labels[masks[name]] = values[name]
    return finish(labels, looked_for, table)


def _check_overlap(
    labels: Labels, mask: NDArray[np.bool_], name: str, rank: Mapping[str, int], table: LabelTable
) -> None:
    met, counts = np.unique(labels[mask], return_counts=True)
    for value, count in zip(met.tolist(), counts.tolist(), strict=True):
        if value and not (name in rank and table.labels[value - 1].name in rank):
            detail = f"{table.labels[value - 1].name} and {name} share {count} voxels; name both under overlaps."
            raise CaseRefused(CaseCode.LABELS_OVERLAP, detail)


def finish(labels: Labels, looked_for: Set[str], table: LabelTable) -> Composed:
    """Put the ignore label wherever a label that was not looked for may lie; ``labels`` is changed.

    That is the background, and every label that such a label would overlap.
    """
    missing = [label.name for label in table.labels if label.name not in looked_for]
    if missing and table.not_looked_for == "exclude":
        raise CaseRefused(CaseCode.NOT_LOOKED_FOR, f"Not looked for: {', '.join(missing)}.")
    if missing:
        first = min((table.overlaps.index(name) for name in missing if name in table.overlaps), default=None)
        hidden = [0]
        if first is not None:
            hidden += [label.value for label in table.labels if label.name in table.overlaps[first + 1 :]]
        labels[np.isin(labels, hidden)] = table.ignore_value
    counts = np.zeros(table.ignore_value + 1, np.int64)
    for plane in labels:
        counts += np.bincount(plane.ravel(), minlength=counts.size)
    if counts[table.ignore_value] == labels.size:
        detail = f"Not looked for: {', '.join(missing)}." if missing else "All of it is the ignore label."
        raise CaseRefused(CaseCode.NOTHING_LABELLED, detail)
    voxels = {label.name: int(counts[label.value]) for label in table.labels}
    if counts[table.ignore_value]:
        voxels[IGNORE] = int(counts[table.ignore_value])
    return Composed(labels, voxels)


def from_values(array: NDArray[np.generic], table: LabelTable, ignored: int | None) -> Labels:
    """Bring the values of a label map to those of the table.

    Parameters
    ----------
    array
        ``(slice, row, column)`` of whole numbers, in any type.
    ignored
        The value of the source's own ignore label.

    Raises
    ------
    CaseRefused
        ``fractional_mask`` or ``unknown_value``.
    """
    whole = array.astype(np.int64)
    if array.dtype.kind == "f" and not np.array_equal(whole, array):
        raise CaseRefused(CaseCode.FRACTIONAL_MASK, "A value is not a whole number.")
    mapped = table.value_map()
    if ignored is not None:
        mapped[ignored] = table.ignore_value
    found, places, counts = np.unique(whole, return_inverse=True, return_counts=True)
    unknown = [f"{value} ({count} voxels)" for value, count in zip(found, counts, strict=True) if value not in mapped]
    if unknown:
        raise CaseRefused(CaseCode.UNKNOWN_VALUE, f"Found {', '.join(unknown[:5])}; name them, or as unused_values.")
    dtype = np.uint8 if table.ignore_value <= np.iinfo(np.uint8).max else np.uint16
    result: Labels = np.take(np.array([mapped[int(value)] for value in found], dtype), places).reshape(array.shape)
    return result
