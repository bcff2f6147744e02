"""UIDs and patient of a data set, found in any bytes without holding them."""

import errno
import random
import tracemalloc
import zlib
from io import BytesIO
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)

from dicom_io.elements import ElementsError
from dicom_io.images.headers.part10 import Identity, file_head, identify, patient_of
from tests.faults.objects import early, element, image_bytes, nested
from tests.support.node_process import make_image

STUDY = "1.2.3"
IDENTITY = Identity(str(CTImageStorage), str(make_image(STUDY, 1).SOPInstanceUID), STUDY)
SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless),
    *(ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian),
)


def deflated(content: bytes, tail: bytes = b"") -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(content) + (deflate.flush(zlib.Z_SYNC_FLUSH) + tail if tail else deflate.flush())


def encoded(syntax: UID) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    again = Dataset()
    again.update({found.tag: found for found in make_image(STUDY, 1)})
    write_dataset(buffer, again)
    content: bytes = buffer.getvalue()
    return deflated(content) if syntax == DeflatedExplicitVRLittleEndian else content


IMAGES = {str(syntax): encoded(syntax) for syntax in SYNTAXES}


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_an_image_is_identified(syntax: UID) -> None:
    assert identify(BytesIO(IMAGES[syntax]), syntax) == IDENTITY


@pytest.mark.parametrize("inserted", [nested(2, 0x00081110), element(0x00090010, b"OB", bytes(20000))])
def test_elements_before_the_study_are_passed_over(inserted: bytes) -> None:
    assert identify(BytesIO(early(STUDY, inserted)), ExplicitVRLittleEndian) == IDENTITY


def identified(content: bytes, syntax: str) -> Identity:
    """An identity of empty UIDs for what is damaged."""
    try:
        return identify(BytesIO(content), syntax)
    except ElementsError:
        return Identity("", "", "")


def test_a_beginning_without_the_study_says_nothing() -> None:
    content = image_bytes(STUDY)
    at = content.index(b"\x20\x00\x0d\x00")
    assert all(identified(content[:end], ExplicitVRLittleEndian).study == "" for end in range(at + 8 + len(STUDY)))


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_damaged_objects_are_identified_or_refused(syntax: UID, seed: int) -> None:
    """For any bytes: one error alone is raised, and what is whole before the UIDs is read as it is."""
    chance = random.Random(seed)  # noqa: S311 - test data
    damaged = bytearray(IMAGES[syntax])
    whole = chance.random() < 0.3
    for _ in range(0 if whole else chance.randrange(1, 8)):
        damaged[chance.randrange(len(damaged) // 2)] = chance.choice([chance.randrange(256), 0, 8, 0x10, 0x20, 255])
    found = identified(bytes(damaged), syntax)
    assert not whole or found == IDENTITY
    assert all("\0" not in uid[-1:] for uid in (found.sop_class, found.instance, found.study))


def test_sequences_before_the_uids_cost_their_bytes_and_no_more() -> None:
    """As pydicom reads them, 4 MiB of them took 350 MiB and 15 s."""
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff\xfe\xff\x0d\xe0\0\0\0\0"
    content = element(0x00081110, b"SQ", b"", 0xFFFFFFFF) + item * 20_000 + b"\xfe\xff\xdd\xe0\0\0\0\0"
    data_set = BytesIO(early(STUDY, content))
    tracemalloc.start()
    try:
        assert identify(data_set, ExplicitVRLittleEndian) == IDENTITY
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


class _Broken(BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError(errno.EIO, "broken")


def test_a_disk_that_fails_is_no_damaged_object() -> None:
    with pytest.raises(OSError, match="broken"):
        identify(_Broken(), ExplicitVRLittleEndian)
    with pytest.raises(OSError, match="broken"):
        patient_of(_Broken())


def whole(data_set: bytes, syntax: str = ExplicitVRLittleEndian) -> BinaryIO:
    return cast(BinaryIO, BytesIO(file_head(CTImageStorage, "1.2.3", syntax) + data_set))


PATIENT = element(0x00100010, b"PN", "Müller^Ä".encode("latin-1") + b" ") + element(0x00100020, b"LO", b"ID-7")
LATIN_1 = element(0x00080005, b"CS", b"ISO_IR 100")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_patient_id_and_name_are_read(syntax: str) -> None:
    content = LATIN_1 + PATIENT
    data_set = deflated(content) if syntax == DeflatedExplicitVRLittleEndian else content
    assert patient_of(whole(data_set, syntax)) == ("ID-7", "Müller^Ä")


@pytest.mark.parametrize(
    "file",
    [
        whole(b""),
        whole(element(0x00280010, b"US", b"\x10\0")),
        whole(nested(200, 0x00081110) + PATIENT),
        whole(element(0x00080008, b"UN", bytes(10), 100)),
        whole(element(0x00080008, b"UN", b"", 0xFFFFFFFF) + PATIENT),
        whole(b"\xff" * 100, DeflatedExplicitVRLittleEndian),
        BytesIO(bytes(10)),
        BytesIO(bytes(1000)),
        BytesIO(bytes(128) + b"DICM" + bytes(100)),
    ],
    ids=["empty", "no patient", "deep", "cut off", "no item", "not deflated", "short", "zeros", "no meta"],
)
def test_a_file_without_a_patient_gives_empty_texts(file: BinaryIO) -> None:
    assert patient_of(file) == ("", "")


def test_an_unknown_character_set_is_no_error() -> None:
    with pytest.warns(UserWarning, match="encoding"):
        patient, _ = patient_of(whole(element(0x00080005, b"CS", b"ISO_IR 9") + PATIENT))
    assert patient == "ID-7"


def test_a_bomb_is_not_inflated_to_find_the_patient() -> None:
    bomb = deflated(PATIENT + element(0x7FE00010, b"OW", bytes(64 << 20)), tail=b"\xff" * 100)
    tracemalloc.start()
    try:
        assert patient_of(whole(bomb, DeflatedExplicitVRLittleEndian))[0] == "ID-7"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
