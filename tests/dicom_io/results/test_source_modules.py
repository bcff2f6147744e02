"""Modules that results inherit as a whole, held against highdicom's tables, which were made of PS3.3 itself."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from dicom_io.results.seg.build import build_seg, verify_seg, write_seg
from dicom_io.results.source_modules import ALWAYS, MODULES, TYPES
from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import make_series, save_series
from tests.support.seg_cases import Case, context, label_map, read_case

REFERENCES = {
    "Patient (C.7.1.1)": "patient",
    "Clinical Trial Subject (C.7.1.3)": "clinical-trial-subject",
    "General Study (C.7.2.1)": "general-study",
    "Patient Study (C.7.2.2)": "patient-study",
    "Clinical Trial Study (C.7.2.3)": "clinical-trial-study",
}
OF_THE_SERIES = {"ClinicalTrialSeriesID", "ClinicalTrialSeriesDescription", "IssuerOfClinicalTrialSeriesID"}
VISIT = ("visit-status", "visit-admission", "visit-relationship", "visit-identification")
PLACES = {"InstitutionName", "InstitutionAddress", "InstitutionCodeSequence"}
DEPARTMENTS = {"InstitutionalDepartmentName", "InstitutionalDepartmentTypeCodeSequence"}
"""Of the scanner in an image, not of the visit: General Equipment has the same attributes."""

VALUES = {"DA": "20260301", "TM": "101500", "AS": "050Y", "CS": "YES", "DS": "1.5", "IS": "3", "UI": "1.2.3"}
VALUES |= {"PN": "Name^Given", "US": 1, "FD": 2.5, "DT": "20260301101500"}


def attributes_of(module: str) -> dict[str, str]:
    return {entry["keyword"]: entry["type"] for entry in get_module_attribute_map()[module] if not entry["path"]}


@pytest.mark.parametrize("module", REFERENCES)
def test_a_module_is_whole_and_its_types_are_the_standard_s(module: str) -> None:
    expected = attributes_of(REFERENCES[module])
    expected.pop("StudyInstanceUID", None)  # written with the other UIDs
    assert dict(MODULES[module]) == expected


def test_all_patient_and_study_modules_of_a_segmentation_are_there() -> None:
    modules = [entry for entry in get_iod_module_map()["segmentation"] if entry["ie"] in ("Patient", "Study")]
    assert {entry["key"] for entry in modules} == set(REFERENCES.values())
    mandatory = {entry["key"] for entry in modules if entry["usage"] == "M"}
    assert {REFERENCES[module] for module in ALWAYS} == mandatory


def test_of_trial_and_visit_only_what_describes_series_or_scanner_is_not_there() -> None:
    assert set(attributes_of("clinical-trial-series")) - set(TYPES) == OF_THE_SERIES
    visit = {keyword for module in VISIT for keyword in attributes_of(module)}
    assert visit - set(TYPES) == PLACES | DEPARTMENTS


def test_nothing_of_series_equipment_or_acquisition_is_there() -> None:
    for module in ("general-series", "general-equipment", "general-acquisition", "ct-image", "general-image"):
        assert not set(attributes_of(module)) & set(TYPES), module


def filled(keyword: str) -> object:
    """A valid value of an attribute."""
    vr = dictionary_VR(tag_for_keyword(keyword) or 0)
    if vr == "SQ":
        item = Dataset()
        if "Code" in keyword:
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-1", "99MADE", "made"
        elif keyword.startswith("Issuer") or "Qualifiers" in keyword:
            item.LocalNamespaceEntityID, item.UniversalEntityID, item.UniversalEntityIDType = "HERE", "1.2.3", "ISO"
        else:
            item.PatientID, item.IssuerOfPatientID, item.TypeOfPatientID = "OTHER", "ISSUER", "TEXT"
        return [item]
    value = VALUES.get(vr, f"made {keyword}"[:16])
    return [value] * 2 if dictionary_VM(tag_for_keyword(keyword) or 0) == "2-n" else value


def case_with(folder: Path, attributes: dict[str, object]) -> Case:
    datasets = make_series(make_phantom(trunk_geometry((40.0, 12.0, 10.0))))
    for dataset in datasets:
        dataset.SpecificCharacterSet = "ISO_IR 192"
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
    save_series(datasets, folder)
    return read_case(folder)


def written(case: Case, folder: Path) -> Path:
    given, path = label_map(case), folder / "x.seg.dcm"
    write_seg(build_seg(given, case.volume, case.sources, context()), path)
    verify_seg(path, given)
    return path


def test_every_attribute_of_every_module_comes_into_the_result(tmp_path: Path) -> None:
    expected = {keyword for module in (*REFERENCES.values(), *VISIT) for keyword in attributes_of(module)}
    expected -= PLACES | DEPARTMENTS | {"StudyInstanceUID"}
    expected |= {"ClinicalTrialCoordinatingCenterName", "LongitudinalTemporalInformationModified"}
    attributes = {keyword: filled(keyword) for keyword in expected} | {"PatientSex": "F"}
    series = {keyword: filled(keyword) for keyword in OF_THE_SERIES | {"InstitutionalDepartmentName"}}
    seg = pydicom.dcmread(written(case_with(tmp_path / "series", attributes | series), tmp_path))
    for keyword in expected:
        value = attributes[keyword]
        assert keyword in seg, keyword
        assert seg[keyword].value == value or str(seg[keyword].value) == str(value), keyword
    assert not set(series) & set(seg.dir())


WHOLE: dict[str, object] = {
    **{"PatientID": "1", "IssuerOfPatientID": "HERE", "TypeOfPatientID": "TEXT", "PatientBirthTime": "101500"},
    **{"PatientIdentityRemoved": "YES", "DeidentificationMethod": "by hand", "PatientComments": "none"},
    **{"LongitudinalTemporalInformationModified": "MODIFIED", "AdmissionID": "A1", "ServiceEpisodeID": "E1"},
    **{"ReasonForVisit": "pain", "PatientState": "well", "SmokingStatus": "NO", "PregnancyStatus": 4},
    **{"ClinicalTrialSponsorName": "Sponsor", "ClinicalTrialProtocolID": "P1", "ClinicalTrialSubjectID": "S1"},
    **{"ClinicalTrialTimePointID": "T1", "ClinicalTrialTimePointDescription": "first"},
    **{"ClinicalTrialCoordinatingCenterName": "Centre", "AdmittingDiagnosesDescription": "unclear"},
    **{"LongitudinalTemporalOffsetFromEvent": 3.5, "LongitudinalTemporalEventType": "BASELINE"},
}


def test_dciodvfy_finds_no_error_in_whole_modules(tmp_path: Path, peer: Callable[[str], str]) -> None:
    sequences = ("IssuerOfPatientIDQualifiersSequence", "IssuerOfAccessionNumberSequence", "ProcedureCodeSequence")
    sequences += ("IssuerOfAdmissionIDSequence", "IssuerOfServiceEpisodeIDSequence", "ReasonForVisitCodeSequence")
    attributes = WHOLE | {keyword: filled(keyword) for keyword in sequences}
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", "1.2.3"
    attributes["ReferencedStudySequence"] = [reference]
    path = written(case_with(tmp_path / "series", attributes), tmp_path)
    seg = pydicom.dcmread(path)
    assert all(keyword in seg for keyword in attributes)
    # type 2 of a trial's module, once there is a trial
    assert seg["ClinicalTrialProtocolName"].is_empty
    assert seg["ClinicalTrialSiteID"].is_empty
    done = subprocess.run([peer("dciodvfy"), str(path)], capture_output=True, text=True, check=False)  # noqa: S603 - a peer found by name
    assert "Segmentation" in done.stderr
    assert "Error" not in done.stderr
