"""The masks of a case: where they lie, what they were made of, and how they come to be there whole.

``mask/total_A.nii.gz`` lies beside the image ``A.nii.gz``, and beside the mask ``total_A.json`` says what it was made
of. The mask carries the same key in its own header, so that the two are known to belong together after any crash.
A file that this program did not make, or that was changed since, is never overwritten.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal
from uuid import uuid4

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import ReasonCode, RequestCode, RequestRefused, RetryLater, StudyRejected
from core.label_map import LabelMap
from core.model_manifest import LabelSpec
from core.version import VERSION
from dicom_io.results.nifti import nifti_notes, write_nifti
from segmentation.image_files import read_array
from services.images import stem_of
from services.roots import SharedFile, open_folder_inside

FOLDER: Final = "mask"
NAMES: Final = {"totalseg": "total", "vessel": "vessel", "ureter": "ureter", "tumor": "tumor"}
SAYS_NOTHING: Final = frozenset({"image", "img", "ct", "phase", "series", "volume", ""})
"""Parts of an image's name that tell it from no other image of a case."""


class MaskRecord(BaseModel):
    """The file beside a mask: what it was made of, and what its values mean."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    segnode: str = VERSION
    key: str
    """Hash of everything that the mask depends on."""
    sources: tuple[str, ...]
    """Names of the files or folders it was made of, relative to the case."""
    mask_sha256: str
    model: str = ""
    model_sha256: str = ""
    labels: tuple[LabelSpec, ...] = ()
    volumes_ml: dict[str, float] = {}
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class MaskPlace:
    """Where one mask belongs.

    Attributes
    ----------
    source
        What it is made of; the first image, or the mask that it comes from.
    folder
        The case's mask folder.
    stem
        Name without ending.
    """

    source: SharedFile
    folder: Path
    stem: str

    @property
    def path(self) -> Path:
        """The mask."""
        return self.folder / f"{self.stem}.nii.gz"

    @property
    def record_path(self) -> Path:
        """What is said of it."""
        return self.folder / f"{self.stem}.json"

    @property
    def seg_path(self) -> Path:
        """The same as a DICOM SEG, where one was asked for."""
        return self.folder / f"{self.stem}.seg.dcm"

    def read_record(self) -> MaskRecord | None:
        """What is said of the mask; None where nothing is, or nothing of this program's."""
        try:
            return MaskRecord.model_validate_json(self.record_path.read_bytes())
        except (OSError, ValidationError):
            return None


def place_of(task: str, image: SharedFile) -> MaskPlace:
    """Where the mask of an image belongs: in ``mask`` beside it."""
    said = [part for part in re.split(r"[_\- ]+", stem_of(image.path)) if part.lower() not in SAYS_NOTHING]
    return MaskPlace(image, image.path.parent / FOLDER, "_".join([NAMES[task], *said]))


def place_derived(mask: SharedFile, kind: str) -> MaskPlace:
    """Where a mask that is made of another belongs: beside it, as ``total_A_smooth.nii.gz``."""
    return MaskPlace(mask, mask.path.parent, f"{stem_of(mask.path)}_{kind}")


def key_of(*parts: str) -> str:
    """One hash of everything that a mask depends on, short enough for a NIfTI header."""
    return hashlib.sha256("\0".join((VERSION, *parts)).encode()).hexdigest()[:40]


def existing_mask(place: MaskPlace, key: str, sources: Sequence[str], *, force: bool) -> MaskRecord | None:
    """The record of a mask that is there and was made of the very same; None where one is to be made.

    Raises
    ------
    RequestRefused
        ``mask_in_the_way`` if another file has that place: one that was not made by this program, was changed since
        (``force`` gives it up), or was made of another image.
    """
    if not place.path.exists():
        return None
    record = place.read_record()
    made_as = _key_inside(place.path)
    if made_as is None or place.path.is_symlink():
        raise _in_the_way(place, "was not made by this program; move it away")
    if record is None or record.key != made_as:
        return None  # one that a crash parted from its record
    if record.sources != tuple(sources):
        raise _in_the_way(place, f"was made of {', '.join(record.sources)}; rename one of the images")
    if not force and hashlib.sha256(place.path.read_bytes()).hexdigest() != record.mask_sha256:
        raise _in_the_way(place, "was changed since it was made; move it away, or ask with force to give it up")
    return record if record.key == key and not force else None


def _in_the_way(place: MaskPlace, why: str) -> RequestRefused:
    return RequestRefused(RequestCode.MASK_IN_THE_WAY, f"{FOLDER}/{place.path.name} {why}.")


def _key_inside(path: Path) -> str | None:
    found = re.fullmatch(r"segnode key=([0-9a-f]{40})", nifti_notes(path))
    return found.group(1) if found else None


def write_mask(place: MaskPlace, label_map: LabelMap, record: MaskRecord, seg: bytes | None = None) -> MaskRecord:
    """Put a mask, its record and its DICOM SEG into the case's mask folder, each whole or not at all.

    Returns
    -------
    MaskRecord
        With the mask's hash.

    Raises
    ------
    RetryLater
        If the disk refuses (full, read-only, no right to write).
    RequestRefused
        ``path_outside_roots`` if the mask folder is a link, ``seg_mismatch`` if the mask read back is another.
    """
    try:
        place.folder.mkdir(exist_ok=True)
        data = _nifti_bytes(label_map, f"segnode key={record.key}")
        record = record.model_copy(update={"mask_sha256": hashlib.sha256(data).hexdigest()})
        text = record.model_dump_json(by_alias=True, indent=2) + "\n"
        folder = open_folder_inside(place.folder, place.source.root)
        try:
            if seg is not None:
                _put(folder, place.seg_path.name, seg)
            _put(folder, place.path.name, data)
            _put(folder, place.record_path.name, text.encode())
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise RetryLater(f"{FOLDER}/{place.path.name} cannot be written: {error.strerror}") from error
    return record


def _nifti_bytes(label_map: LabelMap, notes: str) -> bytes:
    # Beside its place, a file that another program is still writing could be taken for whole.
    with TemporaryDirectory(prefix="segnode-") as folder:
        path = Path(folder) / "mask.nii.gz"
        write_nifti(path, label_map, notes)
        if not np.array_equal(read_array(path)[0], label_map.array):
            raise StudyRejected(ReasonCode.SEG_MISMATCH)
        return path.read_bytes()


def _put(folder: int, name: str, data: bytes) -> None:
    temporary = f".{name}.{uuid4().hex}.part"
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
