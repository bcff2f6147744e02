"""A walk through a data set finds what pydicom finds, holds nothing of it, and has an end."""

import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicom_io.elements import MAX_DEPTH, ElementsError, Walk, source_of
from tests.faults.objects import element, nested

EXPLICIT = str(ExplicitVRLittleEndian)
SEQUENCE = 0x00081110
EMPTY_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def made(chance: random.Random, depth: int = 0) -> Dataset:
    """Texts, numbers and sequences, of defined and of undefined length."""
    dataset = Dataset()
    dataset.StudyDescription = "x" * chance.randrange(0, 300)
    dataset.Rows = chance.randrange(65536)
    dataset.add_new(0x00091001, "OB", bytes(chance.randrange(0, 9000)))
    if depth < 3:
        for keyword in ("ReferencedSeriesSequence", "SourceImageSequence", "ReferencedStudySequence"):
            sequence = Sequence([made(chance, depth + 1) for _ in range(chance.randrange(3))])
            setattr(dataset, keyword, sequence)
            dataset[keyword].is_undefined_length = chance.random() < 0.5
            for item in sequence:
                item.is_undefined_length_sequence_item = chance.random() < 0.5
    return dataset


def encoded(dataset: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax == ImplicitVRLittleEndian
    buffer.is_little_endian = syntax != ExplicitVRBigEndian
    write_dataset(buffer, dataset)
    content: bytes = buffer.getvalue()
    return deflated(content) if syntax == DeflatedExplicitVRLittleEndian else content


def deflated(content: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(content) + deflate.flush()


def tags_of(dataset: Dataset, depth: int = 0) -> list[tuple[int, int]]:
    """Depth and tag of every element, and of every item, in their order."""
    tags = []
    for found in dataset:
        tags.append((depth, int(found.tag)))
        if found.VR == "SQ":
            for item in found.value:
                tags += [(depth + 1, 0xFFFEE000), *tags_of(item, depth + 1)]
    return tags


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_it_finds_what_pydicom_wrote(syntax: str, seed: int) -> None:
    dataset = made(random.Random(seed))  # noqa: S311 - test data
    sequences = {0x00081115, 0x00082112, 0x00081110}
    walk = Walk(source_of(BytesIO(encoded(dataset, syntax)), syntax), syntax, lambda tag, vr: tag in sequences)
    found = []
    for depth, tag, _, _ in walk:
        found.append((depth, tag))
        if depth == 0 and tag == 0x00081030:
            assert (walk.value(1000) or b"").decode().rstrip() == dataset.StudyDescription
        if depth == 0 and tag == 0x00280010:
            assert walk.number() == dataset.Rows
    assert found == tags_of(dataset)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_a_sequence_that_is_not_entered_is_skipped(syntax: str, seed: int) -> None:
    dataset = made(random.Random(seed))  # noqa: S311 - test data
    walk = Walk(source_of(BytesIO(encoded(dataset, syntax)), syntax), syntax)
    assert [tag for depth, tag, _, _ in walk if depth == 0] == [int(found.tag) for found in dataset]


def endless_sequence(count: int) -> bytes:
    return element(SEQUENCE, b"SQ", b"", 0xFFFFFFFF) + EMPTY_ITEM * count


def of_one_deflated_byte(size: int) -> bytes:
    return deflated(element(0x00080008, b"UN", bytes(size), size) + element(0x0020000D, b"UI", b"1.2.3\0"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (endless_sequence(20_000), "too_many_elements"),
        (element(0x00080008, b"CS", b"") * 20_001, "too_many_elements"),
        (nested(MAX_DEPTH + 1, SEQUENCE), "nested_too_deep"),
        (endless_sequence(3), "damaged"),
        (element(SEQUENCE, b"SQ", b"", 0xFFFFFFFF) + element(0x00080008, b"CS", b"A "), "damaged"),
        (nested(2, SEQUENCE)[:-8], "damaged"),
    ],
    ids=["items", "elements", "depth", "no end", "no item", "no last end"],
)
def test_implausible_length_is_named_and_allocates_nothing(content: bytes, reason: str) -> None:
    source = source_of(BytesIO(content), EXPLICIT)
    tracemalloc.start()
    try:
        with pytest.raises(ElementsError) as caught:
            for _ in Walk(source, EXPLICIT, most=20_000):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.reason == reason
    assert peak < 4 << 20


def test_a_depth_that_is_allowed_is_walked_through() -> None:
    walk = Walk(source_of(BytesIO(nested(MAX_DEPTH, SEQUENCE)), EXPLICIT), EXPLICIT)
    assert max(depth for depth, *_ in walk) == MAX_DEPTH


def test_element_longer_than_its_item_is_damaged() -> None:
    inner = element(0x00080008, b"CS", b"", 100)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner
    content = element(SEQUENCE, b"SQ", item) + element(0x00100010, b"PN", b"A" * 200)
    with pytest.raises(ElementsError, match="damaged"):
        list(Walk(source_of(BytesIO(content), EXPLICIT), EXPLICIT, lambda tag, vr: vr == b"SQ"))


ITEM_END, SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0), struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def item(content: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content


INNER = element(0x00080100, b"SH", b"A ")
LAST = element(0x0020000D, b"UI", b"1.2.3\0")


@pytest.mark.parametrize("enters", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        element(SEQUENCE, b"SQ", item(INNER)) + SEQUENCE_END,
        element(SEQUENCE, b"SQ", item(INNER) + SEQUENCE_END),
        element(SEQUENCE, b"SQ", b"") + SEQUENCE_END,
        element(SEQUENCE, b"SQ", b"", 0xFFFFFFFF) + item(INNER) + ITEM_END + SEQUENCE_END,
        element(SEQUENCE, b"SQ", b"", 0xFFFFFFFF) + item(INNER + ITEM_END) + item(INNER) + SEQUENCE_END,
        element(SEQUENCE, b"SQ", item(element(SEQUENCE, b"SQ", item(INNER)) + SEQUENCE_END)),
    ],
    ids=["behind", "within", "of nothing", "behind an item", "in an item", "nested"],
)
def test_ends_that_need_not_be_there_are_passed_over_as_pydicom_does(content: bytes, enters: bool) -> None:
    content += LAST
    assert read_dataset(BytesIO(content), is_implicit_VR=False, is_little_endian=True).StudyInstanceUID == "1.2.3"
    walk = Walk(source_of(BytesIO(content), EXPLICIT), EXPLICIT, lambda tag, vr: enters and vr == b"SQ")
    assert [walk.uid() for depth, tag, _, _ in walk if (depth, tag) == (0, 0x0020000D)] == ["1.2.3"]


def test_deflated_data_is_passed_over_in_pieces() -> None:
    syntax = str(DeflatedExplicitVRLittleEndian)
    content = of_one_deflated_byte(60 << 20)
    tracemalloc.start()
    try:
        walk = Walk(source_of(BytesIO(content), syntax), syntax)
        found = [walk.uid() for _, tag, _, _ in walk if tag == 0x0020000D]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == ["1.2.3"]
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda: of_one_deflated_byte(65 << 20), "inflates_too_far"),
        (lambda: b"\xff" * 1000, "damaged"),
    ],
)
def test_deflated_data_has_an_end(damage: Callable[[], bytes], reason: str) -> None:
    syntax = str(DeflatedExplicitVRLittleEndian)
    with pytest.raises(ElementsError, match=reason):
        for _ in Walk(source_of(BytesIO(damage()), syntax), syntax):
            pass


@pytest.mark.parametrize("size", [*range(65000, 65600, 7), 131072, 196608])
def test_the_last_bytes_of_deflated_data_arrive(size: int) -> None:
    """Also where the last of the input is taken in before all of the output is given out."""
    content = bytes(size) + b"end"
    source = source_of(BytesIO(deflated(content)), DeflatedExplicitVRLittleEndian)
    source.skip(size)
    assert source.read(10) == b"end"
