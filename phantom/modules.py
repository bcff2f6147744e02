"""The DICOM modules of a made image, so that a validator finds nothing missing."""

from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    MRImageStorage,
)
from pydicom.valuerep import format_number_as_ds

from core.volume import Geometry
from phantom.intensity import Modality

if TYPE_CHECKING:
    from phantom.tags import Encoding, SeriesTags, StudyTags

IMPLEMENTATION_UID = UID("2.25.263151386520453298150712313247284514091")

SOP_CLASSES: dict[tuple[Modality, bool], UID] = {
    ("CT", False): CTImageStorage,
    ("CT", True): EnhancedCTImageStorage,
    ("MR", False): MRImageStorage,
    ("MR", True): EnhancedMRImageStorage,
}
"""SOP class by modality and by whether the image is enhanced."""


def number_text(value: float) -> str:
    """Write a number as a decimal string of at most 16 characters."""
    return str(format_number_as_ds(float(value)))


def add_patient_and_study(dataset: Dataset, study: "StudyTags") -> None:
    """Add the modules Patient and General Study with their type 2 attributes."""
    dataset.SpecificCharacterSet = study.character_set
    dataset.PatientName, dataset.PatientID = study.patient_name, study.patient_id
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyDate, dataset.StudyTime = study.date, "101000"
    dataset.StudyID, dataset.StudyDescription = "1", study.description
    dataset.AccessionNumber, dataset.ReferringPhysicianName = study.accession_number, ""


def add_equipment(dataset: Dataset) -> None:
    """Add General Equipment, and the attributes that Enhanced General Equipment requires."""
    dataset.Manufacturer, dataset.ManufacturerModelName = "segnode", "phantom"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "1", "1"
    dataset.PositionReferenceIndicator = ""


def add_contrast(dataset: Dataset, agent: str, start_time: str, *, enhanced: bool) -> None:
    """Add Contrast/Bolus, or for enhanced images the coded agent."""
    if not enhanced:
        dataset.ContrastBolusAgent, dataset.ContrastBolusStartTime = agent, start_time
        dataset.ContrastBolusRoute = "IV"
        return
    item = _code("44588005", "SCT", agent)
    item.ContrastBolusAgentNumber = 1
    item.ContrastBolusAdministrationRouteSequence = Sequence([_code("47625008", "SCT", "Intravenous route")])
    item.ContrastBolusIngredientCodeSequence = Sequence([_code("44588005", "SCT", "Iodine")])
    item.ContrastBolusVolume, item.ContrastBolusIngredientConcentration = 80, 350
    dataset.ContrastBolusAgentSequence = Sequence([item])


def add_image(
    dataset: Dataset, modality: Modality, series: "SeriesTags", encoding: "Encoding", rescale: tuple[float, float]
) -> None:
    """Add General Image, Image Pixel without the pixels, and the CT or MR Image module."""
    # enhanced images that call themselves original must tell how they were acquired; a made one cannot
    dataset.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"] if encoding.enhanced else list(series.image_type)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, encoding.photometric_interpretation
    dataset.BitsAllocated, dataset.BitsStored = 16, encoding.bits_stored
    dataset.HighBit, dataset.PixelRepresentation = encoding.bits_stored - 1, int(encoding.signed)
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    if encoding.padding is not None:
        dataset.add_new("PixelPaddingValue", "SS" if encoding.signed else "US", encoding.padding)
    if encoding.enhanced:
        _add_enhanced_image(dataset, modality)
        return
    dataset.BodyPartExamined = series.body_part
    if modality == "CT":
        dataset.KVP = "120"
    else:
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "GR", "SP", ""
        dataset.MRAcquisitionType, dataset.EchoTime, dataset.RepetitionTime = "3D", "2", "5"
        dataset.EchoTrainLength, dataset.FlipAngle = 1, "10"
    if modality == "CT" or rescale != (1.0, 0.0):
        dataset.RescaleSlope, dataset.RescaleIntercept = number_text(rescale[0]), number_text(rescale[1])
        dataset.RescaleType = "HU" if modality == "CT" else "US"


def add_frame(dataset: Dataset, geometry: Geometry, number: int, thickness: float) -> None:
    """Add Image Plane of one classic slice; ``number`` counts from 0 in slice order, ``thickness`` is in mm."""
    dataset.ImagePositionPatient = _position(geometry, number)
    dataset.ImageOrientationPatient = _orientation(geometry)
    dataset.PixelSpacing = [number_text(s) for s in geometry.spacing[1:]]
    dataset.SliceThickness = number_text(thickness)


def add_functional_groups(
    dataset: Dataset,
    geometry: Geometry,
    modality: Modality,
    series: "SeriesTags",
    rescale: tuple[float, float],
    thickness: float,
) -> None:
    """Add Multi-frame Functional Groups: one stack, with one frame for each slice, in slice order."""
    dataset.NumberOfFrames = geometry.shape[0]
    organisation = f"{dataset.SOPInstanceUID[:-4]}1"
    dataset.DimensionOrganizationSequence = Sequence([_item(DimensionOrganizationUID=organisation)])
    dataset.DimensionIndexSequence = Sequence(
        [
            _item(
                DimensionOrganizationUID=organisation,
                DimensionIndexPointer=0x00209057,  # In-Stack Position Number
                FunctionalGroupPointer=0x00209111,  # Frame Content Sequence
            )
        ]
    )
    dataset.SharedFunctionalGroupsSequence = Sequence(
        [_shared_groups(dataset, geometry, modality, series, rescale, thickness)]
    )
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        _item(
            FrameContentSequence=Sequence(
                [
                    _item(
                        StackID="1",
                        InStackPositionNumber=n + 1,
                        DimensionIndexValues=[n + 1],
                        FrameReferenceDateTime=dataset.AcquisitionDateTime,
                    )
                ]
            ),
            PlanePositionSequence=Sequence([_item(ImagePositionPatient=_position(geometry, n))]),
            **_usage(dataset),
        )
        for n in range(geometry.shape[0])
    )


def _shared_groups(
    dataset: Dataset,
    geometry: Geometry,
    modality: Modality,
    series: "SeriesTags",
    rescale: tuple[float, float],
    thickness: float,
) -> Dataset:
    frame_type = _item(
        FrameType=list(dataset.ImageType),
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
    )
    if modality == "MR":
        frame_type.ComplexImageComponent, frame_type.AcquisitionContrast = "MAGNITUDE", "T1"
    anatomy = _item(
        AnatomicRegionSequence=Sequence([_code("818983003", "SCT", series.body_part.capitalize())]),
        FrameLaterality="U",
    )
    measures = _item(
        PixelSpacing=[number_text(s) for s in geometry.spacing[1:]],
        SliceThickness=number_text(thickness),
        SpacingBetweenSlices=number_text(geometry.spacing[0]),
    )
    transformation = _item(
        RescaleSlope=number_text(rescale[0]),
        RescaleIntercept=number_text(rescale[1]),
        RescaleType="HU" if modality == "CT" else "US",
    )
    shared = _item(
        PixelMeasuresSequence=Sequence([measures]),
        PlaneOrientationSequence=Sequence([_item(ImageOrientationPatient=_orientation(geometry))]),
        PixelValueTransformationSequence=Sequence([transformation]),
        FrameAnatomySequence=Sequence([anatomy]),
    )
    setattr(shared, f"{modality}ImageFrameTypeSequence", Sequence([frame_type]))
    if modality == "CT":
        shared.IrradiationEventIdentificationSequence = Sequence(
            [_item(IrradiationEventUID=f"{dataset.SOPInstanceUID[:-4]}2")]
        )
    return shared


def _usage(dataset: Dataset) -> dict[str, Sequence]:
    if "ContrastBolusAgentSequence" not in dataset:
        return {}
    return {
        "ContrastBolusUsageSequence": Sequence(
            [_item(ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered="YES", ContrastBolusAgentDetected="YES")]
        )
    }


def _add_enhanced_image(dataset: Dataset, modality: Modality) -> None:
    dataset.PixelPresentation, dataset.VolumetricProperties = "MONOCHROME", "VOLUME"
    dataset.VolumeBasedCalculationTechnique, dataset.PresentationLUTShape = "NONE", "IDENTITY"
    dataset.AcquisitionDateTime = dataset.AcquisitionDate + dataset.AcquisitionTime
    del dataset.AcquisitionDate, dataset.AcquisitionTime
    dataset.AcquisitionDuration, dataset.ContentQualification = 5.0, "RESEARCH"
    dataset.AcquisitionContextSequence = Sequence()
    if modality == "MR":
        dataset.ComplexImageComponent, dataset.AcquisitionContrast = "MAGNITUDE", "T1"
        dataset.ApplicableSafetyStandardAgency = "IEC"


def _orientation(geometry: Geometry) -> list[str]:
    return [number_text(c) for c in geometry.direction[:, :2].T.ravel()]


def _position(geometry: Geometry, number: int) -> list[str]:
    return [number_text(x) for x in geometry.index_to_lps(np.array([number, 0, 0]))]


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)
