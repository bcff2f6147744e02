"""The facts of a run in MLflow's words: parameters, tags, small files. Nothing of a patient is among them.

Only keys that are named here leave: a ``dataset.json`` of another's may list its cases, and a path may be a name.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.datasets.lock import LOCK, DatasetLock
from training.runs.journal import FACTS, Journal
from training.runs.records import RunFolder, RunRequest, State
from training.settings import Folders

TOKEN = "segnode.token"  # noqa: S105 - the name of a tag
STATUS = {State.DONE: "FINISHED", State.FAILED: "FAILED", State.STOPPED: "KILLED"}
"""MLflow's word for each state; of any other, RUNNING."""

_DESCRIPTION = ("channel_names", "labels", "regions_class_order", "numTraining", "file_ending")
_SETTINGS = (
    "epochs",
    "iterations",
    "initial_learning_rate",
    "weight_decay",
    "oversample_foreground",
    "deep_supervision",
    "batch_size",
    "patch_size",
    "spacing",
    "mirror_axes",
)
_VALUE_AT_MOST = 500


def parameters(request: RunRequest, facts: Mapping[str, Any], lock: DatasetLock | None) -> dict[str, str]:
    """Return the run's parameters, which never change."""
    found: dict[str, Any] = {
        "dataset": request.dataset,
        "dataset_version": lock.version if lock is not None else "unknown",
        "configuration": request.configuration,
        "fold": request.fold,
        "trainer": request.trainer,
        "plans": request.plans,
        "devices": request.devices,
        "begins_with": "pretrained weights" if request.pretrained is not None else "random weights",
    }
    found |= {key: facts[key] for key in _SETTINGS if key in facts}
    return {key: str(value)[:_VALUE_AT_MOST] for key, value in found.items()}


def tags(run: RunFolder, request: RunRequest, facts: Mapping[str, Any]) -> dict[str, str]:
    """Return what may differ when the run goes on elsewhere: device and versions; and how often it began."""
    environment: Mapping[str, str] = facts.get("environment", {})
    found = {f"environment.{key}": str(value) for key, value in environment.items()}
    found |= {"device": str(facts.get("device", "")), "starts": str(run.progress().starts)}
    return found | {"segnode.model": request.model, "segnode.fold": str(request.fold)}


def small_files(folders: Folders, run: RunFolder, request: RunRequest) -> dict[str, bytes]:
    """Return files of the run, by their path in MLflow: plans, data set and its lock, what the training said of itself.

    The picture of its curves is among them as soon as nnU-Net drew it.
    """
    prepared, raw = folders.preprocessed / request.dataset, folders.raw / request.dataset
    found = {
        f"plans/{request.plans}.json": _read(prepared / f"{request.plans}.json"),
        "dataset/dataset.lock": _read(raw / LOCK),
        "training.json": _read(run.path / FACTS),
        "progress.png": _read(request.output(folders) / "progress.png"),
    }
    if description := _read(prepared / "dataset.json"):
        kept = {key: value for key, value in json.loads(description).items() if key in _DESCRIPTION}
        found["dataset/dataset.json"] = (json.dumps(kept, indent=1) + "\n").encode()
    return {path: content for path, content in found.items() if content}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def metric_name(name: str) -> str:
    """Return a name that MLflow takes: of other characters than its own each becomes an underscore."""
    return "".join(one if (one.isalnum() and one.isascii()) or one in "_-. /" else "_" for one in name)


def epoch_metrics(run: RunFolder, offset: int, at_most: int) -> tuple[list[tuple[str, float, int, int]], int]:
    """Return metrics of epochs that were not sent, as name, value, time in ms and step; and the place after them.

    Parameters
    ----------
    offset
        Place in ``epochs.jsonl`` up to which they were.
    at_most
        About how many; whole epochs, at least one.
    """
    found: list[tuple[str, float, int, int]] = []
    for line, after in Journal(run.path).lines_from(offset):
        values = [(metric_name(name), float(value)) for name, value in line["values"].items()]
        if found and len(found) + len(values) > at_most:
            break
        found += [(name, value, int(line["when_ms"]), int(line["epoch"])) for name, value in values]
        offset = after
    return found, offset
