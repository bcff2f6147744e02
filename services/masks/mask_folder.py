"""A case's mask folder, opened: masks are written whole, and an existing mask is reused if it is the one requested.

Mask and record both hold the key of the mask's inputs, the mask in its own header, so that they are known to belong
together after any crash. A file that this program did not make, or that was changed since, is never overwritten.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final
from uuid import uuid4

import numpy as np

from core.errors import ReasonCode, RequestCode, RequestRefused, RetryLater, StudyRejected
from core.image_files.reader import read_array, read_notes
from core.label_map import LabelMap
from dicom_io.results.nifti import write_nifti
from services.images.safe_open import OpenFile, opened, read_small
from services.images.shared_paths import MASK_FOLDER
from services.masks.mask_paths import MaskPlace, MaskRecord

LONGEST_NAME: Final = 255
"""Longest name of a file, in bytes, on common file systems."""
FOREIGN: Final = "was not made by this program; move it to another folder"
CHANGED: Final = "was changed since it was made; move it to another folder, or overwrite it with force"


class MaskFolder:
    """The folder of one mask's place; a missing one is made first, so that no work is lost for want of it.

    Parameters
    ----------
    place
        Where the mask belongs.

    Raises
    ------
    RequestRefused
        ``path_outside_roots`` if the case now leads out of its root, or if the mask folder is a link;
        ``invalid_request`` if the mask's name would be too long.
    RetryLater
        If the disk cannot be written.
    """

    def __init__(self, place: MaskPlace) -> None:
        self._place = place
        if len(os.fsencode(place.seg_path.name)) > LONGEST_NAME:
            detail = "The image's name is too long to name a mask after it; rename the image."
            raise RequestRefused(RequestCode.INVALID_REQUEST, detail)
        try:
            with opened(place.case, place.source.root, flags=os.O_DIRECTORY) as case:
                with suppress(FileExistsError):
                    os.mkdir(MASK_FOLDER, dir_fd=case.descriptor)
                self._folder = _open_folder(case.descriptor)
        except OSError as error:
            raise RetryLater(f"{MASK_FOLDER}/ cannot be made: {error.strerror}") from error

    def __enter__(self) -> "MaskFolder":
        """Return the folder itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the folder."""
        os.close(self._folder)

    def existing(self, key: str, sources: Sequence[str], *, force: bool, with_seg: bool = False) -> MaskRecord | None:
        """Return the record of an existing mask made from the same inputs; None if the mask is to be made.

        Parameters
        ----------
        key, sources
            Key and sources of the requested mask.
        force
            Whether the mask is made anew in any case.
        with_seg
            Whether its DICOM SEG must exist, too.

        Raises
        ------
        RequestRefused
            ``mask_in_the_way`` if another file is in the place of the mask, its record or its SEG: one not made by
            this program, changed since (``force`` overwrites it), or made of another image.
        RetryLater
            If it cannot be read.
        """
        name = self._place.path.name
        try:
            with self._opened(name) as mask:
                made_as = None
                if mask.is_file:
                    with mask.named(name) as path:
                        made_as = _key_inside(path)
                if made_as is None:
                    raise _in_the_way(name, FOREIGN)
                record = self.read_record()
                if record is None or record.key != made_as:
                    return None  # a crash separated the mask from its record
                if record.sources != tuple(sources):
                    raise _in_the_way(name, f"was made of {', '.join(record.sources)}; rename one of the images")
                if not force and mask.sha256() != record.mask_sha256:
                    raise _in_the_way(name, CHANGED)
            if not self._has_seg(record, force=force, is_wanted=with_seg):
                if with_seg:
                    return None
                record = record.model_copy(update={"seg_sha256": ""})
            return record if record.key == key and not force else None
        except FileNotFoundError:
            self._refuse_foreign(with_seg=with_seg)
            return None
        except OSError as error:
            raise RetryLater(f"{MASK_FOLDER}/{name} cannot be read: {error.strerror}") from error

    def _has_seg(self, record: MaskRecord, *, force: bool, is_wanted: bool) -> bool:
        """Tell whether a record's SEG exists unchanged."""
        name = self._place.seg_path.name
        found = self._sha256(name)
        if is_wanted and found is not None and found != record.seg_sha256:
            if not record.seg_sha256:
                raise _in_the_way(name, FOREIGN)
            if not force:
                raise _in_the_way(name, CHANGED)
        return found is not None and found == record.seg_sha256

    def _refuse_foreign(self, *, with_seg: bool) -> None:
        """Refuse foreign files in the place of a missing mask's record or SEG."""
        record, seg = self.read_record(), self._place.seg_path.name
        if record is None and self._sha256(self._place.record_path.name) is not None:
            raise _in_the_way(self._place.record_path.name, FOREIGN)
        if with_seg and self._sha256(seg) not in (None, record.seg_sha256 if record else None):
            raise _in_the_way(seg, FOREIGN)

    def read_record(self) -> MaskRecord | None:
        """Read the mask's record; None if there is none, or if it is not this program's."""
        name, root = self._place.record_path.name, self._place.source.root
        try:
            return MaskRecord.model_validate_json(read_small(name, root, flags=os.O_NOFOLLOW, dir_fd=self._folder))
        except (OSError, ValueError):  # a ValidationError is a ValueError
            return None

    def write(self, label_map: LabelMap, record: MaskRecord, seg: bytes | None = None) -> MaskRecord:
        """Put a mask, its record and its DICOM SEG into the folder, each whole or not at all.

        Returns
        -------
        MaskRecord
            With the hashes of mask and SEG.

        Raises
        ------
        RetryLater
            If the disk cannot be written (full, read-only, no permission), or the folder was removed meanwhile.
        StudyRejected
            ``seg_mismatch`` if the mask read back differs.
        """
        place = self._place
        try:
            data = _nifti_bytes(label_map, f"segnode key={record.key}")
            hashes = {"mask_sha256": _sha256(data), "seg_sha256": _sha256(seg) if seg is not None else ""}
            earlier, record = self.read_record(), record.model_copy(update=hashes)
            # The record comes last: files that a crash leaves before it are seen to have no record.
            self._put(place.path.name, data)
            if seg is not None:
                self._put(place.seg_path.name, seg)
            elif earlier is not None and self._sha256(place.seg_path.name) == earlier.seg_sha256:
                os.unlink(place.seg_path.name, dir_fd=self._folder)  # it belongs to the mask that is replaced
            self._put(place.record_path.name, (record.model_dump_json(by_alias=True, indent=2) + "\n").encode())
            os.fsync(self._folder)
        except OSError as error:
            raise RetryLater(f"{MASK_FOLDER}/{place.path.name} cannot be written: {error.strerror}") from error
        return record

    def _put(self, name: str, data: bytes) -> None:
        temporary = f".{uuid4().hex}.part"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, 0o644, dir_fd=self._folder), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self._folder)
            raise

    def _opened(self, name: str) -> AbstractContextManager[OpenFile]:
        # A link in its place is opened itself, not what it leads to.
        return opened(name, self._place.source.root, flags=os.O_NOFOLLOW, dir_fd=self._folder)

    def _sha256(self, name: str) -> str | None:
        """Return the SHA-256 of a file; None if there is none, and an empty text for anything but a regular file."""
        try:
            with self._opened(name) as file:
                return file.sha256() if file.is_file else ""
        except FileNotFoundError:
            return None


def _in_the_way(name: str, why: str) -> RequestRefused:
    return RequestRefused(RequestCode.MASK_IN_THE_WAY, f"{MASK_FOLDER}/{name} {why}.")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _open_folder(case: int) -> int:
    try:
        return os.open(MASK_FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=case)
    except NotADirectoryError as error:  # the kernel raises it for a link, too
        detail = f"{MASK_FOLDER} in the case must be a folder, not a link or a file."
        raise RequestRefused(RequestCode.PATH_OUTSIDE_ROOTS, detail) from error


def _key_inside(path: Path) -> str | None:
    found = re.fullmatch(r"segnode key=([0-9a-f]{40})", read_notes(path))
    return found.group(1) if found else None


def _nifti_bytes(label_map: LabelMap, notes: str) -> bytes:
    # Beside its place, a file that another program is still writing could be taken for whole.
    with TemporaryDirectory(prefix="segnode-") as folder:
        path = Path(folder) / "mask.nii.gz"
        write_nifti(path, label_map, notes)
        if not np.array_equal(read_array(path)[0], label_map.array):
            raise StudyRejected(ReasonCode.SEG_MISMATCH)
        return path.read_bytes()
