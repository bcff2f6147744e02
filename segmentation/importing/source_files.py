"""The small files of a trained model, read within limits, or refused by what they are instead."""

import json
from pathlib import Path
from typing import Any

from core.errors import PackageInvalid

KEPT_JSON = ("plans.json", "dataset.json", "dataset_fingerprint.json", "postprocessing.json", "training_cases.json")
"""Files of a results folder that a package keeps. Others record where it was trained: host, paths, case names."""
MAX_JSON_BYTES = 64 * 2**20
_LFS = b"version https://git-lfs.github.com/spec/"
_LOOKED_AT = 256


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
    refuse_stand_in(path)
    try:
        content = json.loads(read_small(path).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise PackageInvalid(f"{path.name}: not JSON in UTF-8: {error}; copy the file again") from error
    if not isinstance(content, dict):
        raise PackageInvalid(f"{path.name}: not a JSON object")
    return content


def refuse_stand_in(path: Path) -> None:
    """Refuse what lies in place of a file: the short text of Git, a web page, nothing.

    Raises
    ------
    PackageInvalid
        If it is one of these; the text says how to get the file itself.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
    except OSError:
        return  # the reader that comes next says why
    if not start:
        raise PackageInvalid(f"{path.name}: the file is empty; copy it again")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html")):
        raise PackageInvalid(
            f"{path.name}: a web page, not the file itself; download the file again, a login may be needed"
        )
    if start.startswith(_LFS):
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
