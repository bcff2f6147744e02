"""The folders of a trained model: results folders, or their parent.

::

    DatasetXXX_Name/                                    the parent; also what the zip of an export holds
    ├── nnUNetTrainer__nnUNetPlans__3d_fullres/         a results folder
    │   ├── plans.json  dataset.json
    │   ├── fold_0/checkpoint_final.pth …
    │   └── crossval_results_folds_0_1_2_3_4/postprocessing.json
    ├── ensembles/ensemble___A___B___0_1_2_3_4/postprocessing.json
    └── inference_information.json                      which configuration or ensemble won
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import PackageInvalid
from segmentation.importing.plans import resolve_configuration

CHECKPOINT = "checkpoint_final.pth"
KEPT_JSON = ("plans.json", "dataset.json", "dataset_fingerprint.json", "postprocessing.json", "training_cases.json")
"""Files of a results folder that a package keeps. Others record where it was trained: host, paths, case names."""
MAX_JSON_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ResultsFolder:
    """One trained configuration as nnU-Net wrote it, in a folder ``TRAINER__PLANS__CONFIGURATION``.

    Attributes
    ----------
    dataset
        Name of the data set's folder, set if configurations of several data sets are combined.
    """

    path: Path
    dataset: str = ""

    @property
    def id(self) -> str:
        """The folder's name, below that of the data set if there are several."""
        return f"{self.dataset}/{self.path.name}" if self.dataset else self.path.name

    @property
    def trainer(self) -> str:
        """First part of the folder's name."""
        return self.path.name.split("__")[0]

    @property
    def plans_name(self) -> str:
        """Second part of the folder's name."""
        return self.path.name.split("__")[1]

    @property
    def configuration(self) -> str:
        """Last part of the folder's name."""
        return self.path.name.split("__")[2]

    def checkpoints(self) -> dict[int | str, Path]:
        """Find the final checkpoint of every fold; ``fold_all`` counts only if there is no other, as in nnU-Net.

        Raises
        ------
        PackageInvalid
            If there is none.
        """
        found: dict[int | str, Path] = {}
        for path in sorted(self.path.glob(f"fold_*/{CHECKPOINT}")):
            fold = path.parent.name.removeprefix("fold_")
            if fold.isdigit() or fold == "all":
                found[int(fold) if fold.isdigit() else fold] = path
        if len(found) > 1:
            found.pop("all", None)
        if not found:
            raise PackageInvalid(
                f"{self.path}: no fold_*/{CHECKPOINT}; training has not finished, or it was not copied"
            )
        return dict(sorted(found.items(), key=lambda item: str(item[0]).zfill(9)))


@dataclass(frozen=True)
class Selection:
    """The parts of a source that become a package.

    Attributes
    ----------
    members
        Configurations whose probabilities are averaged; one if the model is not an ensemble.
    previous_stages
        For each cascade among the members, by id, the configuration whose labels feed it.
    postprocessing
        ``postprocessing.json`` of the members' cross-validation, if there is one.
    pickled_postprocessing
        True if only a ``postprocessing.pkl`` was found, which is never read.
    """

    members: tuple[ResultsFolder, ...]
    previous_stages: dict[str, ResultsFolder]
    postprocessing: Path | None
    pickled_postprocessing: bool


def is_results_folder(path: Path) -> bool:
    """Return whether a folder has the name and files of nnU-Net's results of one configuration."""
    return path.name.count("__") == 2 and (path / "plans.json").is_file() and (path / "dataset.json").is_file()


def read_small(path: Path) -> bytes:
    """Read a file of at most ``MAX_JSON_BYTES``.

    Raises
    ------
    PackageInvalid
        If it cannot be read; the text names file and reason.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_JSON_BYTES + 1)
    except OSError as error:
        raise PackageInvalid(f"{path.name}: {error.strerror or error}") from error
    if len(content) > MAX_JSON_BYTES:
        raise PackageInvalid(f"{path.name}: larger than {MAX_JSON_BYTES} bytes")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    PackageInvalid
        If it cannot be read; the text names file and reason.
    """
    try:
        content = json.loads(read_small(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise PackageInvalid(f"{path.name}: {error}") from error
    if not isinstance(content, dict):
        raise PackageInvalid(f"{path.name}: not a JSON object")
    return content


def select(sources: Sequence[Path]) -> Selection:
    """Find members, previous stages and post-processing below folders that a person gave.

    Several folders make an ensemble (a cascade finds its first stage beside itself). A parent of several results
    folders is decided by its ``inference_information.json``, which ``nnUNetv2_find_best_configuration`` writes.

    Raises
    ------
    PackageInvalid
        If a folder is not a results folder, the choice among several is undecided, or a cascade lacks its first stage.
    """
    if len(sources) == 1 and not is_results_folder(sources[0]):
        members = _members_below(sources[0])
    else:
        members = tuple(ResultsFolder(path.resolve()) for path in sources)
    for member in members:
        if not is_results_folder(member.path):
            raise PackageInvalid(
                f"{member.path}: not a results folder of nnU-Net v2 "
                "(TRAINER__PLANS__CONFIGURATION with plans.json and dataset.json)"
            )
    stages = {m.id: stage for m in members if (stage := _previous_stage(m))}
    postprocessing, pickled = _postprocessing(members)
    return Selection(members, stages, postprocessing, pickled)


def _members_below(folder: Path) -> tuple[ResultsFolder, ...]:
    children = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [ResultsFolder(path.resolve()) for path in children if is_results_folder(path)]
    if not found:
        raise PackageInvalid(
            f"{folder}: neither a results folder of nnU-Net v2 (TRAINER__PLANS__CONFIGURATION with plans.json and "
            "dataset.json), nor a parent of one, nor an export zip"
        )
    information = folder / "inference_information.json"
    if information.is_file():
        return _winner(found, read_json(information))
    stages = {stage.id for member in found if (stage := _previous_stage(member))}
    candidates = [member for member in found if member.id not in stages]
    if len(candidates) > 1:
        names = ", ".join(member.id for member in candidates)
        raise PackageInvalid(
            f"{folder}: holds several models ({names}) and no inference_information.json says which one counts; "
            "give the results folder that you want, or several to average them"
        )
    return tuple(candidates)


def _winner(found: Sequence[ResultsFolder], information: dict[str, Any]) -> tuple[ResultsFolder, ...]:
    try:
        chosen = information["best_model_or_ensemble"]["selected_model_or_models"]
        ids = [f"{c['trainer']}__{c['plans_identifier']}__{c['configuration']}" for c in chosen]
    except (KeyError, TypeError) as error:
        raise PackageInvalid(f"inference_information.json: lacks {error}") from error
    by_id = {member.id: member for member in found}
    missing = [identifier for identifier in ids if identifier not in by_id]
    if missing or not ids:
        raise PackageInvalid(
            f"inference_information.json names {missing or 'no model'}, which the source does not hold"
        )
    return tuple(by_id[identifier] for identifier in ids)


def _previous_stage(member: ResultsFolder) -> ResultsFolder | None:
    plans = read_json(member.path / "plans.json")
    previous = resolve_configuration(plans, member.configuration).get("previous_stage")
    if previous is None:
        return None
    stage = ResultsFolder(member.path.with_name(f"{member.trainer}__{member.plans_name}__{previous}"))
    if not is_results_folder(stage.path):
        raise PackageInvalid(f"{member.id} is a cascade; its first stage {stage.id} must lie beside it")
    return stage


def _postprocessing(members: Sequence[ResultsFolder]) -> tuple[Path | None, bool]:
    if len(members) == 1:
        places = [members[0].path, *sorted(members[0].path.glob("crossval_results_folds_*"))]
    else:
        ensembles = sorted((members[0].path.parent / "ensembles").glob("ensemble___*"))
        ids = {member.id for member in members}
        places = [path for path in ensembles if set(path.name.split("___")[1:-1]) == ids]
    jsons = [place / "postprocessing.json" for place in places if (place / "postprocessing.json").is_file()]
    if len(jsons) > 1 and len({path.read_bytes() for path in jsons}) > 1:
        raise PackageInvalid(f"several postprocessing.json disagree: {', '.join(str(p.parent.name) for p in jsons)}")
    pickled = any((place / "postprocessing.pkl").is_file() for place in places)
    return (jsons[0] if jsons else None), pickled and not jsons
