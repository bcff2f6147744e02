"""Fingerprint, plans and split of a data set, by nnU-Net's own planners."""

import json
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from core.errors import ConfigInvalid
from core.files import replace_file
from training.folders import LOADERS, nnunet_environment
from training.preparation.own_words import printed_to
from training.preparation.raw import raw_cases
from training.settings import TrainingSettings

SPLITS = "splits_final.json"
_FINGERPRINT = "dataset_fingerprint.json"
OWN_WORDS = "planning.log"
"""All that nnU-Net's planner printed the last time."""
_SEED = 12345
"""nnU-Net's own, so that the split is the one that it would draw."""


class Planner(StrEnum):
    """nnU-Net's planners; the residual encoders by the GPU memory that they are made for."""

    DEFAULT = "default"
    RESENC_M = "resenc-m"
    RESENC_L = "resenc-l"
    RESENC_XL = "resenc-xl"


_CLASSES = {
    Planner.DEFAULT: "ExperimentPlanner",
    Planner.RESENC_M: "nnUNetPlannerResEncM",
    Planner.RESENC_L: "nnUNetPlannerResEncL",
    Planner.RESENC_XL: "nnUNetPlannerResEncXL",
}


def make_plans(
    settings: TrainingSettings, dataset: str, planner: Planner, gpu_memory_gb: float | None, processes: int
) -> tuple[str, dict[str, Any]]:
    """Extract the fingerprint unless it is known, plan, and fix the split.

    Parameters
    ----------
    dataset
        Whole name of a raw data set.
    gpu_memory_gb
        What a training may take; None for the planner's own.
    processes
        How many read images at a time.

    Returns
    -------
    tuple
        The plans' name, and the plans.

    Raises
    ------
    ConfigInvalid
        If nnU-Net finds the data set wanting, or the split names cases that it has not.
    """
    os.environ.update(nnunet_environment(settings.folders))
    if os.environ.get(LOADERS) == "0":
        os.environ[LOADERS] = "1"  # the planner takes it for a number of threads, which torch refuses if it is 0
    from nnunetv2.experiment_planning.experiment_planners import default_experiment_planner
    from nnunetv2.experiment_planning.experiment_planners.residual_unets import residual_encoder_unet_planners
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprint_dataset,
        plan_experiment_dataset,
    )

    raw, prepared = settings.folders.raw / dataset, settings.folders.preprocessed / dataset
    prepared.mkdir(exist_ok=True)
    number = int(dataset[len("Dataset") :][:3])
    kind = getattr(
        default_experiment_planner if planner is Planner.DEFAULT else residual_encoder_unet_planners, _CLASSES[planner]
    )
    fix_split(raw, prepared)
    words = prepared / OWN_WORDS
    try:
        with printed_to(words):
            if not _is_current(raw, prepared):
                extract_fingerprint_dataset(
                    number, num_processes=processes, check_dataset_integrity=True, show_progress_bar=False
                )
            _, name = plan_experiment_dataset(number, kind, gpu_memory_gb)
    except (RuntimeError, AssertionError, ValueError) as error:
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise ConfigInvalid(f"{dataset}: nnU-Net cannot plan it: {first[0]}; all it said: {words}") from error
    return name, json.loads((prepared / f"{name}.json").read_text())


def _is_current(raw: Path, prepared: Path) -> bool:
    """Return whether the fingerprint is younger than all that it was made of."""
    fingerprint = prepared / _FINGERPRINT
    if not fingerprint.exists():
        return False
    try:
        json.loads(fingerprint.read_text())
    except ValueError:
        return False  # nnU-Net was killed while it wrote it
    made = fingerprint.stat().st_mtime_ns
    files = [path for case in raw_cases(raw).values() for path in (*case.images, case.label)]
    parts = [raw / "dataset.json", *files]
    return all(part.stat().st_mtime_ns < made for part in parts)


def fix_split(raw: Path, prepared: Path) -> None:
    """Take the data set's own split, else draw nnU-Net's, before a training draws one and may be killed over it.

    Raises
    ------
    ConfigInvalid
        If the split names cases that the data set has not, or there are fewer than two cases.
    """
    cases = sorted(raw_cases(raw))
    place = prepared / SPLITS
    own = raw / SPLITS
    if own.exists():
        content = json.loads(own.read_text())
    elif place.exists():
        content = json.loads(place.read_text())
    else:
        content = _draw(cases)
    named = {case for split in content for case in (*split["train"], *split["val"])}
    if unknown := sorted(named - set(cases)):
        source = own if own.exists() else place
        raise ConfigInvalid(f"{source}: {len(unknown)} cases are not in the data set, such as {unknown[0]}; correct it")
    replace_file(place, (json.dumps(content, indent=1) + "\n").encode())


def _draw(cases: Sequence[str]) -> list[Mapping[str, list[str]]]:
    if len(cases) < 2:
        raise ConfigInvalid("a data set of fewer than two cases leaves nothing to validate on; register more")
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    drawn = generate_crossval_split(sorted(cases), seed=_SEED, n_splits=min(5, len(cases)))
    return [{side: [str(case) for case in split[side]] for side in ("train", "val")} for split in drawn]
