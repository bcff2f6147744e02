"""The validation of a fold: the table of all cases, its plots, and the worst cases as pictures, for MLflow."""

from dataclasses import replace
from pathlib import Path

from core.errors import ConfigInvalid
from training.promotion.evaluation import CaseFigures, evaluate_folder, labels_of, means, worst_cases, write_report
from training.promotion.pictures import draw_case, draw_figures
from training.runs.records import RunRequest
from training.settings import Folders
from training.tracking.anonymous import lock_of, logged_names

TRUTHS = "gt_segmentations"


def write_validation(folders: Folders, request: RunRequest, report: Path) -> dict[str, float]:
    """Write the report on a fold's validation, under names of cases that may be logged; return the means.

    Returns
    -------
    dict of str to float
        Mean of each figure over the cases, by ``validation/LABEL/FIGURE``.

    Raises
    ------
    ConfigInvalid
        If there is no validation, or its masks do not fit the true ones.
    """
    import json

    prepared, raw = folders.preprocessed / request.dataset, folders.raw / request.dataset
    description = json.loads((prepared / "dataset.json").read_text())
    ending = str(description["file_ending"])
    predictions = request.output(folders) / "validation"
    labels, ignore = labels_of(description)
    found = evaluate_folder(predictions, prepared / TRUTHS, labels, ending, ignore)
    every = [path.name.removesuffix(ending) for path in (prepared / TRUTHS).glob(f"*{ending}")]
    names = logged_names(every, lock_of(raw))
    logged = [replace(one, case=names[one.case]) for one in found]
    write_report(report, logged, {"fold": request.fold})
    draw_figures(report, logged)
    _draw_worst(found, names, report, ending, (raw / "imagesTr", prepared / TRUTHS, predictions))
    return {
        f"validation/{label}/{key}": value
        for label, figures in means(logged).items()
        for key, value in figures.items()
        if value is not None
    }


def _draw_worst(
    found: list[CaseFigures], names: dict[str, str], report: Path, ending: str, places: tuple[Path, Path, Path]
) -> None:
    images, truths, predictions = places
    for rank, case in enumerate(worst_cases(found), start=1):
        image = images / f"{case}_0000{ending}"
        if not image.is_file():
            raise ConfigInvalid(f"{image}: not there any more, so that the case cannot be drawn")
        mask = f"{case}{ending}"
        draw_case(report / f"worst-{rank}-{names[case]}.png", image, truths / mask, predictions / mask)
