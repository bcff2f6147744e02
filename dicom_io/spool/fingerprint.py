"""The contents of a stored file, to compare with another: a digest of each attribute, and the short ones themselves.

The receiver compares objects, so a comparison holds neither a header nor pixels in memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from struct import Struct

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from dicom_io.elements import ElementsError, Walk, source_of
from dicom_io.images.headers.attributes import MALFORMED
from dicom_io.images.headers.copies import is_same_value
from dicom_io.images.headers.instance import Instance
from dicom_io.images.headers.part10 import read_head

MAX_ELEMENTS = 2_000_000
"""The functional groups of 20,000 frames."""

MAX_ATTRIBUTES = 10_000
"""Outside of sequences; the dictionary has half as many."""

_MAX_INFLATED_BYTES = 2**29
_SHORT_VALUE, _SHORT_IN_ALL = 4096, 2**20
_PIXELS, _FIRST_PIXELS = 0x7FE00010, 0x7FE00008
_ICON_IMAGE_SEQUENCE = 0x00880200
_OVERLAY_GROUPS = range(0x6000, 0x6100)
_CHUNK = 1 << 16
_DIGEST_BYTES = 16
_MARK = Struct(">BLQ")


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """One file.

    Attributes
    ----------
    digests
        Of every attribute before the pixels, by its tag, without regard to VRs and to how the ends of sequences are
        written; lengths of groups, private attributes, overlays and icons are left out.
    instance
        The file with a header of its short attributes.
    pixels_at
        Byte of the data set, inflated where it is deflated, at which the value of the pixel data starts.
    """

    digests: Mapping[int, bytes]
    instance: Instance
    pixels_at: int | None

    def changed(self, other: "Fingerprint") -> set[int]:
        """Tags of the attributes that another file has not, or not with the same value."""
        tags = self.digests.keys() | other.digests.keys()
        return {tag for tag in tags if not self._is_same(other, tag)}

    def _is_same(self, other: "Fingerprint", tag: int) -> bool:
        headers = self.instance.header, other.instance.header
        same_bytes = self.digests.get(tag) == other.digests.get(tag)
        if same_bytes and self._is_big_endian is not other._is_big_endian and all(tag in header for header in headers):
            return is_same_value(*headers, tag)  # the same bytes are another number in the other order
        return same_bytes or is_same_value(*headers, tag)

    @property
    def _is_big_endian(self) -> bool:
        return self.instance.transfer_syntax == ExplicitVRBigEndian

    def pixels(self) -> Iterator[bytes]:
        """Yield the pixel data's value as it is encoded, and what follows it, in pieces of one size.

        Raises
        ------
        ElementsError
            If it is deflated, and damaged or too long.
        OSError
            If the file cannot be read.
        """
        with self.instance.path.open("rb") as file:
            read_head(file)
            source = source_of(file, self.instance.transfer_syntax, _MAX_INFLATED_BYTES)
            source.skip(self.pixels_at or 0)
            while piece := source.read(_CHUNK):
                yield piece


def read_fingerprint(path: Path) -> Fingerprint:
    """Read a file up to its pixels.

    Raises
    ------
    ElementsError
        If it is damaged, or beyond a bound.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        syntax = read_head(file)
        start = file.tell()
        walk = Walk(source_of(file, syntax), syntax, _is_sequence, most=MAX_ELEMENTS)
        digests, short, has_pixels = _digests(walk)
        header = _header(short, walk.is_implicit, syntax)
    if not has_pixels:
        return Fingerprint(digests, Instance(path, header, None), None)
    # Of deflated files the reader of pixels counts from where the data set starts.
    at = walk.position - len(walk.head) + (0 if syntax == DeflatedExplicitVRLittleEndian else start)
    return Fingerprint(digests, Instance(path, header, at), walk.position)


def _digests(walk: Walk) -> tuple[dict[int, bytes], bytes, bool]:
    """Digests of attributes, the short ones as they are encoded, and whether the walk has ended at pixel data."""
    hashes: dict[int, blake2b] = {}
    short = bytearray()
    digest: blake2b | None = None
    has_pixels = False
    for depth, tag, vr, length in walk:
        if depth == 0:
            if tag >= _FIRST_PIXELS:
                has_pixels = tag == _PIXELS
                break
            digest = None if _is_left_out(tag) else hashes.setdefault(tag, blake2b(digest_size=_DIGEST_BYTES))
            if len(hashes) > MAX_ATTRIBUTES:
                raise ElementsError("too_many_elements")
        if digest is None or _is_group_length(tag):
            continue
        size = walk.unread
        digest.update(_MARK.pack(depth, tag, size))
        is_plain = depth == 0 and size == length and (vr is None) == walk.is_implicit
        if is_plain and size <= _SHORT_VALUE and len(short) + size <= _SHORT_IN_ALL:
            value = b"".join(walk.pieces())
            digest.update(value)
            short += walk.head + value
        else:
            for piece in walk.pieces():
                digest.update(piece)
    return {tag: found.digest() for tag, found in hashes.items()}, bytes(short), has_pixels


def _header(short: bytes, is_implicit: bool, syntax: str) -> Dataset:
    try:
        header = read_dataset(BytesIO(short), is_implicit, syntax != ExplicitVRBigEndian)
    except MALFORMED as error:
        raise ElementsError("damaged") from error
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = UID(syntax)
    return header


def _is_left_out(tag: int) -> bool:
    group = tag >> 16
    return bool(group & 1) or group in _OVERLAY_GROUPS or tag == _ICON_IMAGE_SEQUENCE or _is_group_length(tag)


def _is_group_length(tag: int) -> bool:
    # It counts bytes, so it is another one in every transfer syntax.
    return not tag & 0xFFFF


def _is_sequence(tag: int, vr: bytes | None) -> bool:
    if vr is not None:
        return vr == b"SQ"
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return False
