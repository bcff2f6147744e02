"""One DICOM file: its header, and where its pixels begin."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from core.errors import ReasonCode, StudyRejected
from dicom_io.images.headers.attributes import MALFORMED, uid
from dicom_io.images.headers.character_set import settle_character_set
from dicom_io.images.headers.inflate import MAX_INFLATED_HEADER, InflateLimitError, InflatingFile
from dicom_io.images.headers.packed import HeaderPacker, PackedHeader
from dicom_io.images.headers.private import kept_private_tags

_PREAMBLE = 128
_META_GROUP = 0x0002
_FLOAT_PIXEL_DATA, _PIXEL_DATA = 0x7FE00008, 0x7FE00010
"""The first and last of the three kinds of pixel data; offset tables of compressed pixels come before."""

_ICON_IMAGE_SEQUENCE = 0x00880200
_OVERLAY_GROUPS = range(0x6000, 0x6100)


class NotDicomError(ValueError):
    """The file is not a DICOM file."""


class DicomdirError(NotDicomError):
    """The file is a DICOMDIR, an index of other files."""


class BadDicomError(ValueError):
    """The file begins as DICOM, but its header cannot be read; the text gives the reason and quotes nothing of it."""


@dataclass(frozen=True, eq=False, slots=True)
class Instance:
    """One SOP instance on disk.

    Attributes
    ----------
    path
        The file; its name may hold a patient's name and goes into no message.
    kept
        Its header, packed where thousands are held at once.
    pixel_offset
        Byte at which the pixel data element starts (of deflated files: in the inflated dataset); ``None`` where there
        is none.
    has_float_pixels
        Whether there is Float or Double Float Pixel Data in its place, which no image of CT, MR or PET may have.
    """

    path: Path
    kept: Dataset | PackedHeader
    pixel_offset: int | None
    has_float_pixels: bool = False

    @property
    def header(self) -> Dataset:
        """Return all standard attributes before the pixels, with ``file_meta``.

        Private attributes (but those of ``dicom_io.images.headers.private``), overlays and icons are dropped. Of a
        packed header each call builds another data set, so a loop asks once.
        """
        return self.kept.unpack() if isinstance(self.kept, PackedHeader) else self.kept

    @property
    def transfer_syntax(self) -> str:
        """Return the Transfer Syntax UID; implicit little endian if the file states none."""
        return uid(self.kept.file_meta, "TransferSyntaxUID") or str(ImplicitVRLittleEndian)

    def packed(self, packer: HeaderPacker) -> "Instance":
        """Return the same instance with its header packed; for a header as it was read."""
        if isinstance(self.kept, PackedHeader):
            return self
        return Instance(self.path, packer.pack(self.kept), self.pixel_offset, self.has_float_pixels)


def read_instance(path: Path) -> Instance:
    """Read a header, without a byte of the pixels.

    Raises
    ------
    NotDicomError
        If the file is something else, or a DICOMDIR: the files are the truth, not their index.
    BadDicomError
        If the header is damaged, nested too deeply, or inflates without bound.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        meta = _read_meta(file)
        if uid(meta, "MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            raise DicomdirError("a DICOMDIR, not an image")
        syntax = uid(meta, "TransferSyntaxUID")
        if syntax == DeflatedExplicitVRLittleEndian:
            # positions count from where the meta information ends
            inflating = InflatingFile(file, MAX_INFLATED_HEADER)
            return _read_header(path, inflating, meta, syntax)  # type: ignore[arg-type]  # all that is called is there
        return _read_header(path, file, meta, syntax)


def rejected(code: ReasonCode, instance: Instance, detail: str) -> StudyRejected:
    """Build the refusal of a series for one of its images, which is named by its UID."""
    where = uid(instance.header, "SOPInstanceUID") or "without UID"
    return StudyRejected(code, f"Image {where}: {detail}.", uid(instance.header, "SeriesInstanceUID") or None)


def open_dataset(file: BinaryIO, limit: int) -> InflatingFile:
    """Return a view of the deflated dataset in an open DICOM file.

    Raises
    ------
    NotDicomError, BadDicomError
        If the meta information cannot be read.
    """
    _read_meta(file)
    return InflatingFile(file, limit)


def _read_header(path: Path, file: BinaryIO, meta: FileMetaDataset, syntax: str) -> Instance:
    big_endian = syntax == ExplicitVRBigEndian
    first = _peek(file, 6)
    if len(first) < 6:
        raise BadDicomError("it ends after its meta information")
    # what stands in the place of the first VR tells implicit from explicit, where the file is silent or wrong
    implicit = not (first[4:].isalpha() and first[4:].isupper())
    header = _parse(file, implicit, not big_endian, _at_pixels)
    header.file_meta = meta
    settle_character_set(header)
    if "SOPClassUID" not in header and "StudyInstanceUID" not in header:
        raise BadDicomError("it has neither SOP Class UID nor Study Instance UID")
    order: Literal["big", "little"] = "big" if big_endian else "little"
    start = _peek(file, 4)
    tag = int.from_bytes(start[:2], order) << 16 | int.from_bytes(start[2:], order)
    at_pixels = tag == _PIXEL_DATA
    return Instance(path, header, file.tell() if at_pixels else None, _FLOAT_PIXEL_DATA <= tag < _PIXEL_DATA)


def _peek(file: BinaryIO, size: int) -> bytes:
    start = file.tell()
    try:
        content = file.read(size)
    except InflateLimitError as error:
        raise BadDicomError("its deflated header is damaged or too large") from error
    file.seek(start)
    return content


def _read_meta(file: BinaryIO) -> FileMetaDataset:
    if file.read(_PREAMBLE + 4)[_PREAMBLE:] != b"DICM":
        # a dataset without the file format's preamble: group 0002 or 0008, little endian, an even small length
        file.seek(0)
        if file.read(4)[:2] not in (b"\x02\x00", b"\x08\x00"):
            raise NotDicomError("not a DICOM file")
        file.seek(0)
    return FileMetaDataset(_parse(file, False, True, _after_meta))


def _parse(
    file: BinaryIO, implicit: bool, little_endian: bool, stop_when: Callable[[BaseTag, str | None, int], bool]
) -> Dataset:
    try:
        return _slim(read_dataset(file, implicit, little_endian, stop_when=stop_when))
    except RecursionError as error:
        raise BadDicomError("its sequences are nested too deeply") from error
    except InflateLimitError as error:
        raise BadDicomError("its deflated header is damaged or too large") from error
    except (*MALFORMED, MemoryError) as error:
        raise BadDicomError("its header is damaged") from error


def _at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
    return int(tag) >= _FLOAT_PIXEL_DATA


def _after_meta(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group != _META_GROUP


def _slim(header: Dataset) -> Dataset:
    kept = kept_private_tags(header)
    for tag in list(header.keys()):
        if (tag.group & 1 and tag not in kept) or tag.group in _OVERLAY_GROUPS or tag == _ICON_IMAGE_SEQUENCE:
            del header[tag]
    return header
