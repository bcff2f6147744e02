"""Made PET series: headers of three vendors, and their files with pixels.

A series has three bed positions of one image each, three minutes apart. The injection is at 9:00, the scan at 10:00.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage
from scipy.integrate import quad

from phantom.series import save_series
from phantom.tags import made_uid

DAY, DAY_BEFORE, DAY_AFTER = "20260102", "20260101", "20260103"
F18, GA68, C11, ZR89, CU64 = 6586.2, 4062.6, 1223.4, 282276.0, 45720.0
WEIGHT, DOSE = 75.0, 3.5e8
FRAME_MS = 180_000
STORED = 1000
"""Every stored value of a made image."""


@dataclass(frozen=True)
class Pet:
    """The headers of a series; a value of ``None`` is left out."""

    manufacturer: str = "SIEMENS"
    units: str | None = "BQML"
    suv_type: str | None = None
    decay_correction: str | None = "START"
    corrected: tuple[str, ...] | None = ("NORM", "DTIM", "ATTN", "SCAT", "DECY", "RAN")
    weight: object = WEIGHT
    size: object = 1.75
    sex: str | None = "M"
    dose: object = DOSE
    half_life: object = F18
    nuclide: tuple[str, str] | None = ("SRT", "C-111A1")
    start_date_time: str | None = DAY + "090000.000000"
    start_time: str | None = "090000.000000"
    pharmaceuticals: int = 1
    series_date: str | None = DAY
    series_time: str | None = "100000.000000"
    acquisitions: tuple[tuple[str | None, str | None], ...] = (
        (DAY, "100000.000000"),
        (DAY, "100300.000000"),
        (DAY, "100600.000000"),
    )
    scan_offsets: tuple[float, ...] = (0, 180, 360)
    """Seconds from the true start of the scan to each image's acquisition, for Frame Reference Time."""

    frame_times: bool = True
    timezone: str | None = None
    ge_scan_time: str | None = None
    ge_creator: str = "GEMS_PETD_01"
    philips_suv: tuple[str | None, ...] | None = None
    philips_activity: tuple[str | None, ...] | None = None
    philips_creator: str = "Philips PET Private Group"
    block: int = 0x10
    slopes: tuple[float, ...] = (0.5, 0.5, 0.5)
    intercept: float = 0


def average_of_frame(seconds: float, half_life: float) -> float:
    """The moment within a frame at which its activity is average, in seconds, by integration over the frame."""
    mean = quad(lambda t: 2 ** (-t / half_life), 0, seconds)[0] / seconds
    return -math.log2(mean) * half_life


def pet_headers(pet: Pet | None = None) -> list[Dataset]:
    """Build the headers of a series, an image a bed position, without pixels."""
    pet = pet or Pet()
    return [_header(pet, index) for index in range(len(pet.acquisitions))]


def pet_series(pet: Pet | None = None, rows: int = 8, columns: int = 6) -> list[Dataset]:
    """Build a series with pixels: slice, row and column are told by the value, the first slice lies at the feet."""
    pet = pet or Pet()
    datasets = pet_headers(pet)
    name = made_uid("pet", pet)
    for number, dataset in enumerate(datasets):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta = meta
        dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Phantom^Made", "PHANTOM-1", "19700101"
        dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = made_uid("study", name), made_uid("frame", name)
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = name, made_uid("image", name, number)
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
        dataset.SeriesNumber, dataset.InstanceNumber, dataset.AcquisitionNumber = 1, number + 1, 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY"]
        dataset.SeriesDescription, dataset.StudyDescription = "PET AC", "Made study"
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 5 * number], [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.SliceThickness = [4, 4], 5
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, 1
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.PixelData = np.full((rows, columns), STORED, "<i2").tobytes()
    return datasets


def write_pet_series(folder: Path, pet: Pet | None = None) -> list[Dataset]:
    """Write a series as files into a folder, and return its datasets."""
    datasets = pet_series(pet)
    save_series(datasets, folder)
    return datasets


def _header(pet: Pet, index: int) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality = PositronEmissionTomographyImageStorage, "PT"
    date, time = pet.acquisitions[index]
    slope = pet.slopes[index % len(pet.slopes)]
    _set(
        dataset,
        Manufacturer=pet.manufacturer,
        Units=pet.units,
        SUVType=pet.suv_type,
        DecayCorrection=pet.decay_correction,
        CorrectedImage=None if pet.corrected is None else list(pet.corrected),
        PatientWeight=pet.weight,
        PatientSize=pet.size,
        PatientSex=pet.sex,
        SeriesDate=pet.series_date,
        SeriesTime=pet.series_time,
        AcquisitionDate=date,
        AcquisitionTime=time,
        TimezoneOffsetFromUTC=pet.timezone,
        RescaleSlope=slope,
        RescaleIntercept=pet.intercept,
    )
    if pet.frame_times:
        average = average_of_frame(FRAME_MS / 1000, float(str(pet.half_life)))
        dataset.FrameReferenceTime = f"{1000 * (pet.scan_offsets[index] + average):.3f}"
        dataset.ActualFrameDuration = FRAME_MS
    dataset.RadiopharmaceuticalInformationSequence = [_isotope(pet) for _ in range(pet.pharmaceuticals)]
    if pet.ge_scan_time is not None:
        _private(dataset, 0x0009, pet.ge_creator, pet.block, 0x0D, "DT", pet.ge_scan_time)
    for offset, factors in ((0x00, pet.philips_suv), (0x09, pet.philips_activity)):
        factor = None if factors is None else factors[index % len(factors)]
        if factor is not None:
            _private(dataset, 0x7053, pet.philips_creator, pet.block, offset, "DS", factor)
    return dataset


def _isotope(pet: Pet) -> Dataset:
    isotope = Dataset()
    _set(
        isotope,
        RadionuclideTotalDose=pet.dose,
        RadionuclideHalfLife=pet.half_life,
        RadiopharmaceuticalStartDateTime=pet.start_date_time,
        RadiopharmaceuticalStartTime=pet.start_time,
    )
    if pet.nuclide is not None:
        code = Dataset()
        code.CodingSchemeDesignator, code.CodeValue = pet.nuclide
        code.CodeMeaning = "a radionuclide"
        isotope.RadionuclideCodeSequence = [code]
    return isotope


def _private(dataset: Dataset, group: int, creator: str, block: int, offset: int, vr: str, value: str) -> None:
    dataset.add_new((group, block), "LO", creator)
    dataset.add_new((group, block << 8 | offset), vr, value)


def _set(dataset: Dataset, **attributes: object) -> None:
    for keyword, value in attributes.items():
        if value is not None:
            setattr(dataset, keyword, value)
