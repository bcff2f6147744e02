"""Faults of objects: what a data set may hold that it should not, sent as it is."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

from core.errors import StudyRejected
from dicom_io.images.headers.instance import BadDicomError, NotDicomError, read_instance
from dicom_io.images.pixels.pixels import check_stored, read_frames
from dicom_io.spool.received import study_key
from tests.faults.table import Fault
from tests.support.listener_process import ListenerProcess
from tests.support.node_process import make_image
from tests.support.upper_layer import Connection, associate_rq, command, p_data, pdv

CT = str(CTImageStorage)
Change = Callable[[Dataset], None]


def store_command(study: str, number: int = 1, *, instance: str | None = None, sop_class: str = CT) -> bytes:
    """C-STORE-RQ for the image of a study."""
    return command(1, sop_class, instance or str(make_image(study, number).SOPInstanceUID), has_data=True)


def image_bytes(study: str, number: int = 1, change: Change | None = None) -> bytes:
    """The encoded data set of a made image, explicit little endian."""
    image = make_image(study, number)
    if change is not None:
        change(image)
    buffer = BytesIO()
    image.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=False)
    content = buffer.getvalue()
    # Without preamble there still may be group 2.
    return content if content[:2] == b"\x08\x00" else content[content.index(b"\x08\x00\x16\x00") :]


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """An element, explicit little endian, that may lie about its length."""
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    claimed = len(value) if length is None else length
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return head + struct.pack("<HL", 0, claimed) + value
    return head + struct.pack("<H", claimed) + value


def storing(
    make: Callable[[str], bytes],
    *,
    study_uid: str | None = None,
    instance: str | None = None,
    syntax: str = str(ExplicitVRLittleEndian),
) -> Callable[[ListenerProcess], str]:
    """Send an object; what is answered, and what reading it says where it was stored."""

    def inject(listener: ListenerProcess) -> str:
        study = study_uid if study_uid is not None else str(generate_uid())
        known = set(listener.spool.study_keys())
        with Connection(listener.port) as connection:
            connection.associate(associate_rq(contexts=[(3, CT, (syntax,))]))
            data = make(study)
            connection.send(p_data(pdv(3, 3, store_command(study, instance=instance))))
            for start in range(0, max(1, len(data)), 100_000):
                part = data[start : start + 100_000]
                connection.send(p_data(pdv(3, 2 if start + 100_000 >= len(data) else 0, part)))
            status = connection.status()
        answer = "ended" if status is None else f"0x{status:04X}"
        stored = set(listener.spool.study_keys()) - known
        if answer != "0x0000" or not stored:
            return f"{answer}, stored" if stored else answer
        (path,) = listener.images(study)
        if not path.read_bytes().endswith(data):
            return "stored other bytes"
        return f"{answer}, {reading(path)}"

    return inject


def reading(path: Path) -> str:
    """Return the reader's result for a stored file: header, size and first frame."""
    try:
        instance = read_instance(path)
        check_stored(instance)
        next(read_frames(instance, [1]))
    except NotDicomError:
        return "no DICOM"
    except BadDicomError:
        return "unreadable"
    except StudyRejected as rejection:
        return str(rejection.code)
    return "readable"


def changed(**attributes: object) -> Callable[[str], bytes]:
    """The made image with other attributes."""

    def change(image: Dataset) -> None:
        for keyword, value in attributes.items():
            setattr(image, keyword, value)

    return lambda study: image_bytes(study, change=change)


def without(keyword: str) -> Callable[[str], bytes]:
    """The made image without an attribute."""
    return lambda study: image_bytes(study, change=lambda image: delattr(image, keyword))


def replaced(tag: int, encoded: bytes) -> Callable[[str], bytes]:
    """The made image with one element as bytes."""

    def make(study: str) -> bytes:
        content = image_bytes(study)
        at = content.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF))
        long = content[at + 4 : at + 6] in (b"OB", b"OW", b"SQ")
        head = 12 if long else 8
        length = int.from_bytes(content[at + 8 : at + 12] if long else content[at + 6 : at + 8], "little")
        return content[:at] + encoded + content[at + head + length :]

    return make


def with_uid(tag: int, value: bytes) -> Callable[[str], bytes]:
    """The made image with the raw bytes of a UID."""
    return replaced(tag, element(tag, b"UI", value + b"\0" * (len(value) % 2)))


def nested(depth: int, tag: int) -> bytes:
    """Sequences within sequences, all of undefined length."""
    head = element(tag, b"SQ", b"", 0xFFFFFFFF) + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    tail = struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    return head * depth + tail * depth


def items(count: int) -> bytes:
    """A sequence of empty items, of undefined length."""
    head, end = element(NESTED, b"SQ", b"", 0xFFFFFFFF), struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    return head + struct.pack("<HHL", 0xFFFE, 0xE000, 0) * count + end


def corrected(listener: ListenerProcess) -> str:
    """An image with a long header, and the same with one item more and other pixels: both have to be compared."""
    study, answers = generate_uid(), []
    with Connection(listener.port) as connection:
        connection.associate(associate_rq(contexts=[(3, CT, (str(ExplicitVRLittleEndian),))]))
        for number in range(2):
            data = early(study, items(100_000 + number))
            data = data[:-2] + struct.pack("<H", number)
            connection.send(p_data(pdv(3, 3, store_command(study))) + p_data(pdv(3, 2, data)))
            status = connection.status()
            answers.append("ended" if status is None else f"0x{status:04X}")
    quarantined = listener.spool.quarantined(study_key("SEGNODE", study))
    return f"{', '.join(answers)}, {len(listener.images(study))} stored, {quarantined} quarantined"


def bomb(study: str) -> bytes:
    """A data set of 0.5 MB that inflates to 500."""
    head = image_bytes(study)
    at = head.index(b"\xe0\x7f\x10\x00")
    content = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = content.compress(head[:at] + element(0x7FE00010, b"OW", b"", 500_000_000))
    data += b"".join(content.compress(bytes(10_000_000)) for _ in range(50))
    return data + content.flush()


def broken_off(study: str) -> bytes:
    """A data set of which what stands far behind the study's UID is not deflated."""
    content = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = content.compress(cut(study) + element(0x00280010, b"UN", bytes(300_000)))
    return data + content.flush(zlib.Z_SYNC_FLUSH) + b"\xff" * 1000


STUDY, SOP_CLASS, INSTANCE, ROWS, PIXELS = 0x0020000D, 0x00080016, 0x00080018, 0x00280010, 0x7FE00010
NESTED = 0x00081110
KANJI = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B="
CHARACTER_SETS = replaced(
    0x00080016, element(0x00080005, b"CS", b"\\ISO 2022 IR 87 ") + element(SOP_CLASS, b"UI", CT.encode() + b"\0")
)

OBJECTS = (
    Fault("study UID with ..", "0xC000", storing(with_uid(STUDY, b"../../etc/x"))),
    Fault("study UID with a slash", "0xC000", storing(with_uid(STUDY, b"1.2/3"))),
    Fault("study UID with NUL", "0xC000", storing(with_uid(STUDY, b"1.2.3\x00.4"))),
    Fault("study UID of 65 characters", "0xC000", storing(with_uid(STUDY, b"1." * 32 + b"1"))),
    Fault("study UID empty", "0xC000", storing(with_uid(STUDY, b""))),
    Fault("study UID of letters", "0xC000", storing(with_uid(STUDY, b"one.two"))),
    Fault("two study UIDs", "0xC000", storing(with_uid(STUDY, b"1.2.3\\1.2.4"))),
    Fault("no study UID", "0xC000", storing(without("StudyInstanceUID"))),
    Fault("instance UID with ..", "0xC000", storing(image_bytes, instance="../../etc/x")),
    Fault("instance UID with NUL", "0xC000", storing(image_bytes, instance="1.2.3\0.4")),
    Fault("instance UID empty", "0xA900", storing(with_uid(INSTANCE, b""))),
    Fault("instance UID of 65 characters", "0xC000", storing(image_bytes, instance="1." * 32 + "1")),
    Fault("another instance than the command's", "0xA900", storing(image_bytes, instance="1.2.3")),
    Fault("another class than the command's", "0xA900", storing(with_uid(SOP_CLASS, b"1.2.840.10008.5.1.4.1.1.4"))),
    Fault("no instance UID", "0xA900", storing(without("SOPInstanceUID"))),
    Fault("empty data set", "0xC000", storing(lambda study: b"")),
    Fault("data set of zeros", "0xC000", storing(lambda study: bytes(1000))),
    Fault("data set of 0xFF", "0xC000", storing(lambda study: b"\xff" * 1000)),
    Fault(
        "element longer than the object",
        "0xC000",
        storing(replaced(0x00080060, element(0x00080060, b"UN", b"CT", 0xFFFFFFF0))),
    ),
    Fault(
        "undefined length without end, early", "0xC000", storing(lambda study: element(NESTED, b"SQ", b"", 0xFFFFFFFF))
    ),
    Fault(
        "undefined length without end, late",
        "0x0000, unreadable",
        storing(lambda study: cut(study) + element(0x00400275, b"SQ", b"", 0xFFFFFFFF)),
    ),
    Fault("sequences nested 3000 deep, early", "0xC000", storing(lambda study: early(study, nested(3000, NESTED)))),
    Fault("half a million items before the UIDs", "0xC000", storing(lambda study: early(study, items(500_000)))),
    Fault("a hundred thousand items, sent twice", "0x0000, 0x0000, 1 stored, 1 quarantined", corrected),
    Fault(
        "sequences nested 3000 deep, late",
        "0x0000, unreadable",
        storing(lambda study: cut(study) + nested(3000, 0x00400275)),
    ),
    Fault(
        "Rows x Columns overflow",
        "0x0000, unreadable_pixels",
        storing(changed(Rows=65535, Columns=65535, NumberOfFrames=2**31 - 1)),
    ),
    Fault("Rows 0", "0x0000, unreadable_pixels", storing(changed(Rows=0))),
    Fault("short pixel data", "0x0000, truncated_pixels", storing(changed(PixelData=bytes(100)))),
    Fault("no pixel data", "0x0000, truncated_pixels", storing(without("PixelData"))),
    Fault(
        "pixel data longer than the object",
        "0x0000, truncated_pixels",
        storing(replaced(PIXELS, element(PIXELS, b"OW", bytes(100), 512))),
    ),
    Fault(
        "pixel data of undefined length",
        "0x0000, unreadable_pixels",
        storing(replaced(PIXELS, element(PIXELS, b"OW", bytes(512), 0xFFFFFFFF))),
    ),
    Fault("wrong VR of Rows", "0x0000, unreadable_pixels", storing(replaced(ROWS, element(ROWS, b"LO", b"sixteen ")))),
    Fault(
        "VR that does not exist", "0x0000, unreadable_pixels", storing(replaced(ROWS, element(ROWS, b"ZZ", b"\x10\0")))
    ),
    Fault("wrong VR of the study UID", "0xC000", storing(replaced(STUDY, element(STUDY, b"OB", b"1.2.3\0")))),
    Fault("several character sets", "0x0000, readable", storing(CHARACTER_SETS)),
    Fault(
        "unknown character set",
        "0x0000, readable",
        storing(
            replaced(
                SOP_CLASS, element(0x00080005, b"CS", b"ISO_IR 9") + element(SOP_CLASS, b"UI", CT.encode() + b"\0")
            )
        ),
    ),
    Fault(
        "name that its character set has not",
        "0x0000, readable",
        storing(replaced(0x00100010, element(0x00100010, b"PN", KANJI + b"\xff\xfe"))),
    ),
    Fault(
        "other byte order than negotiated",
        "0xC000",
        storing(lambda study: b"\x00\x08\x00\x16UI\x00\x1a" + CT.encode() + b"\0"),
    ),
    Fault("object with a preamble", "0xC000", storing(lambda study: bytes(128) + b"DICM" + image_bytes(study))),
    Fault(
        "elements out of order",
        "0xC000",
        storing(lambda study: element(0x00280010, b"US", b"\x10\0") + image_bytes(study)),
    ),
    Fault("deflate bomb, by default", "ended", storing(bomb, syntax=str(DeflatedExplicitVRLittleEndian))),
    Fault(
        "deflated data that breaks off, where there is an audit trail",
        "0x0000, unreadable",
        storing(broken_off, syntax=str(DeflatedExplicitVRLittleEndian)),
        "deflated",
    ),
    Fault(
        "deflate bomb, where deflated is taken",
        "0x0000, readable",
        storing(bomb, syntax=str(DeflatedExplicitVRLittleEndian)),
        "deflated",
    ),
)


def cut(study: str) -> bytes:
    """The made image up to its pixels' description."""
    content = image_bytes(study)
    return content[: content.index(struct.pack("<HH", 0x0028, 0x0002))]


def early(study: str, inserted: bytes) -> bytes:
    """The made image with elements before its study UID."""
    content = image_bytes(study)
    at = content.index(struct.pack("<HH", 0x0010, 0x0010))
    return content[:at] + inserted + content[at:]
