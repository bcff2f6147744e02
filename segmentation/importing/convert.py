"""The conversion of results folders to a package's sealed part: JSON copied, weights converted, plans normalised."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from core.errors import PackageInvalid
from segmentation.importing.checkpoints import Checkpoint, read_checkpoint
from segmentation.importing.plans import (
    orientation_of,
    read_channels,
    read_labels,
    read_network,
    read_normalisation,
    read_resampling,
    refuse_unknown_parts,
    resolve_configuration,
)
from segmentation.importing.results_folder import ResultsFolder
from segmentation.importing.selection import Selection
from segmentation.importing.source_files import KEPT_JSON, read_json, read_small
from segmentation.package.hashes import sha256_of_file
from segmentation.package.network import build_network, check_weights, shared_names
from segmentation.package.network_spec import Configuration, Fold, Labels, NetworkSpec, PackageManifest, Part
from segmentation.package.weights import write_weights

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PartSource:
    """A results folder that becomes a part of a composite.

    Attributes
    ----------
    folder
        The folder, with its data set's name, which distinguishes it from the other parts.
    names
        The composite's value for each name of the composite that this part finds.
    values
        The composite's value for each value of the part.
    """

    folder: ResultsFolder
    names: Mapping[str, int]
    values: dict[int, int]


def convert(selection: Selection, target: Path, on_progress: Callable[[float], None] | None = None) -> PackageManifest:
    """Write ``nnunet/`` and ``weights/`` of a package below ``target`` and return the manifest that describes them.

    Parameters
    ----------
    on_progress
        Called with the fraction of checkpoints that are converted.

    Raises
    ------
    PackageInvalid
        If a part is damaged, unsafe or not supported, or the members do not belong together.
    """
    folders = selection.folders
    datasets = {identifier: read_json(folder.path / "dataset.json") for identifier, folder in folders.items()}
    labels, channels = _common(datasets)
    step = _counter(folders.values(), on_progress)
    originals: dict[str, str] = {}
    configurations = []
    for identifier, folder in folders.items():
        stage = selection.previous_stages.get(identifier)
        kept = _kept_json(folder)
        if selection.postprocessing and identifier == selection.members[0].id:
            kept[selection.postprocessing.name] = selection.postprocessing
        originals |= _keep(list(kept.values()), target / "nnunet" / identifier, identifier)
        configuration = _convert_configuration(folder, labels, channels, stage.id if stage else None, target, step)
        originals |= _originals(configuration)
        configurations.append(configuration)
    try:
        return PackageManifest(
            channels=channels,
            labels=labels,
            configurations=tuple(configurations),
            members=tuple(member.id for member in selection.members),
            originals=originals,
        )
    except ValidationError as error:
        raise PackageInvalid(f"the configurations do not make one model: {error.errors()[0]['msg']}") from error


def convert_parts(
    sources: Sequence[PartSource], target: Path, on_progress: Callable[[float], None] | None = None
) -> PackageManifest:
    """Write ``nnunet/`` and ``weights/`` of a composite below ``target`` and return the manifest that describes it.

    Parameters
    ----------
    sources
        The parts in the order in which they are merged, later ones over earlier ones.
    on_progress
        Called with the fraction of checkpoints that are converted.

    Raises
    ------
    PackageInvalid
        If a part is damaged, unsafe or not supported, or has other labels or channels than the composite needs.
    """
    _refuse_repeated(sources)
    step = _counter([source.folder for source in sources], on_progress)
    originals: dict[str, str] = {}
    configurations, parts, channels = [], [], []
    for source in sources:
        folder, dataset = source.folder, read_json(source.folder.path / "dataset.json")
        labels, inputs = read_labels(dataset), read_channels(dataset)
        kept = _kept_json(folder)
        originals |= _keep(list(kept.values()), target / "nnunet" / folder.id, folder.id)
        configuration = _convert_configuration(folder, labels, inputs, None, target, step)
        originals |= _originals(configuration)
        configurations.append(configuration)
        channels.append(inputs)
        parts.append(Part(configuration=folder.id, labels=labels, values=source.values))
    if len(set(channels)) > 1:
        raise PackageInvalid(f"dataset.json of {', '.join(c.id for c in configurations)} differ in channels")
    names = {name: value for source in sources for name, value in source.names.items()}
    try:
        return PackageManifest(
            channels=channels[0],
            labels=Labels(values={"background": 0, **names}),
            configurations=tuple(configurations),
            members=tuple(c.id for c in configurations),
            parts=tuple(parts),
            originals=originals,
        )
    except ValidationError as error:
        raise PackageInvalid(f"the parts do not make one model: {error.errors()[0]['msg']}") from error


def _refuse_repeated(sources: Sequence[PartSource]) -> None:
    """Refuse parts of one name, and a label that two parts find: the later would hide the earlier in silence."""
    ids = [source.folder.id for source in sources]
    labels = [name for source in sources for name in source.names]
    values = [str(value) for source in sources for value in source.names.values()]
    for what, found in (("part", ids), ("label", labels), ("value", values)):
        repeated = sorted({one for one in found if found.count(one) > 1})
        if repeated:
            raise PackageInvalid(f"two parts of the composite have the {what} {', '.join(repeated)}")


def _counter(folders: Iterable[ResultsFolder], on_progress: Callable[[float], None] | None) -> Callable[[], None]:
    """Build the function that is called for each converted checkpoint and reports the fraction that is done."""
    count = sum(len(folder.checkpoints()) for folder in folders)
    converted = 0

    def step() -> None:
        nonlocal converted
        converted += 1
        if on_progress:
            on_progress(converted / count)

    return step


def _kept_json(folder: ResultsFolder) -> dict[str, Path]:
    return {name: folder.path / name for name in KEPT_JSON if (folder.path / name).is_file()}


def _originals(configuration: Configuration) -> dict[str, str]:
    return {f"{configuration.id}/{fold.checkpoint}": fold.checkpoint_sha256 for fold in configuration.folds}


def _common(datasets: dict[str, dict[str, Any]]) -> tuple[Labels, tuple[str, ...]]:
    parts = [(read_labels(dataset), read_channels(dataset)) for dataset in datasets.values()]
    if any(part != parts[0] or list(part[0].values) != list(parts[0][0].values) for part in parts):
        said = "; ".join(
            f"{identifier}: {dict(labels.values)}, channels {', '.join(channels)}"
            for identifier, (labels, channels) in zip(datasets, parts, strict=True)
        )
        raise PackageInvalid(
            f"dataset.json of {', '.join(datasets)} differ in labels or channels, whose probabilities cannot be "
            f"averaged: {said}"
        )
    return parts[0]


def _keep(files: Sequence[Path], folder: Path, identifier: str) -> dict[str, str]:
    folder.mkdir(parents=True)
    for path in files:
        (folder / path.name).write_bytes(read_small(path))
    return {f"{identifier}/{path.name}": sha256_of_file(folder / path.name) for path in files}


def _convert_configuration(
    folder: ResultsFolder,
    labels: Labels,
    channels: tuple[str, ...],
    previous: str | None,
    target: Path,
    step: Callable[[], None],
) -> Configuration:
    plans = read_json(folder.path / "plans.json")
    try:
        configuration = resolve_configuration(plans, folder.configuration)
        refuse_unknown_parts(plans, configuration)
        reader, _ = orientation_of(plans)
        inputs = len(channels) + (len(labels.foreground_values) if previous else 0)
        heads = len(labels.outputs) + (0 if labels.has_regions else 1)
        network = read_network(configuration, inputs, heads)
        folds, checkpoint = _convert_folds(folder, network, target, step)
        return Configuration(
            id=folder.id,
            name=folder.configuration,
            trainer=checkpoint.trainer,
            plans=folder.plans_name,
            reader=reader,
            patch_size=configuration["patch_size"],
            spacing=configuration["spacing"],
            transpose_forward=plans["transpose_forward"],
            transpose_backward=plans["transpose_backward"],
            normalisation=read_normalisation(plans, configuration, len(channels)),
            resampling_data=read_resampling(configuration, "data"),
            resampling_seg=read_resampling(configuration, "seg"),
            resampling_probabilities=read_resampling(configuration, "probabilities"),
            network=network,
            mirror_axes=checkpoint.mirror_axes,
            folds=folds,
            previous_stage=previous,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PackageInvalid(f"{folder.id}/plans.json: {where}: {first['msg']}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise PackageInvalid(f"{folder.id}/plans.json: {error!r}") from error
    except PackageInvalid as error:
        raise PackageInvalid(f"{folder.id}: {error}") from error


def _convert_folds(
    folder: ResultsFolder, spec: NetworkSpec, target: Path, step: Callable[[], None]
) -> tuple[tuple[Fold, ...], Checkpoint]:
    network = build_network(spec, device="meta")
    aliases = shared_names(network)
    folds = []
    first: Checkpoint | None = None
    for fold, path in folder.checkpoints().items():
        name = f"{path.parent.name}/{path.name}"
        checkpoint = read_checkpoint(path)
        said = (checkpoint.trainer, checkpoint.configuration, checkpoint.mirror_axes)
        first = first or checkpoint
        if said != (first.trainer, first.configuration, first.mirror_axes):
            raise PackageInvalid(f"{name}: {_made_by(checkpoint)}, and the first fold {_made_by(first)}")
        check_weights(network, checkpoint.weights, f"{name} of trainer {checkpoint.trainer}")
        stored = Path("weights") / folder.id / f"fold_{fold}.safetensors"
        (target / stored).parent.mkdir(parents=True, exist_ok=True)
        write_weights(_as_built(network, checkpoint.weights), aliases, target / stored)
        folds.append(Fold(fold=fold, file=stored.as_posix(), checkpoint=name, checkpoint_sha256=sha256_of_file(path)))
        step()
    assert first is not None  # noqa: S101 - checkpoints() refuses a folder without one
    return tuple(folds), first


def _made_by(checkpoint: Checkpoint) -> str:
    return f"is of {checkpoint.trainer}, {checkpoint.configuration}, mirrored along {checkpoint.mirror_axes}"


def _as_built(network: "torch.nn.Module", weights: Mapping[str, "torch.Tensor"]) -> dict[str, "torch.Tensor"]:
    """Return the weights in the network's precision: half floats take half the disk, and no network runs in them."""
    expected = network.state_dict()
    return {name: tensor.to(expected[name].dtype) for name, tensor in weights.items()}
