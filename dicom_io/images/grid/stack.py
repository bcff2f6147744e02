"""The stack that parallel slices form: a regular grid, a tilted or uneven one, or the reason for a refusal.

A lost slice must never pass for uneven spacing. So only runs of equal gaps count as uneven, held against what the
headers say of the slices on both sides of a change; a single wide gap is a lost slice whatever they say.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.errors import ReasonCode, StudyRejected
from core.irregular_stack import IrregularStack
from dicom_io.images.grid.even_fit import best_line, rounded_line

MISSING_SLICE_FACTOR = 1.5
"""A gap above this multiple of the median gap, or of a run beside it, is a missing slice."""

UNEVEN_SPACING_TOLERANCE = 0.01
"""Largest deviation of a gap from the median gap, relative to it."""

OFF_GRID_TOLERANCE = 0.1
"""Largest distance of a slice from its place on the regular grid, in gaps: small deviations may not add up, and no
rounding may move a slice farther."""

TILT_TOLERANCE_MM = 0.2
"""Largest drift of a slice within its plane against the first one. Rounding of cosines to four digits gives 0.05 mm
over 500 mm; a gantry tilt of one degree gives as much after 12 mm. A tilted stack keeps as near to its line."""

LARGEST_TILT_DEGREES = 45.0
"""Gantries tilt by up to 30 degrees."""

DUPLICATE_TOLERANCE_MM = 1e-3
"""Slices closer than this are at one position."""

LEAST_RUN = 3
"""Fewer equal gaps in a row are no change of distance that a person chose, but lost slices."""

THICKNESS_TOLERANCE = 0.1
"""A gap of a run may exceed the run's own Slice Thickness by this share of it; and two ratios count as equal."""


@dataclass(frozen=True, eq=False)
class Slices:
    """The places of the images as their headers have them, in the order along the normal.

    Attributes
    ----------
    positions
        ``(n, 3)`` LPS mm.
    direction
        ``(3, 3)`` as in `core.volume.Geometry`.
    thicknesses
        ``(n,)`` Slice Thickness in mm; NaN where it is not stated.
    numbers
        Instance Number of each slice (frame number of the only instance), ``None`` where it is missing.
    units
        Gives the unit in mm of the last decimal written for x, y and z; asked only where it matters.
    """

    positions: NDArray[np.float64]
    direction: NDArray[np.float64]
    thicknesses: NDArray[np.float64]
    numbers: Sequence[int | None]
    units: Callable[[], NDArray[np.float64]]

    @property
    def heights(self) -> NDArray[np.float64]:
        """Mm along the normal, ascending."""
        return self.positions @ self.direction[:, 2]


@dataclass(frozen=True, eq=False)
class Stack:
    """The places of slices, set to the grid that fits them.

    Attributes
    ----------
    origin
        LPS mm of the first slice.
    spacing
        mm; of an irregular stack the median gap.
    places
        Of an irregular stack; ``None`` for a regular grid.
    refusal
        Code and detail for a model that takes regular grids alone; ``None`` for a regular grid.
    """

    origin: NDArray[np.float64]
    spacing: float
    places: IrregularStack | None = None
    refusal: tuple[ReasonCode, str] | None = None


def find_stack(slices: Slices) -> Stack:
    """Find the places of slices, or refuse them.

    Raises
    ------
    StudyRejected
        ``duplicate_position``, ``gantry_tilt`` (a drift that is no line), ``missing_slice``, ``uneven_spacing`` (no
        runs of equal gaps); without a series UID.
    """
    _check_distinct(slices.heights)
    slope = _drift(slices)
    heights = slices.heights
    origin, step, fitted = slices.positions[0], _mean_step(slices.positions), None
    if not _is_even(heights):
        line = _rounded_grid(slices)
        if line is not None:
            origin, step = line
            heights = origin @ slices.direction[:, 2] + np.arange(len(heights)) * float(step @ slices.direction[:, 2])
        else:
            fitted = _even_runs(slices)
    if slope is None and fitted is None:
        return Stack(origin, float(np.linalg.norm(step)))
    if fitted is None:
        fitted = np.linspace(heights[0], heights[-1], len(heights))
    fitted = fitted - fitted[0]
    places = IrregularStack(fitted, fitted[:, None] * (np.zeros(2) if slope is None else slope))
    return Stack(origin, places.median_gap, places, _refusal(places))


def _refusal(places: IrregularStack) -> tuple[ReasonCode, str]:
    """Return code and detail for a model that takes regular grids alone."""
    said = []
    if places.is_shifted:
        shift = np.linalg.norm(places.offsets[-1])
        said.append(f"The shift is up to {shift:.2f} mm, an angle of {places.tilt_degrees:.1f} degrees.")
    if not places.is_even:
        said.append(f"Distances: {places.distances}.")
    code = ReasonCode.GANTRY_TILT if places.is_shifted else ReasonCode.UNEVEN_SPACING
    return code, " ".join(said)


def _mean_step(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    step: NDArray[np.float64] = (positions[-1] - positions[0]) / (len(positions) - 1)
    return step


def _check_distinct(heights: NDArray[np.float64]) -> None:
    gaps = np.diff(heights)
    closest = int(gaps.argmin())
    if gaps[closest] <= DUPLICATE_TOLERANCE_MM:
        count = int((gaps <= DUPLICATE_TOLERANCE_MM).sum())
        detail = f"Occurrences: {count}, first at slice {closest + 1} of {len(heights)}."
        raise StudyRejected(ReasonCode.DUPLICATE_POSITION, detail)


def _drift(slices: Slices) -> NDArray[np.float64] | None:
    """Return the shift ``(rows, columns)`` in mm for each mm along the normal; ``None`` if slices lie straight."""
    offsets = (slices.positions - slices.positions[0]) @ slices.direction[:, 1::-1]
    drift = np.linalg.norm(offsets, axis=1)
    if drift.max() <= TILT_TOLERANCE_MM:
        return None
    heights = slices.heights - slices.heights[0]
    angle = float(np.degrees(np.arctan2(drift[-1], heights[-1])))
    line = np.stack([heights, np.ones_like(heights)], axis=1)
    fit = np.linalg.lstsq(line, offsets, rcond=None)[0]
    off_line = float(np.linalg.norm(offsets - line @ fit, axis=1).max())
    found = f"The shift is up to {drift.max():.2f} mm, an angle of {angle:.1f} degrees"
    if off_line > TILT_TOLERANCE_MM:
        detail = f"{found}, and leaves a straight line by {off_line:.2f} mm: no tilt of a gantry does so."
        raise StudyRejected(ReasonCode.GANTRY_TILT, detail)
    if angle > LARGEST_TILT_DEGREES:
        raise StudyRejected(ReasonCode.GANTRY_TILT, f"{found}; no gantry tilts above {LARGEST_TILT_DEGREES:g} degrees.")
    slope: NDArray[np.float64] = fit[0]
    return slope


def _is_even(heights: NDArray[np.float64]) -> bool:
    gaps = np.diff(heights)
    median = _lower_median(gaps)
    regular = np.linspace(heights[0], heights[-1], len(heights))
    off_grid = float(np.abs(heights - regular).max()) / median
    deviation = float(np.abs(gaps / median - 1).max())
    return deviation <= UNEVEN_SPACING_TOLERANCE and off_grid <= OFF_GRID_TOLERANCE


def _lower_median(gaps: NDArray[np.float64]) -> float:
    # of two gaps that differ, the smaller one is the distance of neighbours
    return float(np.sort(gaps)[(len(gaps) - 1) // 2])


def _rounded_grid(slices: Slices) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Find origin and step of the even grid whose rounding gives the written positions; ``None`` if there is none."""
    lines = []
    for written, unit in zip(slices.positions.T, slices.units(), strict=True):
        line = rounded_line(written, float(unit))
        if line is None:
            return None
        lines.append(line)
    origin, step = np.array(lines).T
    gap = float(step @ slices.direction[:, 2])
    heights = slices.heights
    return (origin, step) if best_line(heights, heights)[2] <= OFF_GRID_TOLERANCE * gap else None


def _even_runs(slices: Slices) -> NDArray[np.float64]:
    """Return heights set to the even grids of runs of equal gaps, where nothing speaks for lost slices.

    Raises
    ------
    StudyRejected
        ``missing_slice`` or ``uneven_spacing``.
    """
    heights = slices.heights
    gaps = np.diff(heights)
    rounding = float(np.abs(slices.direction[:, 2]) @ slices.units()) / 2
    ends = _run_ends(heights, rounding)
    counts = np.diff(ends)
    of_runs = np.diff(heights[ends]) / counts
    _check_short_runs(gaps, ends, of_runs)
    if (counts < LEAST_RUN).any():
        raise StudyRejected(
            ReasonCode.UNEVEN_SPACING,
            f"It varies from {gaps.min():.3f} to {gaps.max():.3f} mm within {len(heights)} slices; only runs of "
            f"{LEAST_RUN} equal distances and more count as a change of distance.",
        )
    # each end of a run may be a unit off to either side where positions are cut off towards zero
    rounded = 4 * rounding * (1 / counts[:-1] + 1 / counts[1:])
    if len(counts) < 2 or (np.abs(np.diff(of_runs)) <= rounded).any():
        raise StudyRejected(
            ReasonCode.UNEVEN_SPACING,
            f"It varies from {gaps.min():.3f} to {gaps.max():.3f} mm within {len(heights)} slices; positions are "
            "rounded too coarsely to tell whether it changed.",
        )
    _check_headers(slices, ends, of_runs)
    fitted: NDArray[np.float64] = np.interp(np.arange(len(heights)), ends, heights[ends])
    return fitted


def _run_ends(heights: NDArray[np.float64], rounding: float) -> NDArray[np.intp]:
    """Cut a stack into the longest runs of equal gaps, from its first slice on; return their ends, ``(runs + 1,)``."""
    ends = [0]
    while ends[-1] < len(heights) - 1:
        start = ends[-1]
        good, step = start + 1, 1
        while step:  # gallop, then halve: a part of an even run is even
            trial = min(good + step, len(heights) - 1)
            if trial > good and _is_run(heights[start : trial + 1], rounding):
                good, step = trial, step * 2
            else:
                step //= 2
        ends.append(good)
    return np.array(ends)


def _is_run(heights: NDArray[np.float64], rounding: float) -> bool:
    gap = float(heights[-1] - heights[0]) / (len(heights) - 1)
    return _is_even(heights) or best_line(heights, heights)[2] <= min(rounding + 1e-9, OFF_GRID_TOLERANCE * gap)


def _check_short_runs(gaps: NDArray[np.float64], ends: NDArray[np.intp], of_runs: NDArray[np.float64]) -> None:
    """Refuse a gap that is too wide for the median, or a short run too wide for a long one beside it."""
    median, counts = _lower_median(gaps), np.diff(ends)
    long = counts >= LEAST_RUN
    for run in np.flatnonzero(~long):
        beside = [of_runs[other] for other in (run - 1, run + 1) if 0 <= other < len(counts) and long[other]]
        limit = MISSING_SLICE_FACTOR * min([median, *beside])
        if of_runs[run] > limit:
            raise _missing(int(counts[run]), gaps, ends[run], min([median, *beside]))


def _missing(count: int, gaps: NDArray[np.float64], gap: int, usual: float, why: str = "") -> StudyRejected:
    found = "A gap" if count == 1 else f"{count} gaps"
    place = f"after slice {gap + 1} of {len(gaps) + 1}"
    detail = f"{found} of {gaps[gap]:.3f} mm {place}, where slices are {usual:.3f} mm apart"
    return StudyRejected(ReasonCode.MISSING_SLICE, f"{detail}{why}.")


def _check_headers(slices: Slices, ends: NDArray[np.intp], of_runs: NDArray[np.float64]) -> None:
    """Hold runs of equal gaps against Slice Thickness and Instance Number."""
    gaps, smallest = np.diff(slices.heights), float(of_runs.min())
    # the slices at both ends of a run belong to its neighbours as well
    inner = [slices.thicknesses[a + 1 : b] for a, b in pairwise(ends)]
    if any(not (np.isfinite(part) & (part > 0)).all() for part in inner):
        said = IrregularStack(slices.heights - slices.heights[0], np.zeros((len(gaps) + 1, 2))).distances
        detail = f"Distances: {said}; Slice Thickness, which tells lost slices from thick ones, is missing."
        raise StudyRejected(ReasonCode.UNEVEN_SPACING, detail)
    thickness = np.array([float(part.min()) for part in inner])
    run_on = _run_on(slices.numbers)
    finest = float(thickness[of_runs.argmin()])
    for run, (start, gap) in enumerate(zip(ends, of_runs, strict=False)):
        count = int(ends[run + 1] - start)
        if gap > (1 + THICKNESS_TOLERANCE) * thickness[run]:
            why = f" elsewhere and {thickness[run]:g} mm thick here"
            raise _missing(count, gaps, int(start), smallest, why)
        ratio = gap / smallest
        if round(ratio) < 2 or abs(ratio / round(ratio) - 1) > UNEVEN_SPACING_TOLERANCE + THICKNESS_TOLERANCE / 2:
            continue
        if not run_on or abs(thickness[run] / finest / ratio - 1) > THICKNESS_TOLERANCE:
            why = f" elsewhere: {round(ratio)} times as far, without slices as many times as thick"
            raise _missing(count, gaps, int(start), smallest, why)
    if not run_on:
        widest = int(of_runs.argmax())
        count = int(ends[widest + 1] - ends[widest])
        raise _missing(count, gaps, int(ends[widest]), smallest, " elsewhere, and InstanceNumber does not run on")


def _run_on(numbers: Sequence[int | None]) -> bool:
    """Return whether Instance Numbers run up or down along the stack without a hole."""
    if any(number is None for number in numbers):
        return False
    steps = set(np.diff(np.array(numbers, dtype=np.int64)).tolist())
    return steps in ({1}, {-1})
