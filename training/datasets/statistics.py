"""Measurements of each case, by which those are found that are far from the others or hold the same slices."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.datasets.case import CaseNote, Note
from training.datasets.lock import LockedCase

PERCENTILES = (1, 50, 99)
LEAST_CASES = 5
"""Fewer have no usual value."""
FAR = 6.0
"""Distance from the median at which a value is far, in standard deviations as the median deviation estimates them."""
LEAST_SPREAD = 0.05
"""Smallest deviation that counts, relative to the usual value: 5 % is a difference of scanners, no fault."""
_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class CaseStatistics:
    """Numbers of one case.

    Attributes
    ----------
    spacing
        mm, ``(slice, row, column)``.
    intensities
        The percentiles ``PERCENTILES`` of each channel.
    slices
        Hashes of the slices of channel 0 that are not of one value.
    """

    spacing: tuple[float, float, float]
    intensities: tuple[tuple[float, ...], ...]
    slices: frozenset[bytes]


def measure(channels: NDArray[np.float32], spacing: tuple[float, float, float]) -> CaseStatistics:
    """Measure an image ``(channel, slice, row, column)``."""
    intensities = tuple(
        tuple(float(v) for v in np.percentile(channel[:, ::2, ::2], PERCENTILES)) for channel in channels
    )
    slices = frozenset(
        hashlib.blake2b(np.ascontiguousarray(plane).data, digest_size=16).digest()
        for plane in channels[0]
        if plane.min() != plane.max()
    )
    return CaseStatistics(spacing, intensities, slices)


def outliers(cases: Mapping[str, CaseStatistics]) -> dict[str, list[Note]]:
    """Find the cases whose spacing or values are far from those of the others."""
    notes: dict[str, list[Note]] = {name: [] for name in cases}
    if len(cases) < LEAST_CASES:
        return notes
    names = list(cases)
    spacings = np.array([cases[name].spacing for name in names])
    for axis, word in enumerate(("slice", "row", "column")):
        usual = float(np.median(spacings[:, axis]))
        for index in _far(spacings[:, axis], LEAST_SPREAD * usual):
            detail = f"{word} spacing {spacings[index, axis]:.3g} mm; the median is {usual:.3g} mm."
            notes[names[index]].append(Note(CaseNote.SPACING_OUTLIER, detail))
    values = np.array([cases[name].intensities for name in names])
    for channel in range(values.shape[1]):
        extent = float(np.median(values[:, channel, -1] - values[:, channel, 0]))
        for place, percentile in enumerate(PERCENTILES):
            column = values[:, channel, place]
            for index in _far(column, LEAST_SPREAD * extent):
                detail = (
                    f"Channel {channel}: percentile {percentile} is {column[index]:.4g}; "
                    f"the median is {np.median(column):.4g}."
                )
                notes[names[index]].append(Note(CaseNote.INTENSITY_OUTLIER, detail))
    return notes


def _far(values: NDArray[np.float64], least: float) -> list[int]:
    deviations = np.abs(values - np.median(values))
    spread = max(_MAD_TO_SD * float(np.median(deviations)), least, np.finfo(float).tiny)
    return [int(index) for index in np.flatnonzero(deviations > FAR * spread)]


def same_slices(cases: Mapping[str, CaseStatistics]) -> list[tuple[str, str, int]]:
    """List the pairs of cases that hold the same slices, and how many."""
    holders: dict[bytes, list[str]] = {}
    for name, found in cases.items():
        for digest in found.slices:
            holders.setdefault(digest, []).append(name)
    pairs: dict[tuple[str, str], int] = {}
    for names in holders.values():
        for second in range(1, len(names)):
            pair = (names[0], names[second])
            pairs[pair] = pairs.get(pair, 0) + 1
    return [(first, second, count) for (first, second), count in sorted(pairs.items())]


def shared_slices(cases: Mapping[str, CaseStatistics], locked: Mapping[str, LockedCase]) -> dict[str, list[Note]]:
    """Note of each case that holds slices of another how many they are, and of which source."""
    notes: dict[str, list[Note]] = {}
    for first, second, count in same_slices(cases):
        for case, other in ((first, second), (second, first)):
            notes.setdefault(case, []).append(Note(CaseNote.SHARED_SLICES, f"{count} with {locked[other].source}."))
    return notes


def groups_of(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return for each name the first of those that pairs join it to."""
    head = {name: name for name in names}

    def find(name: str) -> str:
        while head[name] != name:
            name = head[name]
        return name

    for first, second in pairs:
        one, other = sorted((find(first), find(second)))
        head[other] = one
    return {name: find(name) for name in names}
