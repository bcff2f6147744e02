"""Golden cases: proof that a package infers here what nnU-Net inferred where the model was made.

A golden case is an image and the mask that nnU-Net itself predicted for it (not an expert's contour, which a good model
does not reproduce to 99 %). Its outcome is kept beside the package; of the image only hashes are kept, not its name.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import PackageInvalid
from core.files import write_whole
from core.model_config import ModelManifest
from segmentation.package.hashes import sha256_of_bytes
from segmentation.package.known_trainers import keeps_the_network

OUTCOMES = "commissioning.json"
GOLDEN_DICE = 0.99
"""Dice that every label of a golden case must reach; another GPU's rounding stays above it, a wrong layer below it."""


class Outcome(BaseModel):
    """Outcome of one golden case.

    Attributes
    ----------
    seal
        SHA-256 of the package's ``SHA256SUMS`` at the time.
    settings
        SHA-256 of the settings in ``model.yaml`` that change labels (orientation, inference).
    dice
        Dice of every label by name; null if neither mask holds it, in which case that label is not proven.
    agreement
        Fraction of voxels that are equal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: str
    seal: str
    settings: str
    image_sha256: tuple[str, ...]
    expect_sha256: str
    voxels: int
    dice: dict[str, float | None]
    agreement: float
    device: str
    passed: bool


class Outcomes(BaseModel):
    """The whole of ``commissioning.json``, newest last."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = 1
    cases: tuple[Outcome, ...] = ()


def settings_hash(manifest: ModelManifest) -> str:
    """Compute the SHA-256 of the settings that change labels in profile ``exact``, in which golden cases run."""
    inference = manifest.inference.model_dump_json(exclude={"profile", "fast"})
    return sha256_of_bytes(f"{manifest.orientation}\n{inference}".encode())


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
    path = folder / OUTCOMES
    if not path.exists():
        return Outcomes()
    try:
        return Outcomes.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise PackageInvalid(f"{path}: {str(error).splitlines()[0]}") from error


def store_outcome(folder: Path, outcome: Outcome) -> None:
    """Append an outcome; the file is written whole or not at all, even if the power fails."""
    outcomes = Outcomes(cases=(*read_outcomes(folder).cases, outcome))
    write_whole(folder / OUTCOMES, outcomes.model_dump_json(indent=1) + "\n")


def require_commissioning(folder: Path, trainers: Iterable[str], seal: str, manifest: ModelManifest) -> None:
    """Refuse a package whose trainer may have changed the network, unless its newest golden case passed.

    Raises
    ------
    PackageInvalid
        If no golden case passed; the text names the trainer and the command that commissions.
    """
    doubtful = [trainer for trainer in trainers if not keeps_the_network(trainer)]
    if not doubtful:
        return
    settings = settings_hash(manifest)
    fitting = [o for o in read_outcomes(folder).cases if o.seal == seal and o.settings == settings]
    if not fitting or not fitting[-1].passed:
        state = (
            "its last golden case failed" if fitting else "no golden case has been run with these weights and settings"
        )
        raise PackageInvalid(
            f"{folder}: trainer {', '.join(doubtful)} may have changed the network, and {state}; "
            f"run: segnode models verify {manifest.name} --case IMAGE --expect MASK"
        )


def now() -> str:
    """Return the time stamp of an outcome, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
