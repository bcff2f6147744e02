"""The best configuration or ensemble of what was trained on a data set, with its post-processing, by nnU-Net's code."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ConfigInvalid
from training.folders import nnunet_environment
from training.settings import TrainingSettings

VALIDATION = Path("validation") / "summary.json"


@dataclass(frozen=True)
class TrainedModel:
    """A results folder.

    Attributes
    ----------
    path
        ``TRAINER__PLANS__CONFIGURATION``.
    folds
        Those that are trained and validated.
    has_probabilities
        Ensembles can be made of it.
    """

    path: Path
    folds: tuple[int, ...]
    has_probabilities: bool

    @property
    def parts(self) -> dict[str, str]:
        """Trainer, plans and configuration, as nnU-Net's functions take them."""
        return dict(zip(("trainer", "plans", "configuration"), self.path.name.split("__"), strict=True))


@dataclass(frozen=True)
class Best:
    """The winner of a cross-validation.

    Attributes
    ----------
    scores
        Mean Dice of each model and ensemble in the cross-validation.
    members
        Results folders of the winner.
    predictions
        Folder of its cross-validated masks, after post-processing.
    before, after
        Its mean Dice without and with post-processing.
    """

    scores: dict[str, float]
    members: tuple[Path, ...]
    predictions: Path
    before: float
    after: float


def trained_models(settings: TrainingSettings, dataset: str) -> list[TrainedModel]:
    """Return the models of a data set that have a validated fold."""
    found = []
    for path in sorted((settings.folders.results / dataset).glob("*__*__*")):
        folds = [fold for fold in path.glob("fold_[0-9]*") if (fold / VALIDATION).is_file()]
        if folds and len(path.name.split("__")) == 3:
            numbers = tuple(sorted(int(fold.name.removeprefix("fold_")) for fold in folds))
            found.append(TrainedModel(path, numbers, all(any(fold.glob("validation/*.npz")) for fold in folds)))
    return found


def find_best(settings: TrainingSettings, dataset: str, folds: Sequence[int], processes: int) -> Best:
    """Compare all models of a data set that have all folds, and ensembles of two.

    nnU-Net raises where a configuration that is named has no results, so only those that have them are.

    Parameters
    ----------
    folds
        Of the cross-validation.

    Raises
    ------
    ConfigInvalid
        If no model has all folds, or nnU-Net cannot compare them.
    """
    known = trained_models(settings, dataset)
    complete = [model for model in known if set(folds) <= set(model.folds)]
    if not complete:
        held = "; ".join(f"{model.path.name}: {list(model.folds)}" for model in known) or "nothing is validated yet"
        raise ConfigInvalid(
            f"{dataset}: no model has the folds {list(folds)}; {held}; train the others, or give --fold"
        )
    os.environ.update(nnunet_environment(settings.folders))
    from nnunetv2.evaluation.find_best_configuration import find_best_configuration

    ensembles = len(complete) > 1 and all(model.has_probabilities for model in complete)
    try:
        with redirect_stdout(sys.stderr):
            result = find_best_configuration(
                dataset,
                tuple(model.parts for model in complete),
                allow_ensembling=ensembles,
                num_processes=processes,
                overwrite=True,
                folds=tuple(folds),
            )
    except (RuntimeError, AssertionError, LookupError, ValueError) as error:
        raise ConfigInvalid(f"{dataset}: nnU-Net cannot compare them: {error}") from error
    return _best(settings, dataset, result, folds)


def _best(settings: TrainingSettings, dataset: str, result: dict[str, Any], folds: Sequence[int]) -> Best:
    won = result["best_model_or_ensemble"]
    base = settings.folders.results / dataset
    members = tuple(
        base / "__".join((one["trainer"], one["plans_identifier"], one["configuration"]))
        for one in won["selected_model_or_models"]
    )
    return Best(
        scores={name: float(score) for name, score in result["all_results"].items()},
        members=members,
        predictions=Path(won["postprocessing_file"]).parent / "postprocessed",
        before=float(won["result_on_crossval_pre_pp"]),
        after=float(won["result_on_crossval_post_pp"]),
    )


def folds_of(settings: TrainingSettings, dataset: str, wanted: Iterable[int]) -> tuple[int, ...]:
    """Return the folds that are wanted, or all of the split where none is named.

    Raises
    ------
    ConfigInvalid
        If the data set has no split yet.
    """
    if chosen := tuple(sorted(set(wanted))):
        return chosen
    path = settings.folders.preprocessed / dataset / "splits_final.json"
    if not path.exists():
        raise ConfigInvalid(f"{dataset}: it has no split yet; make it with: segnode train plan {dataset}")
    return tuple(range(len(json.loads(path.read_text()))))
