"""The only exceptions that cross a layer, each final or transient by its class.

::

    SegnodeError
    ├── StudyRejected    final: this study cannot be segmented, with a reason code     exit 3
    ├── RequestRefused   final: this call of the service cannot be done, with a code   exit 3
    ├── CaseRefused      final: this image with its mask cannot be trained on, with a code     exit 3
    ├── RetryLater       transient: the same work may succeed later                    exit 5
    │   ├── NotReached   a peer was not reached at all: it has got nothing             exit 5
    │   └── OutOfMemory  the GPU has too little free memory now                        exit 5
    ├── Cancelled        the caller who asked for this work has cancelled it           (never leaves the worker)
    ├── Superseded       another worker has taken over this work                       (never leaves the worker)
    ├── PackageInvalid   a model package cannot be loaded or added                     exit 4
    └── ConfigInvalid    settings or command line are wrong                            exit 2
        └── UnreadableImage  an image or mask that is not DICOM cannot be read         exit 2

A programming error stays a plain ``ValueError`` or ``TypeError``.
"""

from enum import StrEnum
from pathlib import Path
from typing import ClassVar


class ReasonCode(StrEnum):
    """The reasons for which a series or a study is refused; reports and logs carry the value."""

    MISSING_SLICE = "missing_slice"
    UNEVEN_SPACING = "uneven_spacing"
    DUPLICATE_POSITION = "duplicate_position"
    DUPLICATE_UID = "duplicate_uid"
    GANTRY_TILT = "gantry_tilt"
    MIXED_ORIENTATION = "mixed_orientation"
    MIXED_FRAME_OF_REFERENCE = "mixed_frame_of_reference"
    MIXED_MATRIX = "mixed_matrix"
    MIXED_RESCALE_TYPE = "mixed_rescale_type"
    MIXED_ACQUISITION = "mixed_acquisition"
    SEVERAL_VOLUMES = "several_volumes"
    MIXED_PATIENTS = "mixed_patients"
    NO_POSITION = "no_position"
    TOO_FEW_SLICES = "too_few_slices"
    WRONG_MODALITY = "wrong_modality"
    INVALID_SPACING = "invalid_spacing"
    EMPTY_UID = "empty_uid"
    UNREADABLE_PIXELS = "unreadable_pixels"
    TRUNCATED_PIXELS = "truncated_pixels"
    GRIDS_DIFFER = "grids_differ"
    NO_MATCHING_SERIES = "no_matching_series"
    NO_DICOM = "no_dicom"
    SEG_MISMATCH = "seg_mismatch"
    SEG_TOO_LARGE = "seg_too_large"
    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    COLOUR_RANGE = "colour_range"
    NO_SUV = "no_suv"
    NO_RESCALE = "no_rescale"

    @property
    def sentence(self) -> str:
        """The meaning of the code, in words for the person who has to act on it."""
        return _SENTENCES[self]


_SENTENCES = {
    ReasonCode.MISSING_SLICE: "A slice is missing inside the series.",
    ReasonCode.UNEVEN_SPACING: "The distance between slices is not the same throughout the series.",
    ReasonCode.DUPLICATE_POSITION: "Two different images lie at the same position.",
    ReasonCode.DUPLICATE_UID: "Two different images carry the same SOP Instance UID.",
    ReasonCode.GANTRY_TILT: "The slices are shifted against each other within their plane (gantry tilt).",
    ReasonCode.MIXED_ORIENTATION: "The images of the series have different orientations.",
    ReasonCode.MIXED_FRAME_OF_REFERENCE: "The images of the series have different frames of reference.",
    ReasonCode.MIXED_MATRIX: "The images of the series differ in rows, columns or pixel spacing.",
    ReasonCode.MIXED_RESCALE_TYPE: "The images of the series are rescaled to different units.",
    ReasonCode.MIXED_ACQUISITION: "The images of the series come from different acquisitions or reconstructions.",
    ReasonCode.SEVERAL_VOLUMES: "The series holds several volumes that fit, and the model does not say which one.",
    ReasonCode.MIXED_PATIENTS: "The images belong to more than one patient.",
    ReasonCode.NO_POSITION: "An image has no position or orientation in the patient.",
    ReasonCode.TOO_FEW_SLICES: "The series has too few slices.",
    ReasonCode.WRONG_MODALITY: "The series is of another modality than the model was trained for.",
    ReasonCode.INVALID_SPACING: "Pixel or slice spacing is missing or invalid.",
    ReasonCode.EMPTY_UID: "An identifier (UID) that DICOM requires is empty or invalid.",
    ReasonCode.UNREADABLE_PIXELS: "The pixel data of an image cannot be decoded.",
    ReasonCode.TRUNCATED_PIXELS: "The pixel data of an image is shorter than its header says.",
    ReasonCode.GRIDS_DIFFER: "The series of the model's channels do not lie on one grid.",
    ReasonCode.NO_MATCHING_SERIES: "No series of the study fits what the model asks for.",
    ReasonCode.NO_DICOM: "No DICOM images were found.",
    ReasonCode.SEG_TOO_LARGE: "The segmentation does not fit into one BINARY object.",
    ReasonCode.TOO_SMALL: "The image is smaller than half a voxel of the network along an axis.",
    ReasonCode.COLOUR_RANGE: "The model expects 8-bit colour images (0 to 255); this image is not one.",
    ReasonCode.NO_SUV: "The headers of the PET series do not say how its values become the unit of the model.",
    ReasonCode.NO_RESCALE: "An image does not say how its stored values become values with a unit.",
    ReasonCode.TOO_LARGE: "The series needs more memory than this machine has.",
    ReasonCode.SEG_MISMATCH: "The written segmentation, read back, is not the mask that went in.",
}


class SegnodeError(Exception):
    """Base of the tree; ``segnode run`` exits with ``exit_code``."""

    exit_code: ClassVar[int] = 1


class _Refusal(SegnodeError):
    """A final answer with a code: trying again gives the same one."""

    exit_code: ClassVar[int] = 3
    code: "ReasonCode | RequestCode | CaseCode"

    def __init__(self, code: "ReasonCode | RequestCode | CaseCode", detail: str = "", *more: object) -> None:
        self.code = code
        self.detail = detail
        super().__init__(code, detail, *more)

    @property
    def message(self) -> str:
        """The code's sentence, followed by the detail."""
        return f"{self.code.sentence} {self.detail}".rstrip()

    def __str__(self) -> str:
        """Join code and message."""
        return f"{self.code}: {self.message}"


class StudyRejected(_Refusal):
    """The study or series cannot be segmented; trying again gives the same answer.

    Parameters
    ----------
    code
        The reason, as a code that tools can rely on.
    detail
        The exact finding, with numbers; never a patient's name or ID.
    series_uid
        Series Instance UID of the offending series, if there is exactly one.
    """

    code: ReasonCode

    def __init__(self, code: ReasonCode, detail: str = "", series_uid: str | None = None) -> None:
        self.series_uid = series_uid
        super().__init__(code, detail, series_uid)

    def __str__(self) -> str:
        """Join code, message and series for logs."""
        return super().__str__() + (f" (series {self.series_uid})" if self.series_uid else "")


class RequestCode(StrEnum):
    """The reasons for which the inference service refuses a call, besides those of its images; callers get it."""

    INVALID_REQUEST = "invalid_request"
    PATH_OUTSIDE_ROOTS = "path_outside_roots"
    NO_SUCH_FILE = "no_such_file"
    UNREADABLE_IMAGE = "unreadable_image"
    WRONG_PHASE = "wrong_phase"
    REGISTRATION_FAILED = "registration_failed"
    MASK_IN_THE_WAY = "mask_in_the_way"
    UNKNOWN_JOB = "unknown_job"
    UNKNOWN_ALIAS = "unknown_alias"
    PACKAGE_UNDECIDED = "package_undecided"
    QUEUE_FULL = "queue_full"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    OVER_LIMITS = "over_limits"
    JOB_TOO_LONG = "job_too_long"

    @property
    def sentence(self) -> str:
        """The meaning of the code, in words for the person who has to act on it."""
        return _REQUEST_SENTENCES[self]


_REQUEST_SENTENCES = {
    RequestCode.INVALID_REQUEST: "The request is incomplete or asks for something that does not exist.",
    RequestCode.PATH_OUTSIDE_ROOTS: "A path leads outside the folders that this service may use.",
    RequestCode.NO_SUCH_FILE: "An image or mask file does not exist.",
    RequestCode.UNREADABLE_IMAGE: "An image or mask cannot be read.",
    RequestCode.WRONG_PHASE: "An image is of another contrast phase than the request says.",
    RequestCode.REGISTRATION_FAILED: "The images cannot be registered to each other.",
    RequestCode.MASK_IN_THE_WAY: "Another file already exists where the mask would be written.",
    RequestCode.UNKNOWN_JOB: "There is no such job.",
    RequestCode.UNKNOWN_ALIAS: "No model of this service has that name.",
    RequestCode.PACKAGE_UNDECIDED: "A question about the model that only a person can answer is open.",
    RequestCode.QUEUE_FULL: "More work is waiting than this service accepts.",
    RequestCode.DEADLINE_EXCEEDED: "The work was not done within the time that the caller allowed.",
    RequestCode.OVER_LIMITS: "An image or mask is larger than this service accepts.",
    RequestCode.JOB_TOO_LONG: "The job took longer than this service allows for one job.",
}


class RequestRefused(_Refusal):
    """A call of the inference service cannot be done as it is.

    Parameters
    ----------
    code
        The reason, as a code that callers can rely on.
    detail
        The exact problem; it contains neither a path nor patient data.
    """

    code: RequestCode

    def __init__(self, code: RequestCode, detail: str = "") -> None:
        super().__init__(code, detail)


class CaseCode(StrEnum):
    """The reasons for which an image with its mask is left out of a data set, besides those of the image itself."""

    NO_IMAGE = "no_image"
    NO_MASK = "no_mask"
    OTHER_IMAGES = "other_images"
    SEVERAL_MASKS = "several_masks"
    UNREADABLE_MASK = "unreadable_mask"
    FRACTIONAL_MASK = "fractional_mask"
    OTHER_FRAME_OF_REFERENCE = "other_frame_of_reference"
    MASK_GRID = "mask_grid"
    CONTOURS_OFF_SLICES = "contours_off_slices"
    CONTOURS_MISSING = "contours_missing"
    CONTOURS_OUTSIDE = "contours_outside"
    CONTOURS_CROSS = "contours_cross"
    OPEN_CONTOUR = "open_contour"
    STRUCTURE_TWICE = "structure_twice"
    LABELS_OVERLAP = "labels_overlap"
    UNKNOWN_VALUE = "unknown_value"
    NOT_LOOKED_FOR = "not_looked_for"
    NOTHING_LABELLED = "nothing_labelled"
    DUPLICATE_CASE = "duplicate_case"
    LABELS_CONFLICT = "labels_conflict"
    PATIENT_ON_BOTH_SIDES = "patient_on_both_sides"

    @property
    def sentence(self) -> str:
        """The meaning of the code, in words for the person who has to act on it."""
        return _CASE_SENTENCES[self]


_CASE_SENTENCES = {
    CaseCode.NO_IMAGE: "The mask refers to images that are not in the source.",
    CaseCode.NO_MASK: "There is no mask for the image.",
    CaseCode.OTHER_IMAGES: "The mask was made of other images than the channels' rules choose.",
    CaseCode.SEVERAL_MASKS: "Several masks of the image hold the same structure.",
    CaseCode.UNREADABLE_MASK: "The mask cannot be read.",
    CaseCode.FRACTIONAL_MASK: "The mask holds fractions, which say of no voxel whether it belongs to a structure.",
    CaseCode.OTHER_FRAME_OF_REFERENCE: "The mask lies in another frame of reference than the image.",
    CaseCode.MASK_GRID: "The mask does not lie on the image's grid.",
    CaseCode.CONTOURS_OFF_SLICES: "Contours lie on other slices than the image's.",
    CaseCode.CONTOURS_MISSING: "A structure lacks contours on slices between its contours.",
    CaseCode.CONTOURS_OUTSIDE: "Contours lie outside the image.",
    CaseCode.CONTOURS_CROSS: "Contours of one structure cross each other.",
    CaseCode.OPEN_CONTOUR: "A structure has contours that enclose nothing: points or open lines.",
    CaseCode.STRUCTURE_TWICE: "Two structures of the mask have the same label.",
    CaseCode.LABELS_OVERLAP: "Structures overlap, and the labels table states no order for them.",
    CaseCode.UNKNOWN_VALUE: "The mask holds a value that is no label.",
    CaseCode.NOT_LOOKED_FOR: "A structure was not looked for, so that its background is not known.",
    CaseCode.NOTHING_LABELLED: "No voxel of the mask has a known label.",
    CaseCode.DUPLICATE_CASE: "Another case has the same image and the same mask.",
    CaseCode.LABELS_CONFLICT: "Cases of the same image have different masks.",
    CaseCode.PATIENT_ON_BOTH_SIDES: "A patient is on both sides of a split.",
}


class CaseRefused(_Refusal):
    """An image with its mask cannot be trained on; trying again gives the same answer.

    Parameters
    ----------
    code
        The reason, as a code that tools can rely on.
    detail
        The exact finding, with numbers; never a patient's name or ID, nor free text of a header.
    """

    code: CaseCode

    def __init__(self, code: CaseCode, detail: str = "") -> None:
        super().__init__(code, detail)


class RetryLater(SegnodeError):
    """A condition outside the study failed for now, such as a peer that is down or a full disk."""

    exit_code: ClassVar[int] = 5


class NotReached(RetryLater):
    """No connection or association with a peer came to be, so that nothing of what was to be sent has left."""


class Superseded(SegnodeError):
    """Another worker has taken over this work, or it has been queued anew: the results of this run are void."""


class Cancelled(SegnodeError):
    """The caller who asked for the work has cancelled it, so it ends at the next step."""


class OutOfMemory(RetryLater):
    """The GPU has too little free memory now; it may never have enough, so this is retried for a shorter time."""


class PackageInvalid(SegnodeError):
    """A model package or nnU-Net folder is damaged, unsafe or unsupported; the text names the file and the problem."""

    exit_code: ClassVar[int] = 4


class ConfigInvalid(SegnodeError):
    """A setting or argument is wrong; the text names the key and the remedy."""

    exit_code: ClassVar[int] = 2


class UnreadableImage(ConfigInvalid):
    """An image or mask file that is not DICOM is damaged, or of a kind that is not read.

    Parameters
    ----------
    path
        The file, for the person at the command line.
    detail
        What is wrong with it; it contains neither a path nor patient data, so that callers of the service may see it.
    """

    def __init__(self, path: Path, detail: str) -> None:
        self.detail = detail
        super().__init__(f"{path}: {RequestCode.UNREADABLE_IMAGE}: {detail}")
