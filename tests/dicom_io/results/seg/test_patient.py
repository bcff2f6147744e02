"""Attributes that a SEG takes over from its source: identity in any character set, valid even from a broken source."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from core.model_config import LabelSpec
from core.study_warning import WarningCode
from dicom_io.results.seg.build import agreement_of, build_seg, verify_seg, write_seg
from dicom_io.results.source_attributes import REQUIRED, choose_character_set, inherit
from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import make_series, save_series
from phantom.tags import StudyTags
from tests.faults.table import FAULT
from tests.support.seg_cases import LABELS, Case, context, label_map, read_case
from tests.support.series_helpers import ct_series

KOREAN = "Hong^Gildong=洪^吉洞=홍^길동"
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
HALF_WIDTH = "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"
NAMES = [
    (KOREAN, "\\ISO 2022 IR 149"),
    (JAPANESE, "\\ISO 2022 IR 87"),
    (HALF_WIDTH, "ISO 2022 IR 13\\ISO 2022 IR 87"),
    ("Müller^Jürgen", "ISO_IR 100"),
    ("Διονυσιος", "ISO_IR 126"),
    ("Люкceмбypг", "ISO_IR 144"),
    ("Wang^XiaoDong=王^小东", "GB18030"),
    (KOREAN, "ISO_IR 192"),
]


def written(case: Case, folder: Path, labels: tuple[LabelSpec, ...] = LABELS, **output: object) -> Path:
    path = folder / "x.seg.dcm"
    given = label_map(case, labels=labels)
    write_seg(build_seg(given, case.volume, case.sources, context(labels, **output)), path)
    verify_seg(path, given)
    return path


def series_with(folder: Path, name: str, character_set: str, **attributes: object) -> Case:
    """A small series whose header bytes are in the given character set."""
    phantom = make_phantom(trunk_geometry((40.0, 12.0, 10.0)))
    datasets = make_series(phantom, study=StudyTags(name=name))
    for dataset in datasets:
        dataset.SpecificCharacterSet = character_set.split("\\") if "\\" in character_set else character_set
        dataset.PatientName = name
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
    save_series(datasets, folder)
    return read_case(folder)


@pytest.mark.parametrize(("name", "character_set"), NAMES)
@pytest.mark.parametrize("setting", ["utf8", "source"])
def test_names_keep_their_characters(
    name: str, character_set: str, setting: str, tmp_path: Path, peer: Callable[[str], str]
) -> None:
    case = series_with(tmp_path / "series", name, character_set)
    path = written(case, tmp_path, character_set=setting)
    seg = pydicom.dcmread(path)
    assert str(seg.PatientName) == name
    assert seg.PatientID == "PHANTOM-1"
    terms = seg.SpecificCharacterSet
    found = terms if isinstance(terms, str) else "\\".join(terms)
    assert found == ("ISO_IR 192" if setting == "utf8" else character_set)
    if setting == "source" and "ISO 2022 IR 87" in character_set:
        return  # DCMTK's iconv has no Japanese code extension; the bytes are held against PS3.5 below
    # DCMTK decodes by code of its own
    done = subprocess.run([peer("dcmdump"), "+U8", "+P", "PatientName", str(path)], capture_output=True, check=True)  # noqa: S603 - a peer found by name
    assert name in done.stdout.decode("utf-8")


PS3_5_EXAMPLES = [
    (
        KOREAN,
        "\\ISO 2022 IR 149",
        "486f6e675e47696c646f6e673d1b242943fbf35e1b242943d1ced4d73d1b242943c8ab5e1b242943b1e6b5bf",
    ),
    (
        JAPANESE,
        "\\ISO 2022 IR 87",
        "59616d6164615e5461726f753d1b24423b3345441b28425e1b244242404f3a1b28423d1b24422464245e24401b28425e1b2442243f246d2426"
        "1b2842",
    ),
    (
        HALF_WIDTH,
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        "d4cfc0de5ec0dbb33d1b24423b3345441b284a5e1b244242404f3a1b284a3d1b24422464245e24401b284a5e1b2442243f246d24261b284a",
    ),
]
"""PS3.5 sections I.2, H.3.1 and H.3.2: the name, its character set, its bytes."""


@pytest.mark.parametrize(("name", "character_set", "encoded"), PS3_5_EXAMPLES)
def test_kept_character_sets_give_the_bytes_of_the_standard(
    name: str, character_set: str, encoded: str, tmp_path: Path
) -> None:
    case = series_with(tmp_path / "series", name, character_set)
    assert bytes.fromhex(encoded) in case.sources[0].path.read_bytes()
    path = written(case, tmp_path, character_set="source")
    assert bytes.fromhex(encoded) in path.read_bytes()
    assert bytes.fromhex(encoded) not in written(case, tmp_path).read_bytes()


def test_a_label_that_the_source_has_no_code_for_is_written_in_utf8(tmp_path: Path) -> None:
    case = series_with(tmp_path / "series", "Müller^Jürgen", "ISO_IR 100")
    labels = (*LABELS[:3], LabelSpec(value=7, name="간"))
    seg = pydicom.dcmread(written(case, tmp_path, labels, character_set="source"))
    assert seg.SpecificCharacterSet == "ISO_IR 100", "the label does not occur"
    labels = (LabelSpec(value=1, name="간"), *LABELS[1:])
    seg = pydicom.dcmread(written(case, tmp_path, labels, character_set="source"))
    assert seg.SpecificCharacterSet == "ISO_IR 192"
    assert seg.SegmentSequence[0].SegmentLabel == "간"
    assert str(seg.PatientName) == "Müller^Jürgen"


def test_study_and_patient_are_the_source_s_own(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    case = read_case(real_data("crlm-ct-1006"))
    source = case.sources[0].header
    seg = pydicom.dcmread(written(case, tmp_path))
    for keyword in (
        "StudyInstanceUID",
        "PatientID",
        "PatientName",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "PatientAge",
    ):
        assert seg[keyword].value == source[keyword].value, keyword
    assert seg.PatientIdentityRemoved == "YES"
    assert len(seg.DeidentificationMethodCodeSequence) == len(source.DeidentificationMethodCodeSequence)
    assert seg.AdditionalPatientHistory == source.AdditionalPatientHistory
    for keyword in (
        "BodyPartExamined",
        "ProtocolName",
        "SeriesDescription",
        "KVP",
        "AcquisitionDate",
        "PatientPosition",
    ):
        assert keyword not in seg or seg[keyword].value != source.get(keyword), "it describes the source's series"


def test_an_identifier_too_long_stands_as_it_came(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    case = read_case(real_data("sts-001-ct/dicom"))
    assert len(case.sources[0].header.StudyID) == 17
    seg = pydicom.dcmread(written(case, tmp_path))
    assert seg.StudyID == case.sources[0].header.StudyID
    assert seg.AccessionNumber == "1764353264683505"
    (warning,) = agreement_of(case.volume, case.sources).warnings("1.2")
    assert (warning.code, warning.series_uid) == (WarningCode.INHERITED_TOO_LONG, "1.2")
    assert warning.detail == "They are: StudyID."


LONG = {
    "PatientName": "Ä" * 70 + "^Anna=" + "洪" * 65,
    "PatientID": "P" * 80,
    "AccessionNumber": "ABC-2026-000123456789",
    "StudyID": "S" * 17,
    "StudyDescription": "d" * 65,
    "IssuerOfPatientID": "I" * 65,
    "PatientIdentityRemoved": "N" * 17,
    "PatientWeight": "70.1234567890123456",
    "OtherPatientNames": ["A^B", "C" * 65],
    "PatientComments": "c" * 10300,
    "AdmissionID": "a" * 65,
}


@pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")  # of the long values, while the source is made
@pytest.mark.parametrize("setting", ["utf8", "source"])
def test_every_value_that_is_only_too_long_stands_as_it_came(
    setting: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, f"values of patient and study longer than DICOM allows, characters: {setting}")
    item = Dataset()
    item.PatientID, item.IssuerOfPatientID = "Q" * 70, "ok"
    case = series_with(tmp_path / "series", "A^B", "ISO_IR 192", **LONG, OtherPatientIDsSequence=[item])
    seg = pydicom.dcmread(written(case, tmp_path, character_set=setting))
    for keyword, value in LONG.items():
        found = [str(part) for part in seg[keyword].value] if isinstance(value, list) else str(seg[keyword].value)
        assert found == value, keyword
    assert seg.OtherPatientIDsSequence[0].PatientID == "Q" * 70
    (warning,) = agreement_of(case.volume, case.sources).warnings()
    assert warning.code is WarningCode.INHERITED_TOO_LONG
    named = warning.detail.removeprefix("They are: ").rstrip(".").split(", ")
    assert set(named) == set(LONG), "of the item's Patient ID the keyword is there already"


BROKEN = {
    "PatientBirthDate": "01.02.1950",
    "PatientSex": "X",
    "StudyDate": "2026-01-02",
    "StudyTime": "10:15",
    "AccessionNumber": "12345678901234567890",
    "StudyID": "A\\B",
    "SeriesNumber": "",
    "PatientAge": "fifty",
    "Manufacturer": "M" * 65,
    "SoftwareVersions": ["1", "V" * 70],
}


@pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")  # of the broken values, while the source is made
def test_broken_attributes_become_empty_and_the_object_valid(
    tmp_path: Path, peer: Callable[[str], str], record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, "values of patient and study in a form that DICOM forbids")
    case = series_with(tmp_path / "series", "A^B", "ISO_IR 100", **BROKEN)
    path = written(case, tmp_path)
    seg = pydicom.dcmread(path)
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        assert seg[keyword].value in ("", None), keyword
    assert "PatientAge" not in seg
    assert seg.AccessionNumber == "12345678901234567890"
    told = {warning.code: warning.detail for warning in agreement_of(case.volume, case.sources).warnings()}
    assert told == {
        WarningCode.INHERITED_TOO_LONG: "They are: AccessionNumber.",
        WarningCode.INHERITED_LEFT_OUT: "They are: StudyDate, StudyTime, PatientBirthDate, PatientSex, PatientAge, "
        "StudyID.",
    }
    assert seg.SeriesNumber == 9000
    assert seg.PatientID == "PHANTOM-1"
    # An identifier that stands as it came is as long as it was.
    assert errors_of(path, peer) <= errors_of(case.sources[0].path, peer)
    assert [line for line in errors_of(path, peer) if "Accession Number" not in line] == [
        "Error - Dicom dataset contains invalid data values for Value Representations"
    ]


def errors_of(path: Path, peer: Callable[[str], str]) -> set[str]:
    done = subprocess.run([peer("dciodvfy"), str(path)], capture_output=True, text=True, check=False)  # noqa: S603 - a peer found by name
    return {line for line in done.stderr.splitlines() if line.startswith("Error")}


def test_missing_attributes_are_empty_and_never_invented(tmp_path: Path, peer: Callable[[str], str]) -> None:
    phantom = make_phantom(trunk_geometry((40.0, 12.0, 10.0)))
    datasets = make_series(phantom)
    for dataset in datasets:
        for keyword in (*REQUIRED, "SliceThickness", "Manufacturer", "SeriesNumber", "SpecificCharacterSet"):
            if keyword in dataset:
                del dataset[keyword]
    save_series(datasets, tmp_path / "series")
    path = written(read_case(tmp_path / "series"), tmp_path)
    seg = pydicom.dcmread(path)
    for keyword in REQUIRED:
        assert keyword in seg
        assert seg[keyword].is_empty, keyword
    done = subprocess.run([peer("dciodvfy"), str(path)], capture_output=True, text=True, check=False)  # noqa: S603 - a peer found by name
    assert "Error" not in done.stderr


def test_nested_names_are_transcoded(tmp_path: Path) -> None:
    item = Dataset()
    item.PatientID = "홍-1"
    item.TypeOfPatientID = "TEXT"
    case = series_with(tmp_path / "series", KOREAN, "\\ISO 2022 IR 149", OtherPatientIDsSequence=[item])
    seg = pydicom.dcmread(written(case, tmp_path))
    assert seg.OtherPatientIDsSequence[0].PatientID == "홍-1"


def test_inherit_of_an_empty_header() -> None:
    result = inherit(Dataset()).dataset
    assert [element.keyword for element in result] == sorted(
        REQUIRED, key=lambda k: pydicom.datadict.tag_for_keyword(k)
    )
    assert all(element.is_empty for element in result)


def test_a_source_without_a_character_set_gives_utf8() -> None:
    assert choose_character_set(Dataset(), True, ["liver"]) == "ISO_IR 192"


def test_attributes_that_a_trial_lacks_beside_its_subject_are_told_and_not_made_up(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, "a trial without what DICOM requires of it")
    series = ct_series()
    for dataset in series:
        dataset.ClinicalTrialSubjectID, dataset.ClinicalTrialSponsorName = "S1", "Sponsor"
    save_series(series, tmp_path / "series")
    case = read_case(tmp_path / "series")
    agreement = agreement_of(case.volume, case.sources)
    (warning,) = agreement.warnings()
    assert (warning.code, warning.detail) == (WarningCode.INHERITED_INCOMPLETE, "They are: ClinicalTrialProtocolID.")
    assert "ClinicalTrialProtocolID" not in agreement.inherited.dataset
    assert agreement.inherited.dataset.ClinicalTrialSubjectID == "S1"
