"""The modules that results inherit as a whole from the images they were made of: patient, study, trial and visit.

Types are those of PS3.3: 1 and 2 are required (2 may be empty), C under a condition, 3 is optional. The attributes of a
visit have no type there, since no image IOD has its modules; images carry them all the same (PS3.4 F.1 permits it).

Attributes of the source series or its equipment are not inherited: of the Clinical Trial Series module not the names
that a trial gave to that series. Study Instance UID is written with the other UIDs.
"""

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType


def _all(kind: str, *keywords: str) -> dict[str, str]:
    return dict.fromkeys(keywords, kind)


MODULES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "Patient (C.7.1.1)": {
            **_all("2", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
            **_all("1C", "PatientAlternativeCalendar", "PatientSpeciesDescription", "PatientSpeciesCodeSequence"),
            **_all("1C", "ResponsiblePersonRole", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
            **_all("2C", "PatientBreedDescription", "PatientBreedCodeSequence", "BreedRegistrationSequence"),
            **_all("2C", "ResponsiblePerson", "ResponsibleOrganization"),
            **_all("3", "ReferencedPatientSequence", "IssuerOfPatientID", "TypeOfPatientID"),
            **_all("3", "IssuerOfPatientIDQualifiersSequence", "SourcePatientGroupIdentificationSequence"),
            **_all("3", "GroupOfPatientsIdentificationSequence", "PatientBirthTime"),
            **_all("3", "PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar"),
            **_all("3", "QualityControlSubject", "StrainDescription", "StrainNomenclature", "StrainStockSequence"),
            **_all("3", "StrainAdditionalInformation", "StrainCodeSequence", "GeneticModificationsSequence"),
            **_all("3", "OtherPatientNames", "OtherPatientIDsSequence", "ReferencedPatientPhotoSequence"),
            **_all("3", "EthnicGroupCodeSequence", "PatientComments", "PatientIdentityRemoved"),
        },
        "Clinical Trial Subject (C.7.1.3)": {
            **_all("1", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID"),
            **_all("2", "ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName"),
            **_all("1C", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID"),
            **_all("1C", "ClinicalTrialProtocolEthicsCommitteeName"),
            **_all("3", "ClinicalTrialProtocolEthicsCommitteeApprovalNumber", "IssuerOfClinicalTrialProtocolID"),
            **_all("3", "OtherClinicalTrialProtocolIDsSequence", "IssuerOfClinicalTrialSiteID"),
            **_all("3", "IssuerOfClinicalTrialSubjectID", "IssuerOfClinicalTrialSubjectReadingID"),
        },
        "General Study (C.7.2.1)": {
            **_all("2", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"),
            **_all("3", "IssuerOfAccessionNumberSequence", "ReferringPhysicianIdentificationSequence"),
            **_all("3", "ConsultingPhysicianName", "ConsultingPhysicianIdentificationSequence", "StudyDescription"),
            **_all("3", "ProcedureCodeSequence", "PhysiciansOfRecord", "PhysiciansOfRecordIdentificationSequence"),
            **_all("3", "NameOfPhysiciansReadingStudy", "PhysiciansReadingStudyIdentificationSequence"),
            **_all("3", "ReferencedStudySequence", "RequestingService", "RequestingServiceCodeSequence"),
            **_all("3", "ReasonForPerformedProcedureCodeSequence"),
        },
        "Patient Study (C.7.2.2)": {
            **_all("2C", "PatientSexNeutered"),
            **_all("3", "AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence", "PatientAge", "PatientSize"),
            **_all("3", "PatientSizeCodeSequence", "PatientBodyMassIndex", "MeasuredAPDimension"),
            **_all("3", "MeasuredLateralDimension", "PatientWeight", "MedicalAlerts", "Allergies", "Occupation"),
            **_all("3", "SmokingStatus", "AdditionalPatientHistory", "PregnancyStatus", "LastMenstrualDate"),
            **_all("3", "ReasonForVisit", "ReasonForVisitCodeSequence", "AdmissionID", "IssuerOfAdmissionIDSequence"),
            **_all("3", "ServiceEpisodeID", "ServiceEpisodeDescription", "IssuerOfServiceEpisodeIDSequence"),
            **_all("3", "PatientState"),
        },
        "Clinical Trial Study (C.7.2.3)": {
            **_all("2", "ClinicalTrialTimePointID"),
            **_all("1C", "LongitudinalTemporalEventType"),
            **_all("3", "ClinicalTrialTimePointDescription", "LongitudinalTemporalOffsetFromEvent"),
            **_all("3", "ClinicalTrialTimePointTypeCodeSequence", "IssuerOfClinicalTrialTimePointID"),
            **_all("3", "ConsentForClinicalTrialUseSequence"),
        },
        "Clinical Trial Series (C.7.3.2), the trial's part": _all("2", "ClinicalTrialCoordinatingCenterName"),
        "Visit (C.3.3 and C.3.4), the patient's part": _all(
            "3",
            *("VisitStatusID", "CurrentPatientLocation", "PatientInstitutionResidence", "VisitComments"),
            *("ReferringPhysicianAddress", "ReferringPhysicianTelephoneNumbers"),
            *("RouteOfAdmissions", "AdmittingDate", "AdmittingTime"),
        ),
        "SOP Common (C.12.1), what was done to dates of patient and study": _all(
            "3", "LongitudinalTemporalInformationModified"
        ),
        "Patient and Patient Study, of earlier editions": _all(
            "3", "OtherPatientIDs", "EthnicGroup", "IssuerOfAdmissionID", "IssuerOfServiceEpisodeID"
        ),
    }
)
"""Modules with their attributes' types."""

ALWAYS = ("Patient (C.7.1.1)", "General Study (C.7.2.1)")
"""Mandatory modules (PS3.3 A.51.3): their attributes of type 2 are in every result, empty where they are unknown."""

TYPES: Mapping[str, str] = MappingProxyType(dict(chain.from_iterable(module.items() for module in MODULES.values())))
"""All attributes with their types."""
