"""A model package of what was trained here: the lock of the data set answers what nnU-Net does not know."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from core.errors import ConfigInvalid
from core.files import replace_file
from segmentation.importing.add import add_package
from segmentation.package.golden_results import Outcome
from segmentation.package.package import MODEL_YAML, Package, open_package
from segmentation.verification.golden_case import run_golden_case
from training.datasets.lock import LOCK, DatasetLock, read_lock
from training.preparation.raw import raw_cases
from training.promotion.prediction import predict_case
from training.runs.checkpoints import FINAL
from training.settings import TrainingSettings

WON = "inference_information.json"
_TRIES = 3
"""Cases that are predicted in search of one whose mask holds a label."""


@dataclass(frozen=True)
class Packaged:
    """A new package, and the golden case that it was proven by; None where no case shows a label."""

    package: Package
    case: str
    outcome: Outcome | None


def chosen_members(settings: TrainingSettings, dataset: str, configurations: Sequence[str]) -> list[Path]:
    """Return the results folders that a package is made of.

    Parameters
    ----------
    configurations
        As a person names them, by configuration or folder; empty for the winner of ``best``, or the only one there is.

    Raises
    ------
    ConfigInvalid
        If nothing is trained to its end, or the choice among several is open.
    """
    base = settings.folders.results / dataset
    there = {path.name: path for path in sorted(base.glob("*__*__*")) if any(path.glob(f"fold_*/{FINAL}"))}
    if not there:
        raise ConfigInvalid(f"{dataset}: no training has ended yet; see: segnode train status")
    if configurations:
        return [_one(there, said) for said in configurations]
    if (base / WON).is_file():
        won = json.loads((base / WON).read_text())["best_model_or_ensemble"]["selected_model_or_models"]
        return [_one(there, "__".join((m["trainer"], m["plans_identifier"], m["configuration"]))) for m in won]
    if len(there) > 1:
        raise ConfigInvalid(
            f"{dataset}: several models are trained: {', '.join(there)}; compare them with: segnode train best "
            f"{dataset}, or choose by --configuration"
        )
    return list(there.values())


def _one(there: Mapping[str, Path], said: str) -> Path:
    fitting = [path for name, path in there.items() if said in (name, name.rpartition("__")[2])]
    if len(fitting) != 1:
        raise ConfigInvalid(f"{said}: {len(fitting) or 'no'} trained models have that name: {', '.join(there)}")
    return fitting[0]


def make_package(
    settings: TrainingSettings,
    dataset: str,
    members: Sequence[Path],
    name: str,
    models: Path,
    on_progress: Callable[[float], None] | None = None,
) -> Packaged:
    """Import trained models as a package, answer its questions from the data set's lock, and prove it.

    Parameters
    ----------
    members
        Results folders; several are averaged.
    name, models
        Of the package, and the folder that gets it.

    Raises
    ------
    PackageInvalid
        If the models cannot be imported, or the golden case fails.
    ConfigInvalid
        If the name is taken or not usable.
    """
    package = add_package(list(members) if len(members) > 1 else members[0], name, models, on_progress)
    raw = settings.folders.raw / dataset
    if (raw / LOCK).exists():
        answer(package.folder / MODEL_YAML, read_lock(raw))
        package = open_package(package.folder)
    case, outcome = _prove(package, members, raw)
    return Packaged(package, case, outcome)


def answer(path: Path, lock: DatasetLock) -> None:
    """Put what the lock knows into a ``model.yaml``: orientation, channels with units and series, labels with codes.

    Questions about parts that the lock does not know stay as they are.
    """
    known: dict[str, Any] = {"orientation": lock.orientation}
    if all(channel.series is not None for channel in lock.channels):
        keys = {"name", "unit", "series"}
        known["channels"] = [one.model_dump(mode="json", include=keys, exclude_defaults=True) for one in lock.channels]
        if len(lock.channels) > 1:
            known["on_other_grid"] = lock.on_other_grid
    if not lock.regions:
        known["labels"] = [label.model_dump(mode="json", exclude_none=True) for label in lock.labels]
    replaced = []
    origin = f"# From the lock of the data set {lock.name}, version {lock.short_version}."
    for section in _sections(path.read_text(encoding="utf-8")):
        key = next((line.partition(":")[0] for line in section if line[:1].isalpha()), "")
        if key in known:
            dumped = yaml.safe_dump({key: known[key]}, sort_keys=False, allow_unicode=True)
            section = [origin, *dumped.rstrip("\n").split("\n")]
        replaced.append(section)
    replace_file(path, ("\n".join(line for section in replaced for line in section) + "\n").encode())


def _sections(text: str) -> list[list[str]]:
    """Cut a template into its keys of the first level, each with the comments before it."""
    sections: list[list[str]] = [[]]
    has_key = False
    for line in text.rstrip("\n").split("\n"):
        starts = line[:1].isalpha() or line.startswith("#") or not line.strip()
        if starts and has_key:
            sections.append([])
            has_key = False
        has_key = has_key or line[:1].isalpha()
        sections[-1].append(line)
    return sections


def _prove(package: Package, members: Sequence[Path], raw: Path) -> tuple[str, Outcome | None]:
    """Run the package against stock nnU-Net's own prediction of a small case that shows a label."""
    cases = sorted(raw_cases(raw).items(), key=lambda item: item[1].images[0].stat().st_size)
    for name, case in cases[:_TRIES]:
        with tempfile.TemporaryDirectory() as work:
            expected = predict_case(members, case.images, Path(work))
            if _shows_a_label(expected):
                return name, run_golden_case(package, case.images, expected)
    return "", None


def _shows_a_label(path: Path) -> bool:
    import SimpleITK as sitk

    return bool((sitk.GetArrayViewFromImage(sitk.ReadImage(str(path))) > 0).any())
