"""The import of a results folder or its zip as a sealed package."""

from collections.abc import Callable, Sequence
from pathlib import Path

from core.errors import PackageInvalid
from segmentation.importing.convert import convert
from segmentation.importing.export_zip import extract_export
from segmentation.importing.model_yaml_draft import write_model_yaml
from segmentation.importing.results_folder import CheckpointKind
from segmentation.importing.selection import select
from segmentation.importing.source_files import read_json
from segmentation.package.network_spec import PackageManifest
from segmentation.package.package import MODEL_YAML, Package
from segmentation.package.store import assemble

_OF_ANOTHER_FORM = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError)
"""Errors of reading a value of another kind than nnU-Net's; plans have too many values to check each beforehand."""


def add_package(
    source: Path | Sequence[Path],
    name: str,
    models_folder: Path,
    on_progress: Callable[[float], None] | None = None,
    *,
    checkpoint: CheckpointKind = "final",
    configurations: Sequence[str] = (),
) -> Package:
    """Make a package of a model that nnU-Net trained, whole or not at all.

    Parameters
    ----------
    source
        A results folder, the zip of ``nnUNetv2_export_model_to_zip``, the parent of several results folders, or several
        results folders whose probabilities are to be averaged.
    name
        Name of the package and of its folder: lower case letters, digits, ``.``, ``_`` and ``-``.
    on_progress
        Called with the fraction that is done.
    checkpoint
        The checkpoint of each fold that is taken.
    configurations
        Names of the configurations that are taken of a zip or parent; several are averaged.

    Returns
    -------
    Package
        The opened package, hashes checked; with an unknown trainer it still needs a golden case before it loads.

    Raises
    ------
    PackageInvalid
        If the model is damaged, unsafe or not supported; the text names file and reason.
    ConfigInvalid
        If the name is not usable or taken.
    """
    sources = [source] if isinstance(source, Path) else list(source)

    def fill(target: Path) -> PackageManifest:
        is_zip = len(sources) == 1 and sources[0].is_file()
        folders = [extract_export(sources[0], target.parent / "export", checkpoint)] if is_zip else sources
        try:
            selection = select(folders, checkpoint, configurations)
            network = convert(selection, target, on_progress)
            dataset = read_json(selection.members[0].path / "dataset.json")
            write_model_yaml(target / MODEL_YAML, name, network, dataset, selection)
        except PackageInvalid as error:
            # What was unpacked is gone when the message is read.
            raise PackageInvalid(str(error).replace(str(target.parent / "export"), str(sources[0]))) from error
        except _OF_ANOTHER_FORM as error:
            raise PackageInvalid(
                f"{', '.join(map(str, sources))}: plans.json or dataset.json are not of the form that nnU-Net writes: "
                f"{type(error).__name__}: {' '.join(str(error).split())[:200]}; export the model anew"
            ) from error
        return network

    return assemble(name, models_folder, fill)
