"""The choice of what becomes a package among the folders that a person gave."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import PackageInvalid
from segmentation.importing.plans import resolve_configuration
from segmentation.importing.results_folder import (
    CheckpointKind,
    ResultsFolder,
    is_results_folder,
    results_below,
)
from segmentation.importing.source_files import read_json, refuse_nnunet_v1

INFORMATION = "inference_information.json"
LISTED = 20
"""Folders that a refusal lists."""
_DEPTH = 4
_WANTED = "a results folder of nnU-Net v2 (TRAINER__PLANS__CONFIGURATION or any name, with plans.json and dataset.json)"


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
    missing
        What ``inference_information.json`` names beside the members, and the source does not hold.
    """

    members: tuple[ResultsFolder, ...]
    previous_stages: dict[str, ResultsFolder]
    postprocessing: Path | None
    pickled_postprocessing: bool
    missing: tuple[str, ...] = ()

    @property
    def folders(self) -> dict[str, ResultsFolder]:
        """Every configuration by its id, the members first."""
        return {folder.id: folder for folder in (*self.members, *self.previous_stages.values())}


def select(sources: Sequence[Path], kind: CheckpointKind = "final", configurations: Sequence[str] = ()) -> Selection:
    """Find members, previous stages and post-processing below folders that a person gave.

    Several folders make an ensemble (a cascade finds its first stage beside itself). A parent of several results
    folders is decided by ``configurations``, else by its ``inference_information.json``, which
    ``nnUNetv2_find_best_configuration`` writes.

    Parameters
    ----------
    kind
        The checkpoint that is taken of each fold.
    configurations
        Names of configurations, or of folders, that are taken of a parent.

    Raises
    ------
    PackageInvalid
        If a folder is not a results folder, the choice among several is undecided, two folders cannot be told apart, or
        a cascade lacks its first stage.
    """
    missing: tuple[str, ...] = ()
    if len(sources) == 1 and not is_results_folder(sources[0]):
        members, missing = _members_below(sources[0], kind, configurations)
    else:
        members = tuple(ResultsFolder(path.resolve(), kind) for path in sources)
        if configurations:
            members = _named(members, configurations, "the folders given")
    for member in members:
        if not is_results_folder(member.path):
            refuse_nnunet_v1(member.path)
            raise PackageInvalid(f"{member.path}: not {_WANTED}")
    members = _told_apart(members)
    stages = {member.id: stage for member in members if (stage := _previous_stage(member))}
    _told_apart((*members, *{stage.path: stage for stage in stages.values() if stage not in members}.values()))
    postprocessing, pickled = _postprocessing(members)
    return Selection(members, stages, postprocessing, pickled, missing)


def _told_apart(members: tuple[ResultsFolder, ...]) -> tuple[ResultsFolder, ...]:
    """Name each by data set and folder where the folder alone does not tell.

    Raises
    ------
    PackageInvalid
        If a folder is given twice, or two folders have one name in data sets of one name.
    """
    twice = [path for path, count in Counter(member.path for member in members).items() if count > 1]
    if twice:
        raise PackageInvalid(f"{twice[0]}: given twice; give each folder once")
    if len({member.id for member in members}) < len(members):
        members = tuple(replace(member, dataset=member.dataset_name) for member in members)
    for identifier, count in Counter(member.id for member in members).items():
        if count > 1:
            held = ", ".join(str(member.path) for member in members if member.id == identifier)
            raise PackageInvalid(
                f"{count} folders have the name {identifier}, and cannot be told apart: {held}; rename one of them, "
                "any name will do"
            )
    return members


def _members_below(
    folder: Path, kind: CheckpointKind, configurations: Sequence[str]
) -> tuple[tuple[ResultsFolder, ...], tuple[str, ...]]:
    found = [ResultsFolder(path.resolve(), kind) for path in results_below(folder, 1)]
    if not found:
        raise _nothing_in(folder)
    if configurations:
        return _named(found, configurations, str(folder)), ()
    information = folder / INFORMATION
    if information.is_file():
        return _winner(folder, found, read_json(information))
    stages = {stage.id for member in found if len(found) > 1 and (stage := _previous_stage(member))}
    candidates = [member for member in found if member.id not in stages]
    if len(candidates) > 1:
        names = ", ".join(member.id for member in candidates)
        raise PackageInvalid(
            f"{folder}: holds several models ({names}) and no {INFORMATION} says which one counts; choose by "
            "--configuration, or give the results folder that you want, or several to average them"
        )
    return tuple(candidates), ()


def _nothing_in(folder: Path) -> PackageInvalid:
    deeper = results_below(folder, _DEPTH)
    if not deeper:
        if folder.is_dir():
            refuse_nnunet_v1(folder)
        return PackageInvalid(f"{folder}: neither {_WANTED}, nor a parent of one, nor an export zip")
    listed = [f"  {path}" for path in deeper[:LISTED]]
    if len(deeper) > LISTED:
        listed.append(f"  and {len(deeper) - LISTED} more")
    return PackageInvalid(
        f"{folder}: holds no results folder itself, but there are {len(deeper)} below it; give one of these, several "
        "to average them, or the folder of one data set:\n" + "\n".join(listed)
    )


def _named(found: Sequence[ResultsFolder], names: Sequence[str], where: str) -> tuple[ResultsFolder, ...]:
    chosen = []
    for name in names:
        fitting = [member for member in found if name in (member.path.name, member.configuration)]
        if len(fitting) != 1:
            held = ", ".join(f"{member.path.name} ({member.configuration})" for member in found)
            many = "no folder is" if not fitting else f"{len(fitting)} folders are"
            raise PackageInvalid(
                f"{where}: {many} of configuration {name}; there is: {held}; a folder's name chooses, too"
            )
        chosen.append(fitting[0])
    return tuple(chosen)


def _winner(
    folder: Path, found: Sequence[ResultsFolder], information: dict[str, Any]
) -> tuple[tuple[ResultsFolder, ...], tuple[str, ...]]:
    """Return the members that the file names, and the names of those that are not there.

    Raises
    ------
    PackageInvalid
        If the file cannot be read, or names what is not there beside several that are.
    """
    try:
        chosen = information["best_model_or_ensemble"]["selected_model_or_models"]
        ids = [(str(c["trainer"]), str(c["plans_identifier"]), str(c["configuration"])) for c in chosen]
    except (KeyError, TypeError) as error:
        raise PackageInvalid(f"{INFORMATION}: lacks {error}; choose by --configuration") from error
    by_id = {(member.trainer, member.plans_name, member.configuration): member for member in found}
    missing = tuple("__".join(identifier) for identifier in ids if identifier not in by_id)
    members = tuple(by_id[identifier] for identifier in ids if identifier in by_id)
    if not missing and members:
        return members, ()
    if len(found) == 1:
        # An export of one member of the ensemble that won: nothing else is there to choose.
        return (found[0],), missing
    held = ", ".join(f"{member.path.name} ({member.configuration})" for member in found)
    raise PackageInvalid(
        f"{folder}: {INFORMATION} names {', '.join(missing) or 'no model'}, which the source does not hold; "
        f"choose by --configuration; there is: {held}"
    )


def _previous_stage(member: ResultsFolder) -> ResultsFolder | None:
    plans = read_json(member.path / "plans.json")
    previous = resolve_configuration(plans, member.configuration).get("previous_stage")
    if previous is None:
        return None
    wanted = (member.trainer, member.plans_name, previous)
    usual = member.path.with_name("__".join(map(str, wanted)))
    beside = [usual] if is_results_folder(usual) else results_below(member.path.parent, 1)
    for path in beside:
        stage = replace(member, path=path)
        if path != member.path and (stage.trainer, stage.plans_name, stage.configuration) == wanted:
            return stage
    raise PackageInvalid(f"{member.id} is a cascade; its first stage {usual.name} must lie beside it")


def _postprocessing(members: Sequence[ResultsFolder]) -> tuple[Path | None, bool]:
    if len(members) == 1:
        places = [members[0].path, *sorted(members[0].path.glob("crossval_results_folds_*"))]
    else:
        ensembles = sorted((members[0].path.parent / "ensembles").glob("ensemble___*"))
        names = {member.path.name for member in members}
        alone = len({member.path.parent for member in members}) == 1
        places = [path for path in ensembles if alone and set(path.name.split("___")[1:-1]) == names]
    jsons = [place / "postprocessing.json" for place in places if (place / "postprocessing.json").is_file()]
    if len(jsons) > 1 and len({path.read_bytes() for path in jsons}) > 1:
        raise PackageInvalid(f"several postprocessing.json disagree: {', '.join(str(p.parent.name) for p in jsons)}")
    pickled = any((place / "postprocessing.pkl").is_file() for place in places)
    return (jsons[0] if jsons else None), pickled and not jsons
