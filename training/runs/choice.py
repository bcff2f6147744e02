"""The data set, plans and folds that a person names: found on disk, or refused with what there is."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import ConfigInvalid
from core.yaml_problems import close_to
from segmentation.importing.plans import resolve_configuration
from training.datasets import store as datasets
from training.runs.pretrained import check_pretrained
from training.runs.records import RunFolder, RunRequest, runs_in
from training.settings import TrainingSettings

_DATASET = re.compile(r"Dataset(\d{3})_(.+)")


def find_dataset(settings: TrainingSettings, said: str) -> str:
    """Return the full name of a data set, from that, its number, its title, or title and version (``NAME@VERSION``).

    Raises
    ------
    ConfigInvalid
        If there is none, or more than one.
    """
    if "@" in said:
        return datasets.find_dataset(said, settings.folders.raw).name
    known = {
        path.name
        for folder in (settings.folders.raw, settings.folders.preprocessed)
        for path in folder.glob("Dataset*_*")
        if _DATASET.fullmatch(path.name)
    }
    found = sorted(name for name in known if said in _names(name))
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigInvalid(f"{said}: these data sets have that name: {', '.join(found)}; give one whole")
    close = close_to(said, {word for name in known for word in _names(name)})
    remedy = f"did you mean {close}?" if close else f"there are: {', '.join(sorted(known)) or 'none'}"
    raise ConfigInvalid(f"{said}: no such data set in {settings.folders.raw}; {remedy}")


def _names(name: str) -> set[str]:
    match = _DATASET.fullmatch(name)
    return {name, match[1], str(int(match[1])), match[2]} if match else {name}


def read_plans(settings: TrainingSettings, dataset: str, plans: str) -> dict[str, Any]:
    """Read the plans of a data set.

    Raises
    ------
    ConfigInvalid
        If there are none, or they are damaged.
    """
    path = settings.folders.preprocessed / dataset / f"{plans}.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigInvalid(f"{dataset}: no {plans}; make them with: segnode train plan {dataset}") from error
    except ValueError as error:
        raise ConfigInvalid(f"{path}: damaged; plan again with: segnode train plan {dataset}") from error
    return content


def check_request(settings: TrainingSettings, request: RunRequest) -> None:
    """Refuse a run that nnU-Net could not do, or would do otherwise than it was asked for.

    Raises
    ------
    ConfigInvalid
        With what there is instead.
    """
    plans = read_plans(settings, request.dataset, request.plans)
    configurations = plans["configurations"]
    if request.configuration not in configurations:
        close = close_to(request.configuration, configurations)
        remedy = f"did you mean {close}?" if close else f"there are: {', '.join(configurations)}"
        raise ConfigInvalid(f"{request.configuration}: not a configuration of {request.plans}; {remedy}")
    chosen = resolve_configuration(plans, request.configuration)
    base = settings.folders.preprocessed / request.dataset
    data = base / chosen["data_identifier"]
    prepared = {path.name.removesuffix(".b2nd") for path in data.glob("*.b2nd") if not path.stem.endswith("_seg")}
    if not prepared:
        raise ConfigInvalid(f"{data}: no prepared case; make them with: segnode train plan {request.dataset}")
    _check_fold(base, request, prepared)
    _check_previous_stage(settings, request, chosen.get("previous_stage"), prepared)
    if request.devices > chosen["batch_size"]:
        raise ConfigInvalid(f"--devices {request.devices}: more than the plans' batch, which is {chosen['batch_size']}")
    if request.pretrained is not None:
        check_pretrained(settings, plans, request)
    output = request.output(settings.folders)
    if any(output.glob("checkpoint_*.pth")):
        raise ConfigInvalid(f"{output}: checkpoints of another training are here; move them away, or take other plans")


def _check_fold(base: Path, request: RunRequest, prepared: set[str]) -> None:
    if request.fold == "all":
        return
    splits: list[dict[str, list[str]]] = json.loads((base / "splits_final.json").read_text())
    if not splits:
        raise ConfigInvalid(f"{request.dataset}: too few patients for folds; train all cases with: --fold all")
    if request.fold >= len(splits):
        # nnU-Net would draw a split by itself, and say so in the middle of a log.
        raise ConfigInvalid(f"fold {request.fold}: the split of {request.dataset} has folds 0 to {len(splits) - 1}")
    split = splits[request.fold]
    missing = sorted({*split["train"], *split["val"]} - prepared)
    if missing:
        remedy = f"prepare them with: segnode train plan {request.dataset}"
        raise ConfigInvalid(f"{len(missing)} cases of the split are not prepared, such as {missing[0]}; {remedy}")


def _check_previous_stage(
    settings: TrainingSettings, request: RunRequest, previous: str | None, prepared: set[str]
) -> None:
    if previous is None:
        return
    model = f"{request.trainer}__{request.plans}__{previous}"
    folder = settings.folders.results / request.dataset / model / "predicted_next_stage" / request.configuration
    missing = sorted(prepared - {path.stem for path in folder.glob("*.b2nd")})
    if missing:
        raise ConfigInvalid(
            f"{request.configuration}: {previous} has not predicted {len(missing)} cases, such as {missing[0]}; train "
            f"all folds of {previous} first"
        )


def find_runs(settings: TrainingSettings, said: Sequence[str]) -> list[RunFolder]:
    """Return the runs whose names hold one of the texts, in the order of the names; all where none is given.

    Raises
    ------
    ConfigInvalid
        If a text is in no run's name.
    """
    known = runs_in(settings.folders.queue)
    for text in said:
        if not any(text in run.key for run in known):
            close = close_to(text, {part for run in known for part in (run.key, *run.key.split("__"))})
            remedy = f"did you mean {close}?" if close else "see: segnode train status"
            raise ConfigInvalid(f"{text}: no run has that in its name; {remedy}")
    return [run for run in known if not said or any(text in run.key for text in said)]
