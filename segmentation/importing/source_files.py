"""The small files of a trained model, read within limits, or refused by what they are instead."""

import json
from pathlib import Path
from typing import Any

from core.errors import PackageInvalid

KEPT_JSON = ("plans.json", "dataset.json", "dataset_fingerprint.json", "postprocessing.json", "training_cases.json")
"""Files of a results folder that a package keeps. Others record where it was trained: host, paths, case names."""
MAX_JSON_BYTES = 64 * 2**20
_LFS = b"version https://git-lfs.github.com/spec/"


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
    refuse_lfs_pointer(path)
    try:
        content = json.loads(read_small(path).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise PackageInvalid(f"{path.name}: {error}") from error
    if not isinstance(content, dict):
        raise PackageInvalid(f"{path.name}: not a JSON object")
    return content


def refuse_lfs_pointer(path: Path) -> None:
    """Refuse the short text that Git leaves in place of a large file.

    Raises
    ------
    PackageInvalid
        If the file is one; the text says how to get the file itself.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS))
    except OSError:
        return  # the reader that comes next says why
    if start == _LFS:
        raise PackageInvalid(
            f"{path.name}: a Git LFS pointer, not the file itself; run `git lfs pull` where it came from, "
            "or download the file, and add it again"
        )


def refuse_nnunet_v1(folder: Path) -> None:
    """Refuse a model that nnU-Net v1 left in a folder or one below it.

    Raises
    ------
    PackageInvalid
        If there is one.
    """
    found = next(
        (path for pattern in ("plans.pkl", "*/*.model.pkl", "*/plans.pkl") for path in folder.glob(pattern)), None
    )
    if found is not None:
        raise PackageInvalid(
            f"{folder}: {found.name} is of nnU-Net v1, whose models are not supported; train it with nnU-Net v2 "
            "(nnUNetv2_convert_old_nnUNet_dataset takes over the data set), and add what that leaves"
        )
