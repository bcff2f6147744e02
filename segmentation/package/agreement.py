"""The agreement of ``model.yaml`` with the network beside it: labels, channels, folds."""

from collections.abc import Iterator
from pathlib import Path

from core.errors import PackageInvalid
from core.model_config import ModelConfig
from core.yaml_problems import Location
from core.yaml_text import line_of
from segmentation.package.network_spec import PackageManifest


def check_agreement(path: Path, text: str, config: ModelConfig, manifest: PackageManifest) -> None:
    """Check that a ``model.yaml`` speaks of the network that lies beside it.

    Parameters
    ----------
    path, text, config
        The file, for errors; its content, and the same parsed.
    manifest
        The network.

    Raises
    ------
    PackageInvalid
        If it does not; one line for each problem, in the form of `core.model_problems`.
    """
    found = [
        f"{path}:{line_of(text, location)}: {'.'.join(map(str, location))}: {said}"
        for location, said in (*_labels(config, manifest), *_channels(config, manifest), *_folds(config, manifest))
    ]
    if found:
        raise PackageInvalid("\n".join(found))


def _labels(config: ModelConfig, manifest: PackageManifest) -> Iterator[tuple[Location, str]]:
    outputs = {value: name for name, value in manifest.labels.outputs.items()}
    known = ", ".join(f"{value} ({name})" for value, name in sorted(outputs.items()))
    for number, label in enumerate(config.labels):
        if label.value not in outputs:
            yield ("labels", number, "value"), f"the network has no label {label.value}; it has {known}"
    named = {label.value for label in config.labels}
    for value in sorted(outputs.keys() - named):
        yield ("labels",), f"the network's label {value} ({outputs[value]}) is missing; add it"


def _channels(config: ModelConfig, manifest: PackageManifest) -> Iterator[tuple[Location, str]]:
    if len(config.channels) != len(manifest.channels):
        names = ", ".join(manifest.channels)
        said = f"the network has {len(manifest.channels)}, in this order: {names}; {len(config.channels)} are listed"
        yield ("channels",), said


def _folds(config: ModelConfig, manifest: PackageManifest) -> Iterator[tuple[Location, str]]:
    for number, fold in enumerate(config.inference.folds):
        for configuration in manifest.configurations:
            held = [one.fold for one in configuration.folds]
            if fold not in held:
                said = f"{configuration.id} has no fold {fold}; it has {', '.join(map(str, held))}"
                yield ("inference", "folds", number), said
