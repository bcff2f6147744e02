"""Comparing files that came under one UID: whatever they hold, and without holding it."""

import errno
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from dicom_io.images.headers.part10 import file_head
from dicom_io.spool import duplicates, fingerprint
from dicom_io.spool.duplicates import Relation, compare
from dicom_io.spool.fingerprint import read_fingerprint
from tests.faults.objects import element, image_bytes
from tests.support.node_process import make_image

STUDY = "1.2.3"
Change = Callable[[Dataset], None]


def nothing(image: Dataset) -> None:
    """Leave it as it is."""


def frames(count: int, *, undefined: bool = False, slope: str = "1") -> Change:
    """Functional groups of many frames."""

    def change(image: Dataset) -> None:
        groups = []
        for number in range(count):
            position, transformation, group = Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = [0, 0, number]
            transformation.RescaleSlope = slope
            group.PlanePositionSequence, group.PixelValueTransformationSequence = [position], [transformation]
            group["PlanePositionSequence"].is_undefined_length = undefined
            group.is_undefined_length_sequence_item = undefined
            groups.append(group)
        image.PerFrameFunctionalGroupsSequence = groups
        image["PerFrameFunctionalGroupsSequence"].is_undefined_length = undefined

    return change


def named(image: Dataset) -> None:
    image.PatientName = "OTHER"


def write(path: Path, *changes: Change, syntax: UID = ExplicitVRLittleEndian) -> Path:
    image = make_image(STUDY)
    image.PixelData = bytes(range(256)) * 2
    for change in changes:
        change(image)
    if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        image.compress(syntax, generate_instance_uid=False)
    image.file_meta.TransferSyntaxUID = syntax
    image.save_as(path, enforce_file_format=True, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    return path


OTHERS: dict[str, tuple[tuple[Change, ...], tuple[Change, ...], Relation]] = {
    "ends of sequences": ((frames(3),), (frames(3, undefined=True),), Relation.DESCRIPTION),
    "a name": ((frames(3),), (frames(3), named), Relation.DESCRIPTION),
    "a frame more": ((frames(3),), (frames(4),), Relation.IMAGE),
    "a slope of a frame": ((frames(3),), (frames(3, slope="2"),), Relation.IMAGE),
    "frames or none": ((frames(1),), (nothing,), Relation.IMAGE),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_elements_in_sequences_count(kind: str, tmp_path: Path) -> None:
    first, second, relation = OTHERS[kind]
    assert compare(write(tmp_path / "a", *first), write(tmp_path / "b", *second)).relation is relation


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless])
def test_sequences_are_the_same_in_every_syntax(syntax: UID, undefined: bool, tmp_path: Path) -> None:
    first = write(tmp_path / "a", frames(2))
    assert (
        compare(first, write(tmp_path / "b", frames(2, undefined=undefined), syntax=syntax)).relation is Relation.SAME
    )
    other = write(tmp_path / "c", frames(2, undefined=undefined), named, syntax=syntax)
    assert compare(first, other).relation is Relation.DESCRIPTION


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_long_header_is_not_held(syntax: UID, tmp_path: Path) -> None:
    first = write(tmp_path / "a", frames(1500, undefined=True), syntax=syntax)
    second = write(tmp_path / "b", frames(1500, undefined=True), named, syntax=syntax)
    tracemalloc.start()
    try:
        assert compare(first, second).relation is Relation.DESCRIPTION
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_a_long_value_is_not_held(tmp_path: Path) -> None:
    content = image_bytes(STUDY)
    at = content.index(b"\x20\x00\x0d\x00")
    head = file_head(make_image(STUDY).SOPClassUID, make_image(STUDY).SOPInstanceUID, ExplicitVRLittleEndian)
    for name in ("a", "b"):
        value = element(0x00189999, b"UN", bytes(16 << 20) + name.encode() * 2)
        (tmp_path / name).write_bytes(head + content[:at] + value + content[at:])
    tracemalloc.start()
    try:
        assert compare(tmp_path / "a", tmp_path / "b").relation is Relation.DESCRIPTION
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_lengths_of_groups_are_no_attributes(tmp_path: Path) -> None:
    content = image_bytes(STUDY)
    at = content.index(b"\x20\x00\x0d\x00")
    head = file_head(make_image(STUDY).SOPClassUID, make_image(STUDY).SOPInstanceUID, ExplicitVRLittleEndian)
    length, code = element(0x00080000, b"UL", bytes(4)), element(0x00080100, b"SH", b"1 ")
    for name, before, inner in (("a", b"", code), ("b", length, length + code)):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner
        sequence = element(0x00189346, b"SQ", item)
        (tmp_path / name).write_bytes(head + before + content[:at] + sequence + content[at:])
    assert read_fingerprint(tmp_path / "a").changed(read_fingerprint(tmp_path / "b")) == set()


def test_an_attribute_that_cannot_be_read_is_another_and_no_crash(tmp_path: Path) -> None:
    """An empty Pixel Padding Value gets its VR from Pixel Representation, which is one byte here."""
    paths = []
    for number in range(2):
        path = write(tmp_path / f"{number}", pad_nothing, syntax=ImplicitVRLittleEndian)
        raw = path.read_bytes()
        at = raw.index(b"\x28\x00\x03\x01\x02\x00\x00\x00")
        path.write_bytes(raw[: at + 4] + b"\x01\x00\x00\x00" + raw[at + 8 : at + 9] + raw[at + 10 :])
        paths.append(path)
    assert read_fingerprint(paths[0]).changed(read_fingerprint(paths[1])) == set()
    plain = read_fingerprint(write(tmp_path / "plain", pad_nothing, syntax=ImplicitVRLittleEndian))
    assert 0x00280103 in read_fingerprint(paths[0]).changed(plain)


def pad_nothing(image: Dataset) -> None:
    image.add_new(0x00280120, "US", None)


def test_object_of_implausible_size_is_another_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b", named)
    monkeypatch.setattr(fingerprint, "MAX_ATTRIBUTES", 5)
    assert compare(first, second).relation is Relation.IMAGE


def test_large_images_are_not_decoded_to_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b", syntax=RLELossless)
    assert compare(first, second).relation is Relation.SAME
    monkeypatch.setattr(duplicates, "MAX_DECODED_BYTES", 100)
    assert compare(first, second).relation is Relation.IMAGE
    assert compare(first, write(tmp_path / "c", syntax=ImplicitVRLittleEndian)).relation is Relation.SAME


def test_a_number_of_frames_is_not_believed(tmp_path: Path) -> None:
    """Frames of one pixel each: a set of their numbers alone took gigabytes."""

    def many(image: Dataset) -> None:
        image.NumberOfFrames, image.Rows, image.Columns = 2**25, 1, 1
        image.file_meta.TransferSyntaxUID = JPEGLSLossless
        image.PixelData = encapsulate([b"\xff\xd8" + bytes(100) + b"\xff\xd9"])
        image["PixelData"].is_undefined_length = True

    def other(image: Dataset) -> None:
        image.PixelData = encapsulate([b"\xff\xd8" + bytes(99) + b"\1\xff\xd9"])
        image["PixelData"].is_undefined_length = True

    paths = tmp_path / "a", tmp_path / "b"
    for path, changes in zip(paths, ((many,), (many, other)), strict=True):
        image = make_image(STUDY)
        for change in changes:
            change(image)
        image.save_as(path, enforce_file_format=True)
    tracemalloc.start()
    try:
        assert compare(*paths).relation is Relation.IMAGE
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_damaged_deflated_pixels_are_another_image(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name, syntax=DeflatedExplicitVRLittleEndian) for name in ("a", "b"))
    second.write_bytes(second.read_bytes()[:-40] + b"\xff" * 40)
    assert compare(first, second).relation is Relation.IMAGE


def test_a_machine_that_fails_is_no_other_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.EMFILE, "no descriptors")

    first, second = write(tmp_path / "a"), write(tmp_path / "b", named)
    monkeypatch.setattr(duplicates, "read_fingerprint", fail)
    with pytest.raises(OSError, match="no descriptors"):
        compare(first, second)


def test_fingerprint_knows_where_the_pixels_are(tmp_path: Path) -> None:
    found = read_fingerprint(write(tmp_path / "a"))
    assert b"".join(found.pixels()) == bytes(range(256)) * 2
    assert read_fingerprint(write(tmp_path / "b", lambda image: delattr(image, "PixelData"))).pixels_at is None
