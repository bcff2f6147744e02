"""The report on the masks of a folder: figures, plots and pictures of the worst cases, in one folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.promotion.evaluation import evaluate_folder, labels_of, means, unpredicted, worst_cases, write_report
from training.promotion.pictures import draw_case, draw_figures


def report_on(
    predictions: Path, raw: Path, report: Path, facts: Mapping[str, Any]
) -> dict[str, dict[str, float | None]]:
    """Compare masks with those of a raw data set, write the report, and return the means by label.

    Parameters
    ----------
    facts
        Written beside the figures.

    Raises
    ------
    ConfigInvalid
        As `evaluate_folder`.
    """
    description = json.loads((raw / "dataset.json").read_text())
    ending = description["file_ending"]
    labels, ignore = labels_of(description)
    found = evaluate_folder(predictions, raw / "labelsTr", labels, ending, ignore)
    without = unpredicted(predictions, raw / "labelsTr", ending)
    write_report(report, found, {**facts, "without_prediction": without})
    draw_figures(report, found)
    for rank, case in enumerate(worst_cases(found), start=1):
        files = (raw / "imagesTr" / f"{case}_0000{ending}", raw / "labelsTr" / f"{case}{ending}")
        draw_case(report / f"worst-{rank}-{case}.png", *files, predictions / f"{case}{ending}")
    return means(found)
