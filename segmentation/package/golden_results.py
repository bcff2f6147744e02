"""Golden cases: proof that a package infers here what nnU-Net inferred where the model was made.

A golden case is an image and the mask that nnU-Net itself predicted for it (not an expert's contour, which a good model
does not reproduce to 99 %). Its outcome is kept beside the package; of the image only hashes are kept, not its name.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import PackageInvalid
from core.frozen import Frozen
from core.model_config import ModelConfig
from segmentation.package.known_trainers import keeps_the_network
from segmentation.package.results_file import Result, newest, read_results, settings_hash, write_results

OUTCOMES = "commissioning.json"
UNUSED_SETTINGS = {"profile", "fast"}
"""Keys of ``inference`` that change no label in profile ``exact``, in which golden cases run."""
GOLDEN_DICE = 0.99
"""Dice that every label of a golden case must reach; another GPU's rounding stays above it, a wrong layer below it."""


class Outcome(Result):
    """Outcome of one golden case.

    Attributes
    ----------
    dice
        Dice of every label by name; null if neither mask holds it, in which case that label is not proven.
    agreement
        Fraction of voxels that are equal.
    """

    image_sha256: tuple[str, ...]
    expect_sha256: str
    voxels: int
    dice: dict[str, float | None]
    agreement: float
    device: str
    passed: bool


class Outcomes(Frozen):
    """The whole of ``commissioning.json``, newest last."""

    schema_version: Literal[1] = 1
    cases: tuple[Outcome, ...] = ()


def compare(
    result: NDArray[np.integer], expected: NDArray[np.integer], labels: Iterable[tuple[str, int]]
) -> tuple[dict[str, float | None], float]:
    """Compute the Dice of every label, and the fraction of equal voxels.

    Parameters
    ----------
    result, expected
        Masks of one shape.
    labels
        Name and value of each label.
    """
    dice: dict[str, float | None] = {}
    for name, value in labels:
        ours, theirs = result == value, expected == value
        total = int(ours.sum()) + int(theirs.sum())
        dice[name] = round(2 * int((ours & theirs).sum()) / total, 6) if total else None
    return dice, float((result == expected).mean())


def judge(dice: dict[str, float | None], unexpected: Sequence[int]) -> bool:
    """Return whether a golden case passes.

    It passes if some label occurs, every label reaches ``GOLDEN_DICE``, and the expected mask has no unknown value.
    """
    values = [value for value in dice.values() if value is not None]
    return bool(values) and min(values) >= GOLDEN_DICE and not unexpected


def read_outcomes(folder: Path) -> Outcomes:
    """Read the outcomes that a package holds; there are none if it was never commissioned.

    Raises
    ------
    PackageInvalid
        If the file is damaged.
    """
    return read_results(folder / OUTCOMES, Outcomes)


def store_outcome(folder: Path, outcome: Outcome) -> None:
    """Append an outcome; the file is written whole or not at all, even if the power fails."""
    outcomes = Outcomes(cases=(*read_outcomes(folder).cases, outcome))
    write_results(folder / OUTCOMES, outcomes)


def is_commissioned(folder: Path, seal: str, config: ModelConfig) -> bool:
    """Return whether the newest golden case of a package with its present weights and settings passed.

    Raises
    ------
    PackageInvalid
        If the outcomes are damaged.
    """
    last = _newest(folder, seal, config)
    return last is not None and last.passed


def require_commissioning(folder: Path, trainers: Iterable[str], seal: str, config: ModelConfig) -> None:
    """Refuse a package whose trainer may have changed the network, unless its newest golden case passed.

    Raises
    ------
    PackageInvalid
        If no golden case passed; the text names the trainer and the command that commissions.
    """
    doubtful = [trainer for trainer in trainers if not keeps_the_network(trainer)]
    if not doubtful:
        return
    last = _newest(folder, seal, config)
    if last is None or not last.passed:
        state = "its last golden case failed" if last else "no golden case has been run with these weights and settings"
        raise PackageInvalid(
            f"{folder}: trainer {', '.join(doubtful)} may have changed the network, and {state}; "
            f"run: segnode models verify {folder.name} --case IMAGE --expect MASK"
        )


def _newest(folder: Path, seal: str, config: ModelConfig) -> Outcome | None:
    return newest(read_outcomes(folder).cases, seal, settings_hash(config, UNUSED_SETTINGS))
