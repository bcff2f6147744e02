"""The table of stacks: what is even, rounded, tilted or uneven, and that no lost slice ever passes for uneven."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from core.errors import ReasonCode, StudyRejected
from dicom_io.images.grid.stack import Slices, Stack, find_stack

EVEN, UNEVEN, LOST, NEITHER = "even", "uneven", "missing_slice", "uneven_spacing"


def stack_of(
    heights: Sequence[float] | NDArray[np.float64],
    thickness: float | Sequence[float] = 5.0,
    numbers: Sequence[int | None] | None = None,
    decimals: int = 6,
    slope: tuple[float, float] = (0.0, 0.0),
) -> Stack:
    """Find the stack of axial slices whose positions are written with some decimals; slope is mm of ``(y, x)`` a mm."""
    z = np.round(np.asarray(heights, float), decimals)
    positions = np.stack([-120 + slope[1] * (z - z[0]), -110 + slope[0] * (z - z[0]), z], axis=1)
    thicknesses = np.broadcast_to(np.asarray(thickness, float), z.shape).copy()
    found = list(range(1, len(z) + 1)) if numbers is None else list(numbers)
    return find_stack(Slices(positions, np.eye(3), thicknesses, found, lambda: np.full(3, 10.0**-decimals)))


def kind_of(found: Stack) -> str:
    return EVEN if found.places is None else UNEVEN


def outcome(*arguments: object, **named: object) -> str:
    try:
        return kind_of(stack_of(*arguments, **named))  # type: ignore[arg-type]
    except StudyRejected as error:
        return str(error.code)


@dataclass(frozen=True)
class Row:
    """Gaps as ``(count, mm)``, the thickness of the slices above each gap, Instance Numbers left out, and the end."""

    name: str
    gaps: tuple[tuple[int, float], ...]
    thickness: tuple[float, ...]
    left_out: tuple[int, ...]
    expected: str

    @property
    def heights(self) -> NDArray[np.float64]:
        return np.concatenate([[0.0], np.cumsum([gap for count, gap in self.gaps for _ in range(count)])])

    @property
    def thicknesses(self) -> list[float]:
        each = self.thickness if len(self.thickness) > 1 else self.thickness * len(self.gaps)
        found = [mm for (count, _), mm in zip(self.gaps, each, strict=True) for _ in range(count)]
        return [found[0], *found]

    @property
    def numbers(self) -> list[int]:
        every = [n for n in range(1, len(self.heights) + 1 + len(self.left_out)) if n not in self.left_out]
        return every[: len(self.heights)]


ROWS = (
    Row("neck then head", ((10, 2.5), (10, 5.0)), (2.5, 5.0), (), UNEVEN),
    Row("skull base then vertex", ((12, 3.0), (8, 4.8)), (3.0, 4.8), (), UNEVEN),
    Row("three runs", ((5, 1.25), (5, 3.0), (5, 5.0)), (1.25, 3.0, 5.0), (), UNEVEN),
    Row("fine in the middle", ((6, 5.0), (8, 2.0), (6, 5.0)), (5.0, 2.0, 5.0), (), UNEVEN),
    Row("shortest runs that count", ((3, 3.0), (3, 4.0)), (3.0, 4.0), (), UNEVEN),
    Row("overlapping throughout", ((8, 1.5), (8, 2.5)), (3.0, 5.0), (), UNEVEN),
    Row("one thickness, closer slices", ((8, 5.0), (8, 3.3)), (5.0,), (), UNEVEN),
    Row("gap 9 % above thickness", ((8, 3.0), (8, 5.45)), (3.0, 5.0), (), UNEVEN),
    Row("three times as far and as thick", ((6, 1.0), (6, 3.0)), (1.0, 3.0), (), UNEVEN),
    Row("twice as far and as thick, overlapping", ((8, 2.5), (8, 5.0)), (3.0, 6.0), (), UNEVEN),
    Row("six runs", ((4, 2.0), (4, 3.0)) * 3, (2.0, 3.0) * 3, (), UNEVEN),
    # lost in overlapping stacks: the thickness bridges the gap
    Row("one lost, overlapping", ((6, 2.5), (1, 5.0), (6, 2.5)), (5.0,), (), LOST),
    Row("two lost in a row, overlapping", ((6, 2.0), (1, 6.0), (6, 2.0)), (6.0,), (), LOST),
    Row("two lost apart, overlapping", ((6, 2.5), (1, 5.0), (3, 2.5), (1, 5.0), (4, 2.5)), (5.0,), (), LOST),
    Row("every second of four lost", ((6, 2.5), (2, 5.0), (6, 2.5)), (5.0,), (), LOST),
    Row("every second of six lost, renumbered", ((6, 2.5), (3, 5.0), (6, 2.5)), (5.0,), (), LOST),
    Row("every second of six lost, numbers tell", ((6, 2.5), (3, 5.0), (6, 2.5)), (5.0,), (8, 10, 12), LOST),
    Row("every second of the upper half lost", ((10, 2.5), (6, 5.0)), (5.0,), (), LOST),
    Row("every second of the lower half lost", ((6, 5.0), (10, 2.5)), (5.0,), (), LOST),
    Row("two of three lost, overlapping", ((9, 1.0), (4, 3.0)), (3.0,), (), LOST),
    Row("every second lost, numbers tell, thickness lies", ((8, 2.5), (4, 5.0)), (2.5, 5.0), (11, 13, 15, 17), LOST),
    Row("second and third of both lost", ((6, 2.0), (6, 3.0)), (5.0,), (2, 4, 6, 8, 10, 12), LOST),
    Row("one lost at a change", ((6, 2.0), (1, 5.0), (6, 3.0)), (2.0, 3.0, 3.0), (), LOST),
    Row("one lost within a thick run", ((6, 2.5), (4, 4.0), (1, 8.0), (4, 4.0)), (2.5, 8.0, 8.0, 8.0), (), LOST),
    Row("one lost near the end", ((9, 2.5), (1, 5.0)), (5.0,), (), LOST),
    Row("one lost near the start", ((1, 5.0), (9, 2.5)), (5.0,), (), LOST),
    Row("one lost, most gaps wide", ((9, 5.0), (4, 2.5), (1, 5.0), (3, 2.5)), (5.0, 2.5, 5.0, 2.5), (), LOST),
    Row("lost with small overlap", ((9, 4.5), (3, 9.0)), (5.0,), (), LOST),
    # and elsewhere
    Row("one lost, no overlap", ((6, 3.0), (1, 6.0), (6, 3.0)), (3.0,), (), LOST),
    Row("wide gaps, thin slices", ((8, 3.0), (8, 5.0)), (3.0,), (), LOST),
    Row("gap 11 % above thickness", ((8, 3.0), (8, 5.55)), (3.0, 5.0), (), LOST),
    Row("twice as far, half as thick again", ((8, 2.5), (8, 5.0)), (5.0, 7.5), (), LOST),
    Row("a hole in the numbers", ((8, 3.0), (8, 4.0)), (3.0, 4.0), (9,), LOST),
    Row("one close gap", ((5, 5.0), (1, 3.0), (5, 5.0)), (5.0,), (), NEITHER),
    Row("a run of two", ((6, 3.0), (2, 4.0), (6, 3.0)), (4.0,), (), NEITHER),
    Row("no thickness", ((8, 3.0), (8, 4.0)), (float("nan"),), (), NEITHER),
    Row("even", ((20, 2.5),), (5.0,), (), EVEN),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_the_table_of_stacks(row: Row) -> None:
    for numbers in (row.numbers, row.numbers[::-1]):
        assert outcome(row.heights, row.thicknesses, numbers) == row.expected
    tilted = UNEVEN if row.expected == EVEN else row.expected
    assert outcome(row.heights, row.thicknesses, row.numbers, slope=(-0.3, 0.0)) == tilted


def test_the_table_holds_enough_lost_slices_in_overlapping_stacks() -> None:
    overlapping = [
        row for row in ROWS if row.expected == LOST and min(g for _, g in row.gaps) < max(row.thickness) * 0.95
    ]
    assert len(ROWS) >= 30
    assert len(overlapping) >= len(ROWS) // 2


@pytest.mark.parametrize("renumbered", [True, False], ids=["renumbered", "numbers-tell"])
def test_any_slice_lost_in_an_overlapping_stack_is_found(renumbered: bool) -> None:
    for lost in range(1, 23):
        kept = [n for n in range(24) if n != lost]
        numbers = list(range(len(kept))) if renumbered else kept
        assert outcome([n * 2.5 for n in kept], 5.0, numbers) == LOST, lost


def test_slices_lost_at_random_in_an_overlapping_stack_are_found() -> None:
    """Numbers are made to run on, as some programs that anonymise do, so that positions and thickness alone speak."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        step, overlap = rng.choice([0.6, 1.0, 1.25, 2.5]), rng.choice([1.5, 2.0, 3.0])
        kept = np.sort(rng.choice(60, size=int(rng.integers(20, 58)), replace=False)).astype(float)
        assert outcome(kept * step, step * overlap) in (LOST, NEITHER), seed


@pytest.mark.parametrize("missing", ["none", "one", "backwards"])
def test_instance_numbers_must_run_on(missing: str) -> None:
    heights = np.concatenate([[0.0], np.cumsum([3.0] * 6 + [4.0] * 6)])
    numbers: list[int | None] = list(range(13))
    if missing == "one":
        numbers[4] = None
    elif missing == "backwards":
        numbers[4], numbers[5] = numbers[5], numbers[4]
    assert outcome(heights, [3.0] * 7 + [4.0] * 6, numbers) == (UNEVEN if missing == "none" else LOST)


@pytest.mark.parametrize(
    ("step", "decimals", "expected"),
    [
        (0.625, 2, EVEN),
        (0.625, 1, EVEN),
        (1.25, 1, EVEN),
        (0.75, 1, EVEN),
        (3.27, 1, EVEN),
        (0.6, 1, EVEN),
        (7.5, 0, EVEN),
        (0.35, 1, NEITHER),  # half a unit is 14 % of the gap
        (3.3, 0, NEITHER),
    ],
)
def test_rounded_positions_count_as_even_where_rounding_explains_them(
    step: float, decimals: int, expected: str
) -> None:
    true = -100.05 + step * np.arange(90)
    assert outcome(true, numbers=None, decimals=decimals) == expected
    if expected == EVEN:
        found = stack_of(true, decimals=decimals)
        assert found.spacing == pytest.approx(step, rel=2e-3)
        assert np.abs(found.origin[2] + found.spacing * np.arange(90) - true).max() <= 0.51 * 10.0**-decimals + 1e-9


@pytest.mark.parametrize("step", [1.25, 0.75, 3.27])
def test_truncated_positions_count_as_even_across_zero(step: float) -> None:
    """Truncation towards zero moves slices below zero up and those above it down: up to a whole unit apart."""
    true = -41.3 + step * np.arange(70)
    written = np.trunc(true * 10) / 10
    found = stack_of(written, decimals=1)
    assert kind_of(found) == EVEN
    assert np.abs(found.origin[2] + found.spacing * np.arange(70) - true).max() < 0.06


def test_jitter_that_no_rounding_explains_is_refused() -> None:
    true = 2.0 * np.arange(40)
    true[17] += 0.06
    assert outcome(true, decimals=2) == NEITHER
    assert outcome(true, decimals=1) == EVEN  # 34.1 in place of 34: as one decimal may be


@pytest.mark.parametrize("truncated", [False, True])
@pytest.mark.parametrize("decimals", [0, 1])
def test_coarse_rounding_of_an_even_stack_never_passes_for_a_change_of_distance(decimals: int, truncated: bool) -> None:
    """Pieces of it fit grids of their own, each within the rounding; it is even, or refused."""
    unit = 10.0**-decimals
    turn = Rotation.from_euler("xyz", [20, 35, -50], degrees=True).as_matrix()
    for number in (*range(12), 38):
        rng = np.random.default_rng(number)
        gap, count = unit * rng.uniform(3, 10), int(rng.integers(5, 60))
        direction = turn if number % 2 else np.eye(3)
        true = np.outer(gap * np.arange(count), direction[:, 2]) + rng.uniform(-200, 0, 3)
        written = np.trunc(true / unit) * unit if truncated else np.round(true, decimals)
        slices = Slices(written, direction, np.full(count, 2 * gap), list(range(count)), lambda: np.full(3, unit))
        try:
            places = find_stack(slices).places
        except StudyRejected:
            continue
        assert places is None, number


def test_no_rounding_hides_a_lost_slice() -> None:
    for step in (0.625, 1.25, 3.27):
        true = np.delete(-100 + step * np.arange(60), 31)
        assert outcome(true, decimals=1) == LOST


def test_rounded_positions_of_runs_are_set_to_the_grid_of_each_run() -> None:
    true = np.concatenate([[0.0], np.cumsum([1.25] * 20 + [3.25] * 20)]) - 33.3
    found = stack_of(true, [1.25] * 21 + [3.25] * 20, decimals=1)
    assert found.places is not None
    assert np.abs(found.places.heights - (true - true[0])).max() <= 0.11
    assert np.ptp(found.places.gaps[:20]) < 1e-9


@pytest.mark.parametrize("degrees", [-30, -18.5, -2, 2, 12, 30])
def test_a_tilt_is_a_drift_in_proportion_to_the_height(degrees: float) -> None:
    slope = float(np.tan(np.radians(degrees)))
    found = stack_of(5.0 * np.arange(30), decimals=3, slope=(slope, 0.0))
    assert found.places is not None
    assert found.places.is_even
    assert np.allclose(found.places.offsets[:, 0], slope * 5.0 * np.arange(30), atol=2e-3)
    assert str(found.places) == f"gantry tilt of {abs(degrees):.1f} degrees"
    assert found.refusal is not None
    assert found.refusal[0] is ReasonCode.GANTRY_TILT


def test_a_drift_that_is_no_line_stays_refused() -> None:
    z = 5.0 * np.arange(20)
    positions = np.stack([np.zeros(20), 0.001 * z**2, z], axis=1)
    slices = Slices(positions, np.eye(3), np.full(20, 5.0), list(range(20)), lambda: np.full(3, 1e-6))
    with pytest.raises(StudyRejected, match="leaves a straight line") as caught:
        find_stack(slices)
    assert caught.value.code is ReasonCode.GANTRY_TILT
    assert outcome(z, slope=(1.2, 0.0)) == "gantry_tilt"


def test_an_oblique_stack_is_judged_along_its_own_normal() -> None:
    turn = Rotation.from_euler("xyz", [20, 35, -50], degrees=True).as_matrix()
    gaps = [3.0] * 8 + [4.0] * 8
    heights = np.concatenate([[0.0], np.cumsum(gaps)])
    positions = np.round(heights[:, None] * turn[:, 2] + [10, -20, 30], 2)
    thicknesses = np.array([3.0] * 9 + [4.0] * 8)
    found = find_stack(Slices(positions, turn, thicknesses, list(range(17)), lambda: np.full(3, 0.01)))
    assert found.places is not None
    assert not found.places.is_shifted
    assert np.abs(found.places.heights - heights).max() < 0.03
