"""The zip of ``nnUNetv2_export_model_to_zip``, from which only the files that a package needs are unpacked."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from core.errors import PackageInvalid
from segmentation.importing.results_folder import CHECKPOINTS, CheckpointKind, is_results_folder
from segmentation.importing.source_files import KEPT_JSON, MAX_JSON_BYTES, refuse_stand_in

MAX_ZIP_BYTES = 32 * 2**30
MAX_ZIP_ENTRIES = 100_000
MAX_ZIP_RATIO = 200
"""Largest compression ratio: weights hardly compress and JSON shrinks some tenfold; more is meant to fill the disk."""
_READ = (*KEPT_JSON, "inference_information.json", "postprocessing.pkl")
_NNUNET_V1 = ("plans.pkl", "model_final_checkpoint.model.pkl", "model_best.model.pkl")
_BLOCK = 1 << 20
# What reading a damaged zip raises; NotImplementedError of an unknown compression is a RuntimeError.
_DAMAGE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error,
    OSError, RuntimeError, EOFError, ValueError,
)  # fmt: skip


def extract_export(archive: Path, folder: Path, kind: CheckpointKind = "final") -> Path:
    """Unpack the files that a package needs from the zip of ``nnUNetv2_export_model_to_zip``.

    Parameters
    ----------
    kind
        The checkpoints that are unpacked.

    Returns
    -------
    Path
        The folder that holds the results folders.

    Raises
    ------
    PackageInvalid
        If an entry leads out of the folder, is a link or exceeds the size limits, or the zip holds no model.
    """
    refuse_stand_in(archive)
    try:
        with zipfile.ZipFile(archive) as zipped:
            entries = [entry for entry in zipped.infolist() if not entry.is_dir()]
            _check_entries(entries, archive.name)
            for entry in entries:
                if PurePosixPath(entry.filename).name in (*_READ, CHECKPOINTS[kind]):
                    target = folder / entry.filename
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with zipped.open(entry) as source, target.open("wb") as file:
                        _copy(source, file, entry.file_size, f"{archive.name}: {entry.filename}")
    except _DAMAGE as error:
        raise PackageInvalid(f"{archive.name}: {error}") from error
    parents = {path.parent.parent for path in folder.rglob("plans.json") if is_results_folder(path.parent)}
    if not parents and any(PurePosixPath(entry.filename).name in _NNUNET_V1 for entry in entries):
        raise PackageInvalid(f"{archive.name}: a model of nnU-Net v1, which is not supported; train it with nnU-Net v2")
    if not parents:
        raise PackageInvalid(
            f"{archive.name}: holds no results folder of nnU-Net; give such a folder (TRAINER__PLANS__CONFIGURATION) "
            "or the zip of nnUNetv2_export_model_to_zip"
        )
    if len(parents) > 1:
        listed = ", ".join(sorted(path.relative_to(folder).as_posix() for path in parents))
        raise PackageInvalid(
            f"{archive.name}: holds results folders of {len(parents)} data sets ({listed}), expected one; unpack it "
            "and give the folders that you want"
        )
    return parents.pop()


def _check_entries(entries: Sequence[zipfile.ZipInfo], where: str) -> None:
    if len(entries) > MAX_ZIP_ENTRIES or sum(entry.file_size for entry in entries) > MAX_ZIP_BYTES:
        raise PackageInvalid(f"{where}: more than the allowed {MAX_ZIP_ENTRIES} entries or {MAX_ZIP_BYTES} bytes")
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename:
            raise PackageInvalid(f"{where}: entry {entry.filename!r} leads out of the folder")
        if (entry.external_attr >> 16) & 0o170000 == 0o120000:
            raise PackageInvalid(f"{where}: entry {entry.filename!r} is a link")
        if entry.file_size > max(_BLOCK, MAX_ZIP_RATIO * entry.compress_size):
            raise PackageInvalid(f"{where}: entry {entry.filename!r} unfolds to {entry.file_size} bytes")
        if entry.filename.endswith(".json") and entry.file_size > MAX_JSON_BYTES:
            raise PackageInvalid(f"{where}: entry {entry.filename!r} is larger than {MAX_JSON_BYTES} bytes")


def _copy(source: IO[bytes], target: IO[bytes], size: int, where: str) -> None:
    # The size in the directory is only a claim.
    remaining = size
    while block := source.read(_BLOCK):
        remaining -= len(block)
        if remaining < 0:
            raise PackageInvalid(f"{where}: unfolds to more than the {size} bytes it declares")
        target.write(block)
