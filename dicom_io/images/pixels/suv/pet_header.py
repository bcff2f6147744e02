"""The attributes of a PET series that give its values a meaning, read once; they keep their keywords."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta

from pydicom.dataset import Dataset

from dicom_io.images.headers.attributes import first_item, items, number, text, texts
from dicom_io.images.headers.instants import Instant, instant_of, instant_of_date_time, offset_of
from dicom_io.images.headers.private import (
    GE_SCAN_TIME,
    PHILIPS_ACTIVITY_FACTOR,
    PHILIPS_SUV_FACTOR,
    private_text,
)
from dicom_io.images.pixels.suv.refusal import no_suv


@dataclass(frozen=True)
class Isotope:
    """An item of the Radiopharmaceutical Information Sequence; a number is ``None`` if it is unstated."""

    RadionuclideTotalDose: float | None
    RadionuclideHalfLife: float | None
    RadiopharmaceuticalStartDateTime: str
    RadiopharmaceuticalStartTime: str
    RadionuclideCode: tuple[str, str]
    """Coding Scheme Designator and Code Value."""


@dataclass(frozen=True)
class PetSeries:
    """The attributes that all images of a series share; codes in capital letters, a number is ``None`` if unstated."""

    Units: str
    SUVType: str
    DecayCorrection: str
    CorrectedImage: tuple[str, ...]
    PatientWeight: float | None
    PatientSize: float | None
    PatientSex: str
    SeriesDate: str
    SeriesTime: str
    TimezoneOffsetFromUTC: str
    RadiopharmaceuticalInformationSequence: tuple[Isotope, ...]

    @property
    def zone(self) -> timedelta | None:
        """Return the offset of the series' dates and times from UTC; ``None`` if it is unstated.

        Raises
        ------
        StudyRejected
            ``no_suv`` if it is malformed.
        """
        if not self.TimezoneOffsetFromUTC:
            return None
        zone = offset_of(self.TimezoneOffsetFromUTC)
        if zone is None:
            raise no_suv("TimezoneOffsetFromUTC", "is invalid; expected an offset from UTC such as +0100")
        return zone

    @property
    def start(self) -> Instant | None:
        """Return Series Date and Time, ``None`` if either is missing or malformed."""
        return instant_of(self.SeriesDate, self.SeriesTime, self.zone)


@dataclass(frozen=True)
class PetImage:
    """The attributes of one image; ``None`` or an empty text where one is unstated or malformed."""

    acquisition: Instant | None
    """Acquisition Date and Time: the start of the frame."""

    ge_scan_time: Instant | None
    has_ge_scan_time: bool
    FrameReferenceTime: float | None
    ActualFrameDuration: float | None
    """Both in ms."""

    philips_suv_factor: str
    philips_activity_factor: str


def read_pet_series(headers: Sequence[Dataset]) -> PetSeries:
    """Read what the images have in common.

    Parameters
    ----------
    headers
        Of all images of one series; at least one.

    Raises
    ------
    StudyRejected
        ``no_suv`` if they differ in it.
    """
    first = _read_series(headers[0])
    for header in headers[1:]:
        other = _read_series(header)
        if other != first:
            keyword = next(f.name for f in fields(PetSeries) if getattr(first, f.name) != getattr(other, f.name))
            raise no_suv(keyword, "differs between images of the series")
    return first


def read_pet_images(headers: Sequence[Dataset], zone: timedelta | None) -> tuple[PetImage, ...]:
    """Read what is each image's own, in order of the headers.

    Parameters
    ----------
    headers
        Of all images of one series.
    zone
        Offset of their dates and times from UTC, if it is known.
    """
    return tuple(_read_image(header, zone) for header in headers)


def _read_series(header: Dataset) -> PetSeries:
    return PetSeries(
        Units=text(header, "Units").upper(),
        SUVType=text(header, "SUVType").upper(),
        DecayCorrection=text(header, "DecayCorrection").upper(),
        CorrectedImage=tuple(part.upper() for part in texts(header, "CorrectedImage") if part),
        PatientWeight=number(header, "PatientWeight"),
        PatientSize=number(header, "PatientSize"),
        PatientSex=text(header, "PatientSex").upper(),
        SeriesDate=text(header, "SeriesDate"),
        SeriesTime=text(header, "SeriesTime"),
        TimezoneOffsetFromUTC=text(header, "TimezoneOffsetFromUTC"),
        RadiopharmaceuticalInformationSequence=tuple(
            _read_isotope(item)
            for item in items(header, "RadiopharmaceuticalInformationSequence")
            if isinstance(item, Dataset)
        ),
    )


def _read_isotope(item: Dataset) -> Isotope:
    code = first_item(item, "RadionuclideCodeSequence") or Dataset()
    return Isotope(
        RadionuclideTotalDose=number(item, "RadionuclideTotalDose"),
        RadionuclideHalfLife=number(item, "RadionuclideHalfLife"),
        RadiopharmaceuticalStartDateTime=text(item, "RadiopharmaceuticalStartDateTime"),
        RadiopharmaceuticalStartTime=text(item, "RadiopharmaceuticalStartTime"),
        RadionuclideCode=(text(code, "CodingSchemeDesignator").upper(), text(code, "CodeValue").upper()),
    )


def _read_image(header: Dataset, zone: timedelta | None) -> PetImage:
    ge_scan_time = private_text(header, GE_SCAN_TIME)
    return PetImage(
        acquisition=instant_of(text(header, "AcquisitionDate"), text(header, "AcquisitionTime"), zone),
        ge_scan_time=instant_of_date_time(ge_scan_time, zone),
        has_ge_scan_time=bool(ge_scan_time),
        FrameReferenceTime=number(header, "FrameReferenceTime"),
        ActualFrameDuration=number(header, "ActualFrameDuration"),
        philips_suv_factor=private_text(header, PHILIPS_SUV_FACTOR),
        philips_activity_factor=private_text(header, PHILIPS_ACTIVITY_FACTOR),
    )
