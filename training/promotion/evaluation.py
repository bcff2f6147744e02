"""Predicted masks of a folder against the true ones: a table, plots, and pictures of the worst cases."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigInvalid
from training.promotion.metrics import LabelFigures, compare_masks

WORST = 4


@dataclass(frozen=True)
class CaseFigures:
    """Figures of one label in one case."""

    case: str
    label: str
    figures: LabelFigures


def evaluate_folder(
    predictions: Path, truths: Path, labels: Mapping[str, Sequence[int]], ending: str, ignore: int | None = None
) -> list[CaseFigures]:
    """Compare each predicted mask with the true one of its name.

    Parameters
    ----------
    labels
        The values that make up each label or region, by name, without background.
    ending
        Of the files.
    ignore
        nnU-Net's ignore label: voxels of the true mask that nothing is known of, left out of both.

    Raises
    ------
    ConfigInvalid
        If there is no prediction, one has no truth, or their grids differ.
    """
    files = sorted(path for path in predictions.glob(f"*{ending}") if path.is_file())
    if not files:
        raise ConfigInvalid(f"{predictions}: no masks *{ending} there")
    found: list[CaseFigures] = []
    for path in files:
        if not (truths / path.name).is_file():
            raise ConfigInvalid(f"{truths}: no true mask {path.name} for the predicted one")
        found += _of_case(path, truths / path.name, path.name.removesuffix(ending), labels, ignore)
    return found


def unpredicted(predictions: Path, truths: Path, ending: str) -> list[str]:
    """Return the cases that have a true mask and no predicted one, of which the figures say nothing."""
    there = {path.name for path in predictions.glob(f"*{ending}")}
    return sorted(path.name.removesuffix(ending) for path in truths.glob(f"*{ending}") if path.name not in there)


def _of_case(
    predicted: Path, true: Path, case: str, labels: Mapping[str, Sequence[int]], ignore: int | None
) -> Iterable[CaseFigures]:
    (guess, spacing), (truth, own) = _read(predicted), _read(true)
    if guess.shape != truth.shape or not np.allclose(spacing, own, rtol=1e-3):
        raise ConfigInvalid(f"{predicted}: shape {guess.shape}, and {truth.shape} of the true mask; predict it anew")
    known = truth != ignore if ignore is not None else np.ones(truth.shape, dtype=bool)
    for name, values in labels.items():
        figures = compare_masks(np.isin(truth, values) & known, np.isin(guess, values) & known, spacing)
        yield CaseFigures(case, name, figures)


def _read(path: Path) -> tuple[NDArray[np.integer[Any]], tuple[float, ...]]:
    import SimpleITK as sitk

    image: Any = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(image), tuple(float(step) for step in image.GetSpacing()[::-1])


def labels_of(description: Mapping[str, Any]) -> tuple[dict[str, list[int]], int | None]:
    """Return the values of each label or region of a ``dataset.json``, and its ignore label."""
    labels = {
        name: list(value) if isinstance(value, list) else [value]
        for name, value in description["labels"].items()
        if name not in ("background", "ignore")
    }
    ignore = description["labels"].get("ignore")
    return labels, None if ignore is None else int(ignore)


def means(found: Sequence[CaseFigures]) -> dict[str, dict[str, float | None]]:
    """Return the means over the cases, by label: of Dice, of the 95 % surface distance, of the volumes."""
    return {
        label: {
            key: _mean([asdict(one.figures)[key] for one in found if one.label == label])
            for key in ("dice", "hd95_mm", "true_ml", "predicted_ml")
        }
        for label in dict.fromkeys(one.label for one in found)
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def write_report(folder: Path, found: Sequence[CaseFigures], facts: Mapping[str, Any]) -> None:
    """Write ``figures.json`` and ``figures.csv``, a row a case and label."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"case": one.case, "label": one.label, **asdict(one.figures)} for one in found]
    content = {**facts, "means": means(found), "cases": rows}
    (folder / "figures.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with (folder / "figures.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def worst_cases(found: Sequence[CaseFigures], number: int = WORST) -> list[str]:
    """Return the cases with the lowest Dice of any label, the worst first."""
    lowest: dict[str, float] = {}
    for one in found:
        if one.figures.dice is not None:
            lowest[one.case] = min(one.figures.dice, lowest.get(one.case, 1.0))
    return sorted(lowest, key=lambda case: lowest[case])[:number]
