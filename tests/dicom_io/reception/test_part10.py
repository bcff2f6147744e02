"""The UIDs of a data set: the quick reader says what pydicom says, or nothing."""

import random
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)

from dicom_io.reception.part10 import Identity, identify, quick_identity
from tests.faults.objects import early, element, image_bytes, nested
from tests.node_process import make_image

STUDY = "1.2.3"
IDENTITY = Identity(str(CTImageStorage), str(make_image(STUDY, 1).SOPInstanceUID), STUDY)
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless)


def encoded(syntax: UID) -> bytes:
    buffer = BytesIO()
    image = make_image(STUDY, 1)
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if syntax.is_implicit_VR else ExplicitVRLittleEndian
    image.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=False)
    content = buffer.getvalue()
    return content[content.index(b"\x08\x00\x16\x00") :]


IMAGES = {str(syntax): encoded(syntax) for syntax in SYNTAXES}


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_both_read_an_ordinary_image(syntax: UID) -> None:
    content = IMAGES[syntax]
    assert quick_identity(content, syntax) == IDENTITY
    assert identify(BytesIO(content), syntax) == IDENTITY


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_what_is_out_of_the_ordinary_is_left_to_pydicom(syntax: UID) -> None:
    assert quick_identity(IMAGES[ExplicitVRLittleEndian], syntax) is None


@pytest.mark.parametrize("inserted", [nested(2, 0x00081110), element(0x00090010, b"OB", bytes(20000))])
def test_what_stands_before_the_study_is_passed_over(inserted: bytes) -> None:
    content = early(STUDY, inserted)
    assert quick_identity(content[:16384], ExplicitVRLittleEndian) is None
    assert identify(BytesIO(content), ExplicitVRLittleEndian) == IDENTITY


def test_a_beginning_without_the_study_says_nothing() -> None:
    content = image_bytes(STUDY)
    at = content.index(b"\x20\x00\x0d\x00")
    assert all(quick_identity(content[:end], ExplicitVRLittleEndian) is None for end in range(at + 8 + len(STUDY)))


# pydicom warns of what it finds; the listener's log has only where.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_damaged_objects_are_identified_alike_or_not_at_all(syntax: UID, seed: int) -> None:
    """Whatever bytes: neither raises, and where the quick reader has an answer, it is pydicom's."""
    chance = random.Random(seed)  # noqa: S311 - test data
    content = IMAGES[syntax]
    end = content.index(b"\x20\x00\x0d\x00") + 40
    damaged = bytearray(content[: chance.randrange(end - 60, end + 20)])
    for _ in range(chance.randrange(0, 8)):
        damaged[chance.randrange(len(damaged))] = chance.choice([chance.randrange(256), 0, 8, 0x10, 0x20, 255])
    quick, thorough = quick_identity(bytes(damaged), syntax), identify(BytesIO(damaged), syntax)
    assert quick is None or quick == thorough
