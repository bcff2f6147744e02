"""The folders in which packages lie: searching them, and adding or removing a package as a whole."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from core.errors import ConfigInvalid, PackageInvalid
from core.files import sync_folder, sync_tree
from core.model_config import MODEL_NAME
from core.project_files import PROJECT
from segmentation.package.hashes import SUMS, write_sums
from segmentation.package.import_record import write_record
from segmentation.package.network_spec import PackageManifest
from segmentation.package.package import MANIFEST, MODEL_YAML, Package, open_package


def assemble(name: str, models_folder: Path, fill: Callable[[Path], PackageManifest]) -> Package:
    """Make a package, whole or not at all; ``fill`` writes weights, kept JSON and ``model.yaml`` below a folder.

    All of it is flushed to the disk before it gets its name, so that a power cut leaves no package of empty files.

    Raises
    ------
    PackageInvalid
        If ``fill`` raises it, or the files that it wrote are not a valid package.
    ConfigInvalid
        If the name is not usable or taken.
    """
    _check_name(name)
    if (models_folder / name).exists():
        raise ConfigInvalid(f"{models_folder / name} exists; remove it first (segnode models remove {name})")
    models_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=models_folder) as work:
        target = Path(work) / "package"
        target.mkdir()
        manifest = fill(target)
        (target / MANIFEST).write_text(manifest.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
        write_record(target)
        write_sums(target)
        try:
            package = open_package(target)
        except PackageInvalid as error:
            raise PackageInvalid(str(error).replace(str(target), str(models_folder / name))) from error
        sync_tree(target)
        target.rename(models_folder / name)
        sync_folder(models_folder)
    return replace(package, folder=models_folder / name)


def remove_package(folder: Path) -> None:
    """Remove a package; it disappears in one step, even if the process is stopped afterwards.

    Raises
    ------
    PackageInvalid
        If the folder is not a package.
    """
    if not (folder / SUMS).is_file() and not (folder / MODEL_YAML).is_file():
        raise PackageInvalid(f"{folder}: not a model package; it has neither {SUMS} nor {MODEL_YAML}")
    hidden = folder.with_name(f".removed-{folder.name}-{os.getpid()}")
    folder.rename(hidden)
    shutil.rmtree(hidden)


def default_models_path() -> list[Path]:
    """List the folders that are searched: ``SEGNODE_MODELS``, else the project's, then the user's data folder."""
    configured = os.environ.get("SEGNODE_MODELS")
    if configured:
        return [Path(part) for part in configured.split(os.pathsep) if part]
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return [PROJECT / "models", data / "segnode" / "models"]


def folder_for_new_packages() -> Path:
    """Return the folder to which packages are added: the first of ``SEGNODE_MODELS``, else the user's data folder."""
    path = default_models_path()
    return path[0] if os.environ.get("SEGNODE_MODELS") else path[-1]


def find_package(name: str, search_path: Iterable[Path]) -> Path:
    """Find the folder of a package by its name; the first on the search path counts.

    Raises
    ------
    ConfigInvalid
        If there is none; the text lists the packages that exist.
    """
    places = list(search_path)
    _check_name(name)
    for place in places:
        if (place / name).is_dir():
            return place / name
    known = ", ".join(path.name for path in list_packages(places)) or "none"
    raise ConfigInvalid(f"no model {name!r} in {', '.join(map(str, places))}; there is: {known}")


def list_packages(search_path: Iterable[Path]) -> list[Path]:
    """List the folders of all packages, valid or not, in the order in which they are found."""
    found: dict[str, Path] = {}
    for place in search_path:
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.is_dir() and not path.name.startswith("."):
                found.setdefault(path.name, path)
    return list(found.values())


def _check_name(name: str) -> None:
    if not re.fullmatch(MODEL_NAME, name):
        raise ConfigInvalid(f"{name!r} is not a valid model name; use lower case letters, digits, '.', '_' and '-'")
