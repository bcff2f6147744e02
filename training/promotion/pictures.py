"""Plots of an evaluation, and pictures of its worst cases: the true outline beside the predicted one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.promotion.evaluation import CaseFigures

_TRUE, _PREDICTED = "lime", "red"


def draw_figures(folder: Path, found: Sequence[CaseFigures]) -> None:
    """Draw Dice and surface distance by label (``figures.png``), and volumes (``volumes.png``)."""
    plots = _matplotlib()
    labels = list(dict.fromkeys(one.label for one in found))
    figure, axes = plots.subplots(1, 2, figsize=(4 + 2 * len(labels), 5))
    for axis, key, title in ((axes[0], "dice", "Dice"), (axes[1], "hd95_mm", "95 % surface distance, mm")):
        values = [
            [v for one in found if one.label == label and (v := getattr(one.figures, key)) is not None]
            for label in labels
        ]
        axis.boxplot(values)
        axis.set_xticks(range(1, len(labels) + 1), labels, rotation=30, ha="right")
        axis.set_title(title)
    _save(plots, figure, folder / "figures.png")
    figure, axis = plots.subplots(figsize=(6, 6))
    for label in labels:
        own = [one.figures for one in found if one.label == label]
        axis.scatter([one.true_ml for one in own], [one.predicted_ml for one in own], label=label)
    top = max(max(one.figures.true_ml, one.figures.predicted_ml) for one in found) or 1.0
    axis.plot([0, top], [0, top], color="grey", linewidth=1)
    axis.set_xlabel("true volume, ml")
    axis.set_ylabel("predicted volume, ml")
    axis.legend()
    _save(plots, figure, folder / "volumes.png")


def draw_case(path: Path, image: Path, true: Path, predicted: Path) -> None:
    """Draw the slice of a case on which the masks differ most, and its neighbours at a tenth of the stack."""
    plots = _matplotlib()
    array, truth, guess = (_read(one) for one in (image, true, predicted))
    differing = (truth != guess).sum(axis=(1, 2))
    middle, step = int(differing.argmax()), max(1, len(array) // 10)
    chosen = [min(max(0, middle + offset), len(array) - 1) for offset in (-step, 0, step)]
    figure, axes = plots.subplots(1, len(chosen), figsize=(4 * len(chosen), 4.5))
    low, high = np.percentile(array, (1, 99.5))
    for axis, number in zip(axes, chosen, strict=True):
        axis.imshow(array[number], cmap="gray", vmin=low, vmax=high)
        for mask, colour in ((truth[number], _TRUE), (guess[number], _PREDICTED)):
            for value in np.unique(mask[mask > 0]):
                axis.contour(mask == value, levels=[0.5], colors=colour, linewidths=0.8)
        axis.set_title(f"slice {number}")
        axis.axis("off")
    figure.suptitle(f"{path.stem}: true {_TRUE}, predicted {_PREDICTED}")
    _save(plots, figure, path)


def _read(path: Path) -> NDArray[Any]:
    import SimpleITK as sitk

    array: NDArray[Any] = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    return array


def _matplotlib() -> Any:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    return pyplot


def _save(plots: Any, figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plots.close(figure)
