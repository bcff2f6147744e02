"""Images that do not agree on patient and study: most of them count, as a whole, and a warning says so."""

from collections.abc import Callable

from pydicom.dataset import Dataset

from core.study_warning import WarningCode
from dicom_io.results.source_agreement import MAX_OPINIONS, agree
from tests.faults.table import FAULT


def image(**attributes: object) -> Dataset:
    header = Dataset()
    header.PatientID = "1"
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    return header


def issuer(name: str) -> list[Dataset]:
    item = Dataset()
    item.LocalNamespaceEntityID = name
    return [item]


def test_images_that_agree_need_no_warning() -> None:
    headers = [image(StudyID="A", SeriesDescription=str(number)) for number in range(3)]
    found = agree(headers)
    assert found.speaker is headers[0]
    assert found.warnings() == ()


def test_most_images_count_and_their_words_are_never_mixed(record_property: Callable[[str, object], None]) -> None:
    record_property(FAULT, "images that do not agree on patient and study")
    first = image(AccessionNumber="A", IssuerOfAccessionNumberSequence=issuer("a"))
    headers = [first, image(AccessionNumber="B", IssuerOfAccessionNumberSequence=issuer("b"))]
    headers += [image(AccessionNumber="B", IssuerOfAccessionNumberSequence=issuer("b"), InstitutionName="X")]
    found = agree(headers)
    assert found.speaker is headers[1]
    assert found.inherited.dataset.AccessionNumber == "B"
    assert found.inherited.dataset.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "b"
    (warning,) = found.warnings("1.2.3")
    assert (warning.code, warning.series_uid) == (WarningCode.INHERITED_DIFFERS, "1.2.3")
    assert warning.detail == "They are: AccessionNumber, IssuerOfAccessionNumberSequence."


def test_of_as_many_the_first_count() -> None:
    headers = [image(StudyID=name) for name in "ABBA"]
    assert agree(headers).speaker is headers[0]


def test_empty_and_absent_are_the_same() -> None:
    assert agree([image(StudyID=""), image(), image(StudyID=None)]).warnings() == ()


def test_images_of_many_opinions_are_not_compared_for_ever() -> None:
    headers = [image(StudyID=str(number % 100)) for number in range(1000)]
    assert agree(headers).speaker in headers[:MAX_OPINIONS]
