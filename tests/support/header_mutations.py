"""Headers as other programs write them, right and wrong, made by chance from a seed: bytes, without pydicom."""

import random
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dicom_io.images.headers.part10 import file_head

Value = bytes | tuple[str, tuple[float, ...]] | list[list["Element"]]
"""Text, numbers with their format, or items."""

IMPLICIT, EXPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
TEXTS = (b"AE", b"CS", b"DS", b"IS", b"LO", b"LT", b"PN", b"SH", b"ST", b"UI", b"UT", b"UC", b"UN", b"OB")
FORMATS = {b"FD": "d", b"FL": "f", b"OD": "d", b"OF": "f", b"SL": "l", b"SS": "h", b"UL": "L", b"US": "H", b"OW": "H"}
PADDINGS = (b"", b" ", b"\0", b"\0\0", b"  ", b" \0", b"\0 ", b"\n", b"\t", b"\r\n")
CT = b"1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True)
class Element:
    """One element; its number stands for the tag."""

    tag: int
    vr: bytes
    value: Value


def base(chance: random.Random) -> list[Element]:
    """A header of a CT image with values by chance."""

    def decimals(count: int) -> bytes:
        return b"\\".join(f"{chance.uniform(-500, 500):.{chance.randrange(7)}f}".encode() for _ in range(count))

    def us(*numbers: int) -> Value:
        return "H", tuple(map(float, numbers))

    reference = [Element(0x00081150, b"UI", CT), Element(0x00081155, b"UI", b"1.2.3.4")]
    code = [Element(0x00080100, b"SH", b"T-1"), Element(0x00080104, b"LO", b"meaning")]
    return [
        Element(0x00080005, b"CS", b"ISO_IR 100"),
        Element(0x00080008, b"CS", b"ORIGINAL\\PRIMARY\\AXIAL"),
        Element(0x00080012, b"DA", b"20260301"),
        Element(0x00080016, b"UI", CT),
        Element(0x00080018, b"UI", b"1.2.826.0.1.%d" % chance.randrange(10**6)),
        Element(0x00080020, b"DA", b"20260301"),
        Element(0x00080050, b"SH", b"A%d" % chance.randrange(10**6)),
        Element(0x00080060, b"CS", b"CT"),
        Element(0x00080070, b"LO", b"Maker"),
        Element(0x0008103E, b"LO", "Ärt portal".encode("latin-1")),
        Element(0x00081140, b"SQ", [reference]),
        Element(0x00100010, b"PN", "Müller^Jörg".encode("latin-1")),
        Element(0x00100020, b"LO", b"ID-%d" % chance.randrange(10**6)),
        Element(0x00101030, b"DS", decimals(1)),
        Element(0x00180050, b"DS", decimals(1)),
        Element(0x00180060, b"DS", b"120"),
        Element(0x00180088, b"DS", decimals(1)),
        Element(0x00181210, b"SH", b"B30f"),
        Element(0x0020000D, b"UI", b"1.2.826.0.2.%d" % chance.randrange(10**6)),
        Element(0x0020000E, b"UI", b"1.2.826.0.3.%d" % chance.randrange(10**6)),
        Element(0x00200011, b"IS", b"%d" % chance.randrange(2000)),
        Element(0x00200012, b"IS", b"1"),
        Element(0x00200013, b"IS", b"%d" % chance.randrange(2000)),
        Element(0x00200032, b"DS", decimals(3)),
        Element(0x00200037, b"DS", b"1\\0\\0\\0\\1\\0"),
        Element(0x00200052, b"UI", b"1.2.826.0.4"),
        Element(0x00280002, b"US", us(1)),
        Element(0x00280004, b"CS", b"MONOCHROME2"),
        Element(0x00280010, b"US", us(16)),
        Element(0x00280011, b"US", us(16)),
        Element(0x00280030, b"DS", decimals(2)),
        Element(0x00280100, b"US", us(16)),
        Element(0x00280101, b"US", us(16)),
        Element(0x00280102, b"US", us(15)),
        Element(0x00280103, b"US", us(1)),
        Element(0x00280120, b"SS", ("h", (-2000.0,))),
        Element(0x00281052, b"DS", b"-1024"),
        Element(0x00281053, b"DS", b"1"),
        Element(0x00281054, b"LO", b"HU"),
        Element(0x00400275, b"SQ", [[Element(0x00321064, b"SQ", [code])]]),
    ]


def mutated_file(image: Sequence[Element], chance: random.Random) -> bytes:
    """A whole file of an image after some mutations, in some transfer syntax."""
    elements = list(image)
    for _ in range(chance.randrange(6)):
        elements = chance.choice(_MUTATIONS)(elements, chance)
    syntax = chance.choice((IMPLICIT, EXPLICIT, EXPLICIT, BIG, DEFLATED))
    data = encoded(sorted(elements, key=lambda element: element.tag), syntax, chance)
    data += encoded([Element(0x7FE00010, b"OW", bytes(512))], syntax, chance)
    data += chance.choice((b"", b"", b"", b"\0" * 3, b"\xff" * 40, b"garbage", b"\xfc\xff\xfc\xff"))
    if syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = deflater.compress(data) + deflater.flush() + chance.choice((b"", b"\0"))
    return file_head(CT.decode(), "1.2.3", syntax) + data


def encoded(elements: Sequence[Element], syntax: str, chance: random.Random) -> bytes:
    """The elements' bytes; lengths of sequences and items are stated or not by chance."""
    return b"".join(_encoded(element, syntax, chance) for element in elements)


def _encoded(element: Element, syntax: str, chance: random.Random) -> bytes:
    order = ">" if syntax == BIG else "<"
    undefined = False
    if isinstance(element.value, list):
        undefined = chance.random() < 0.5
        value = b"".join(_item(item, syntax, chance) for item in element.value)
        value += struct.pack(f"{order}HHL", 0xFFFE, 0xE0DD, 0) if undefined else b""
    elif isinstance(element.value, tuple):
        word, numbers = element.value
        value = struct.pack(f"{order}{len(numbers)}{word}", *(n if word in "df" else int(n) for n in numbers))
    else:
        value = element.value
    length = 0xFFFFFFFF if undefined else len(value)
    tag = struct.pack(f"{order}HH", element.tag >> 16, element.tag & 0xFFFF)
    if syntax == IMPLICIT:
        return tag + struct.pack(f"{order}L", length) + value
    size = struct.pack(f"{order}2xL" if element.vr in LONG else f"{order}H", length)
    return tag + element.vr + size + value


def _item(elements: Sequence[Element], syntax: str, chance: random.Random) -> bytes:
    order = ">" if syntax == BIG else "<"
    value = encoded(elements, syntax, chance)
    if chance.random() < 0.5:
        head, end = (struct.pack(f"{order}HHL", 0xFFFE, *rest) for rest in ((0xE000, 0xFFFFFFFF), (0xE00D, 0)))
        return head + value + end
    return struct.pack(f"{order}HHL", 0xFFFE, 0xE000, len(value)) + value


def _changed(elements: list[Element], chance: random.Random, kinds: tuple[type, ...]) -> tuple[int, Element]:
    at = chance.choice([n for n, element in enumerate(elements) if isinstance(element.value, kinds)])
    return at, elements[at]


def _put(elements: list[Element], at: int, element: Element) -> list[Element]:
    return [*elements[:at], element, *elements[at + 1 :]]


def another_vr(elements: list[Element], chance: random.Random) -> list[Element]:
    """The same text under another VR, or the same numbers in another form."""
    at, element = _changed(elements, chance, (bytes, tuple))
    if isinstance(element.value, tuple):
        vr = chance.choice((*FORMATS, b"DS", b"IS"))
        numbers = element.value[1]
    else:
        try:
            numbers = tuple(float(part) for part in element.value.split(b"\\"))
        except ValueError:
            return _put(elements, at, replace(element, vr=chance.choice(TEXTS)))
        vr = chance.choice((*FORMATS, *TEXTS))
    if vr not in FORMATS:
        text = element.value if isinstance(element.value, bytes) else b"\\".join(b"%d" % int(n) for n in numbers)
        return _put(elements, at, replace(element, vr=vr, value=text))
    low, high = {"h": (-(2**15), 2**15), "H": (0, 2**16), "L": (0, 2**32), "l": (-(2**31), 2**31)}.get(
        FORMATS[vr], (-1e30, 1e30)
    )
    kept = tuple(min(max(number, low), high - 1) for number in numbers)
    return _put(elements, at, replace(element, vr=vr, value=(FORMATS[vr], kept)))


def another_padding(elements: list[Element], chance: random.Random) -> list[Element]:
    """Text with other padding, of odd length too, in front, behind, and in the middle."""
    at, element = _changed(elements, chance, (bytes,))
    assert isinstance(element.value, bytes)
    parts = element.value.split(b"\\")
    where = chance.randrange(len(parts))
    parts[where] = chance.choice((b"", b"", b" ")) + parts[where] + chance.choice(PADDINGS)
    return _put(elements, at, replace(element, value=b"\\".join(parts) + chance.choice(PADDINGS)))


def empty_or_absent(elements: list[Element], chance: random.Random) -> list[Element]:
    """No value, or no element."""
    at = chance.randrange(len(elements))
    if chance.random() < 0.5:
        return elements[:at] + elements[at + 1 :]
    empty: Value = [] if isinstance(elements[at].value, list) else b""
    return _put(elements, at, replace(elements[at], value=empty))


def several_values(elements: list[Element], chance: random.Random) -> list[Element]:
    """A value twice, or an empty one beside it."""
    at, element = _changed(elements, chance, (bytes, tuple))
    if isinstance(element.value, tuple):
        return _put(elements, at, replace(element, value=(element.value[0], element.value[1] * 2)))
    assert isinstance(element.value, bytes)
    return _put(elements, at, replace(element, value=element.value + b"\\" + chance.choice((b"", element.value, b"1"))))


def other_characters(elements: list[Element], chance: random.Random) -> list[Element]:
    """A character set, and a name in it."""
    terms, code = chance.choice(((b"ISO_IR 192", "utf-8"), (b"ISO_IR 144", "iso8859_5"), (b"GB18030", "gb18030")))
    name = {"utf-8": "Łukasz^山", "iso8859_5": "Люк", "gb18030": "王^小东"}[code].encode(code)
    text = {0x00080005: terms, 0x00100010: name, 0x0008103E: name}
    return [replace(e, value=text[e.tag]) if e.tag in text else e for e in elements]


def more_elements(elements: list[Element], chance: random.Random) -> list[Element]:
    """Private elements with and without a creator, lengths of groups, overlays, unknown and nested ones."""
    known = {element.tag for element in elements}
    deep: list[Element] = [Element(0x00080100, b"SH", b"deep")]
    for _ in range(chance.randrange(1, 6)):
        deep = [Element(0x00081111, b"SQ", [deep, []])]
    added = (
        [
            Element(0x00090010, b"LO", b"MAKER"),
            Element(0x00091010, b"LO", b"private"),
            Element(0x00091011, b"OB", b"\1\2"),
        ],
        [Element(0x00191020, b"UN", b"no creator")],
        [Element(tag, b"UL", ("L", (float(chance.randrange(500)),))) for tag in (0x00080000, 0x00100000, 0x00200000)],
        deep,
        [Element(0x00082112, b"UN", [[Element(0x00081155, b"UI", b"1.2.9")]])],
        [Element(0x00091012, b"SQ", [[Element(0x00091013, b"LO", b"in private")]])],
        [Element(0x00081199, b"SQ", []), Element(0x00081250, b"SQ", [[]])],
        [Element(0x00180022, b"CS", b"HELIX"), Element(0x00189999, b"LO", b"no such tag")],
        [Element(0x00880200, b"SQ", [[Element(0x00280010, b"US", ("H", (8.0,)))]])],
    )
    return elements + [element for element in chance.choice(added) if element.tag not in known]


_MUTATIONS = (another_vr, another_vr, another_padding, another_padding, empty_or_absent, several_values)
_MUTATIONS += (other_characters, more_elements, more_elements)
