"""Fast header readers against pydicom's own, on mutated headers: ``python -m tests.faults.mutated_headers``.

Where pydicom gives a value, a fast reader gives the same one. Values that only the fast readers give (a NUL in the
middle of numbers, doubles under OD) are not compared, and neither are files that pydicom cannot read.
"""

import argparse
import logging
import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pydicom
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset

from dicom_io.elements import ElementsError
from dicom_io.images.headers.attributes import MALFORMED, integer, numbers, tag_of, text, uid
from dicom_io.images.headers.instance import BadDicomError, NotDicomError, read_instance
from dicom_io.images.headers.part10 import identify, patient_of, read_head
from dicom_io.spool.fingerprint import read_fingerprint
from dicom_io.uids import is_uid
from tests.support.header_mutations import base, mutated_file

UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
TEXTS = ("ImageType", "AccessionNumber", "Modality", "Manufacturer", "SeriesDescription", "PatientName", "PatientID")
TEXTS += ("ConvolutionKernel", "StudyID", "PhotometricInterpretation", "RescaleType", "AcquisitionNumber")
NUMBERS = ("PatientWeight", "SliceThickness", "KVP", "SpacingBetweenSlices", "SeriesNumber", "AcquisitionNumber")
NUMBERS += ("InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "SamplesPerPixel", "Rows", "Columns")
NUMBERS += ("PixelSpacing", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue")
NUMBERS += ("RescaleIntercept", "RescaleSlope")

CODED = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs whose text the character set applies to."""

Difference = tuple[str, str]
"""The reader, and the attribute or error; no value."""


def parts_of(header: Dataset, keyword: str) -> list[object] | None:
    """A value as pydicom gives it, as a list; ``None`` where it gives none."""
    try:
        element = header.get(tag_of(keyword))
        value = None if element is None else element.value
    except MALFORMED:
        return None
    if value is None or value == "":
        return None
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]


def text_of(header: Dataset, keyword: str) -> str | None:
    """The text that pydicom gives, without padding."""
    parts = parts_of(header, keyword)
    return None if parts is None else "\\".join(str(part).strip(" \0") for part in parts)


def numbers_of(header: Dataset, keyword: str) -> tuple[float, ...] | None:
    """The numbers that pydicom gives; ``None`` where it gives something else."""
    try:
        return tuple(float(part) for part in parts_of(header, keyword) or ()) or None  # type: ignore[arg-type]  # anything else is caught
    except MALFORMED:
        return None


def of_header(path: Path, header: Dataset) -> Iterator[Difference]:
    """Compare the reader of headers, and the accessors of its attributes."""
    try:
        found = read_instance(path).header
    except (BadDicomError, NotDicomError):
        if uid(header, "SOPClassUID") or uid(header, "StudyInstanceUID"):  # without either it is no object
            yield "read_instance", "refused"
        return
    for keyword in UIDS:
        expected = text_of(header, keyword)
        if expected is not None and is_uid(expected) and uid(found, keyword) != expected:
            yield "uid", keyword
    for keyword in TEXTS if has_known_characters(header) else ():
        expected = text_of(header, keyword)
        if expected is not None and text(found, keyword) != expected:
            yield "text", keyword
    for keyword in NUMBERS:
        stated = numbers_of(header, keyword)
        if stated is None:
            continue
        if numbers(found, keyword, len(stated)) != stated:
            yield "numbers", keyword
        if len(stated) == 1 and stated[0] == int(stated[0]) and integer(found, keyword) != int(stated[0]):
            yield "integer", keyword


def of_identity(raw: bytes, header: Dataset) -> Iterator[Difference]:
    """Compare the reader of UIDs of what is received."""
    file = BytesIO(raw)
    syntax = read_head(file)
    expected = [text_of(header, keyword) or "" for keyword in UIDS[:3]]
    try:
        found = identify(file, syntax)
    except ElementsError:
        if all(map(is_uid, expected)):
            yield "identify", "refused"
        return
    for keyword, one, other in zip(UIDS, (found.sop_class, found.instance, found.study), expected, strict=False):
        if is_uid(other) and one != other:
            yield "identify", keyword


def has_known_characters(header: Dataset) -> bool:
    """Tell whether pydicom knows the character set; others are understood where they are misspelt."""
    return all(term in python_encoding for term in parts_of(header, "SpecificCharacterSet") or ())


def of_patient(raw: bytes, header: Dataset) -> Iterator[Difference]:
    """Compare the audit trail's reader of patients."""
    if not has_known_characters(header):
        return
    found = patient_of(BytesIO(raw))
    for keyword, value in zip(("PatientID", "PatientName"), found, strict=True):
        expected = text_of(header, keyword)
        # Under another VR it is decoded all the same, which pydicom does not do.
        if expected is not None and header[keyword].VR in CODED and value != expected:
            yield "patient_of", keyword


def of_contents(path: Path, header: Dataset, other_path: Path, other: Dataset) -> Iterator[Difference]:
    """Compare what two files differ in: whatever pydicom says differs, and no attribute that it says is the same."""
    try:
        changed = read_fingerprint(path).changed(read_fingerprint(other_path))
    except ElementsError:
        yield "read_fingerprint", "refused"
        return
    coded = CODED if 0x00080005 in changed else frozenset()
    for tag in {*header.keys(), *other.keys()}:
        if tag.is_private or not tag.element or tag == 0x00880200:
            continue
        try:
            same = tag in header and tag in other and bool(header[tag].value == other[tag].value)
            types = {one[tag].VR for one in (header, other) if tag in one}
        except MALFORMED:
            continue
        if not same and tag not in changed and len(types) == 1 and not types & coded:  # the same bytes are the same
            yield "changed", "a difference is missed"
        if same and tag in changed and "SQ" not in types:  # whose encoding may be stricter
            yield "changed", "a value that is the same"


def differences(seed: str, folder: Path) -> list[Difference] | None:
    """Make two files that differ by chance, and compare all readers; ``None`` where pydicom cannot read one."""
    chance = random.Random(seed)  # noqa: S311 - test data
    image = base(chance)
    raw, other = mutated_file(image, chance), mutated_file(image, chance)
    paths = folder / "a", folder / "b"
    headers = []
    for path, content in zip(paths, (raw, other), strict=True):
        path.write_bytes(content)
        try:
            headers.append(pydicom.dcmread(path, stop_before_pixels=True))
        except Exception:  # noqa: BLE001 - whatever pydicom raises, it gives no value
            return None
    found = [*of_header(paths[0], headers[0]), *of_identity(raw, headers[0]), *of_patient(raw, headers[0])]
    return found + list(of_contents(paths[0], headers[0], paths[1], headers[1]))


def run(tries: int, seed: int, on_difference: Callable[[str, Difference], None]) -> tuple[int, int]:
    """Return the number of headers that were compared, and of those that differ."""
    compared = differing = 0
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of headers that are wrong on purpose
        number = 0
        while compared < tries:
            number += 1
            found = differences(f"{seed} {number}", Path(folder))
            if found is None:
                continue
            compared += 1
            differing += bool(found)
            for one in found:
                on_difference(f"{seed} {number}", one)
    return compared, differing


def main() -> int:
    """Compare, and print the figures; exit code 1 where one differs."""
    parser = argparse.ArgumentParser(description="Compare fast header readers with pydicom.")
    parser.add_argument("--tries", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    kinds: Counter[Difference] = Counter()
    examples: dict[Difference, str] = {}

    def note(seed: str, one: Difference) -> None:
        kinds[one] += 1
        examples.setdefault(one, seed)

    compared, differing = run(arguments.tries, arguments.seed, note)
    for one, count in kinds.most_common():
        logging.info("%s, %s, seed %s: %d", *one, examples[one], count)
    logging.info("mutated headers  %d", compared)
    logging.info("fast readers that differ from pydicom  %d", differing)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
