"""A picture that tells in plain words why a study gets no segmentation.

A Secondary Capture, since every viewer and archive shows one, where basic text SRs are often listed and not drawn. It
stands in the study as a series of its own. The words lie in the pixels and in ImageComments; they carry no attribute
of the patient, and the object's patient attributes are copied from the study's images, or empty.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from core.version import VERSION
from dicom_io.images.headers.attributes import text
from dicom_io.images.headers.instance import BadDicomError, NotDicomError, read_instance
from dicom_io.results.local_time import set_times
from dicom_io.results.source_attributes import UTF8, inherit
from dicom_io.uids import derive_uid, is_uid

NoticeKind = Literal["refused", "nothing_found", "failed"]

SERIES_NUMBER = 9900
TITLES: dict[NoticeKind, str] = {
    "refused": "NOT SEGMENTED: STUDY REFUSED",
    "nothing_found": "SEGMENTATION RAN: NOTHING FOUND",
    "failed": "NOT SEGMENTED: PROCESSING FAILED",
}
_SIZE = (1024, 768)
_MARGIN, _LINE = 48, 29
_TITLE_POINTS, _TEXT_POINTS = 40, 26
_LETTERS_A_LINE = 68
_LONGEST_TEXT = 700
"""Letters of the reason that fit on the picture."""
_LONGEST_MODELS = 180


@dataclass(frozen=True)
class Notice:
    """The content of a notice.

    Attributes
    ----------
    kind
        The study's outcome.
    code, message
        The reason, as in the node's log and in ``segnode studies show``; where nothing was found, a possible reason.
    models
        The models that were to run.
    short_id
        The study's short ID, by which the node's operator finds it.
    """

    kind: NoticeKind
    code: str
    message: str
    models: tuple[str, ...]
    short_id: str

    @property
    def lines(self) -> list[str]:
        """Return the text below the title, wrapped."""
        models = textwrap.shorten(", ".join(self.models), _LONGEST_MODELS, placeholder=" …")
        if self.kind == "nothing_found":
            said = f"The models ran on this study and found none of the structures that they segment: {models}."
            said = f"{said} {self.message}".rstrip()
        else:
            said = self.message
        lines = textwrap.wrap(textwrap.shorten(said, _LONGEST_TEXT, placeholder=" …"), _LETTERS_A_LINE)
        if self.code:
            lines += ["", f"Reason code: {self.code}"]
        lines += textwrap.wrap(f"Models: {models}", _LETTERS_A_LINE) if self.kind != "nothing_found" else []
        lines += [
            f"Study on the node: {self.short_id}, segnode {VERSION}",
            "",
            "This picture is a message of the segmentation node. It shows no anatomy",
            "and is not for diagnosis.",
        ]
        return lines

    @property
    def title(self) -> str:
        """Return the first line."""
        return TITLES[self.kind]


def read_notice_header(folder: Path) -> Dataset | None:
    """Read a header of a study that a notice may be written for.

    Returns
    -------
    Dataset or None
        The first readable image's header; None if no image can be read, or the images name more than one patient: a
        notice would be put under one of them by chance.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    first: Dataset | None = None
    patients = set()
    for path in sorted(folder.iterdir()):
        try:
            header = read_instance(path).header
        except (NotDicomError, BadDicomError):
            continue
        patients.add((text(header, "PatientID"), text(header, "PatientName")))
        first = first or header
    return first if len(patients) == 1 else None


def build_notice(notice: Notice, source: Dataset, study_uid: str, identity: Sequence[str | int]) -> Dataset:
    """Build the DICOM object of a notice.

    Parameters
    ----------
    notice
        The content.
    source
        Header of an image of the study: patient and study attributes are copied from it as into a SEG.
    study_uid
        Study Instance UID.
    identity
        Further parts of the notice's UIDs beside its text: revision and run.

    Raises
    ------
    ValueError
        If the study's UID is not valid.

    References
    ----------
    PS3.3 A.8.1 (Secondary Capture Image IOD), C.8.6.
    """
    if not is_uid(study_uid):
        raise ValueError("the Study Instance UID is not a valid UID")
    parts = [study_uid, notice.kind, notice.code, notice.message, *notice.models, VERSION, *identity]
    result = Dataset()
    result.update(inherit(source).dataset)
    result.SpecificCharacterSet = UTF8
    result.SOPClassUID = SecondaryCaptureImageStorage
    result.SOPInstanceUID = derive_uid("notice", parts)
    result.StudyInstanceUID = study_uid
    result.SeriesInstanceUID = derive_uid("notice series", parts)
    result.SeriesNumber, result.InstanceNumber = SERIES_NUMBER, 1
    result.Modality, result.ConversionType, result.Laterality = "OT", "SYN", ""
    result.SeriesDescription = notice.title.capitalize()
    result.Manufacturer = result.ManufacturerModelName = "segnode"
    result.SoftwareVersions, result.DeviceSerialNumber = VERSION, "0"
    result.ImageType = ["DERIVED", "SECONDARY"]
    result.PatientOrientation = ""
    result.BurnedInAnnotation = "NO"  # C.7.6.1: whether the pixels identify the patient
    set_times(result, source)
    result.ImageComments = "\n".join([notice.title, *notice.lines])
    _add_pixels(result, draw_notice(notice))
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return result


def draw_notice(notice: Notice) -> NDArray[np.uint8]:
    """Draw the picture, ``(row, column)``, white on black."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", _SIZE)
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN, _MARGIN), notice.title, fill=255, font=ImageFont.load_default(size=_TITLE_POINTS))
    font = ImageFont.load_default(size=_TEXT_POINTS)
    for number, line in enumerate(notice.lines):
        draw.text((_MARGIN, 2 * _MARGIN + 16 + number * _LINE), line, fill=220, font=font)
    return np.asarray(picture, dtype=np.uint8)


def _add_pixels(result: Dataset, picture: NDArray[np.uint8]) -> None:
    result.Rows, result.Columns = picture.shape
    result.SamplesPerPixel, result.PhotometricInterpretation = 1, "MONOCHROME2"
    result.BitsAllocated = result.BitsStored = 8
    result.HighBit, result.PixelRepresentation = 7, 0
    result.WindowCenter, result.WindowWidth = "128", "256"
    result.add_new("PixelData", "OB", picture.tobytes())
