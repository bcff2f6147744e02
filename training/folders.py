"""The folders of a site: made, and shared with its group, with no line in anybody's shell profile."""

import os
import shutil
import stat
from pathlib import Path

from core.errors import ConfigInvalid
from training.settings import Folders, TrainingSettings

_SHARED_UMASK, _OWN_UMASK = 0o002, 0o022
_SHARED = stat.S_ISGID | stat.S_IRWXU | stat.S_IRWXG | stat.S_IROTH | stat.S_IXOTH

_PREPROCESSED = "nnUNet_preprocessed"
NNUNET = {"nnUNet_raw": "raw", _PREPROCESSED: "preprocessed", "nnUNet_results": "results"}
"""nnU-Net's variables, and the folder that each names."""
LOADERS = "nnUNet_n_proc_DA"
"""nnU-Net's variable for the number of processes that load and augment in a training; 0 is its word for none."""


def open_site(settings: TrainingSettings) -> None:
    """Make missing folders, and see that what this process writes below them is the group's.

    A folder with the set-group-ID bit hands its group on to all that is made in it.

    Raises
    ------
    ConfigInvalid
        If a folder cannot be made, or belongs to another group and another user.
    """
    os.umask(_OWN_UMASK if settings.group is None else _SHARED_UMASK)
    for name in Folders.model_fields:
        folder: Path = getattr(settings.folders, name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigInvalid(f"folders.{name}: {folder}: {error.strerror}; give another one") from error
        if settings.group is not None:
            _share(folder, name, settings.group)


def _share(folder: Path, name: str, group: str) -> None:
    if folder.group() == group and folder.stat().st_mode & _SHARED == _SHARED:
        return
    try:
        shutil.chown(folder, group=group)
        folder.chmod(_SHARED)
    except PermissionError as error:
        remedy = f"let its owner {folder.owner()} run: chgrp {group} {folder} && chmod 2775 {folder}"
        raise ConfigInvalid(f"folders.{name}: {folder} is not shared with the group {group}; {remedy}") from error


def nnunet_environment(folders: Folders) -> dict[str, str]:
    """Return the variables by which nnU-Net finds its folders; it reads them when they are used, not at its import."""
    return {variable: str(getattr(folders, name)) for variable, name in NNUNET.items()}


def preprocessed_folder() -> Path:
    """Return the folder of prepared data sets in a process that has nnU-Net's variables."""
    return Path(os.environ[_PREPROCESSED])
