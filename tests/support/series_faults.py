"""One way to break a good series for each reason code. Each takes a series' datasets and gives broken copies."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from types import MappingProxyType

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless

from core.errors import ReasonCode
from phantom.tags import made_uid

Fault = Callable[[list[Dataset]], list[Dataset]]


def drop_slice(series: list[Dataset]) -> list[Dataset]:
    """A slice in the middle never arrived."""
    middle = len(series) // 2
    return deepcopy(series[:middle] + series[middle + 1 :])


def uneven(series: list[Dataset]) -> list[Dataset]:
    """One slice lies 2 % of a gap too high."""
    broken = deepcopy(series)
    _move(broken[len(broken) // 2], 0.02 * (_position(series[1]) - _position(series[0])))
    return broken


def duplicate_position(series: list[Dataset]) -> list[Dataset]:
    """Two images with UIDs and pixels of their own at one place."""
    broken = deepcopy(series)
    broken[1].ImagePositionPatient = broken[0].ImagePositionPatient
    return broken


def duplicate_uid(series: list[Dataset]) -> list[Dataset]:
    """Two different images under one SOP Instance UID."""
    broken = deepcopy(series)
    _rename(broken[1], broken[0].SOPInstanceUID)
    return broken


def tilt(series: list[Dataset], degrees: float = 10.0) -> list[Dataset]:
    """Every slice is shifted along its columns, as a tilted gantry does."""
    broken = deepcopy(series)
    for dataset in broken:
        along_column = np.array(dataset.ImageOrientationPatient[3:], float)
        height = float(np.linalg.norm(_position(dataset) - _position(series[0])))
        _move(dataset, along_column * height * np.tan(np.radians(degrees)))
    return broken


def mixed_orientation(series: list[Dataset]) -> list[Dataset]:
    """One image of another plane."""
    broken = deepcopy(series)
    broken[-1].ImageOrientationPatient = list(np.roll(broken[-1].ImageOrientationPatient, 1))
    return broken


def mixed_frame_of_reference(series: list[Dataset]) -> list[Dataset]:
    """One image with a Frame of Reference of its own."""
    return _with_last(series, FrameOfReferenceUID=made_uid("elsewhere"))


def mixed_matrix(series: list[Dataset]) -> list[Dataset]:
    """One image with a row less."""
    broken = _with_last(series, Rows=series[0].Rows - 1)
    broken[-1].PixelData = broken[-1].PixelData[: -2 * broken[-1].Columns]
    return broken


def mixed_pixel_spacing(series: list[Dataset]) -> list[Dataset]:
    """One image of another field of view."""
    return _with_last(series, PixelSpacing=[3, 3])


def mixed_rescale_type(series: list[Dataset]) -> list[Dataset]:
    """One image is no longer in HU."""
    return _with_last(series, RescaleType="Z_EFF")


def _every_second(series: list[Dataset], **attributes: object) -> list[Dataset]:
    broken = deepcopy(series)
    for dataset in broken[::2]:
        _with(dataset, **attributes)
    return broken


def mixed_acquisition_numbers(series: list[Dataset]) -> list[Dataset]:
    """Two acquisitions whose slices take turns."""
    return _every_second(series, AcquisitionNumber=17)


def mixed_energies(series: list[Dataset]) -> list[Dataset]:
    """Two tube voltages whose slices take turns."""
    return _every_second(series, KVP="80")


def mixed_kernels(series: list[Dataset]) -> list[Dataset]:
    """Two reconstructions whose slices take turns."""
    return _every_second(series, ConvolutionKernel="B70f")


def mixed_image_types(series: list[Dataset]) -> list[Dataset]:
    """Every second slice is a projection."""
    return _every_second(series, ImageType=["DERIVED", "SECONDARY", "MIP"])


def mixed_photometry(series: list[Dataset]) -> list[Dataset]:
    """One slice of which the lowest value is white."""
    return _with_last(series, PhotometricInterpretation="MONOCHROME1")


def mixed_echoes(series: list[Dataset]) -> list[Dataset]:
    """Two echoes whose slices take turns."""
    return _every_second([_with(dataset, EchoTime="2.3") for dataset in deepcopy(series)], EchoTime="4.6")


def several_echoes(series: list[Dataset]) -> list[Dataset]:
    """Two whole echoes in one series."""
    first, second = deepcopy(series), deepcopy(series)
    for number, dataset in enumerate(second):
        _rename(dataset, made_uid("second echo", dataset.SOPInstanceUID, number))
        _with(dataset, EchoNumbers=2, EchoTime="4.6")
    return [_with(dataset, EchoNumbers=1, EchoTime="2.3") for dataset in first] + second


def mixed_times(series: list[Dataset]) -> list[Dataset]:
    """Two points in time whose slices take turns."""
    return _every_second(
        [_with(dataset, TemporalPositionIdentifier=1) for dataset in deepcopy(series)], TemporalPositionIdentifier=2
    )


def mixed_patients(series: list[Dataset]) -> list[Dataset]:
    """One image is somebody else's."""
    return _with_last(series, PatientID="OTHER-PATIENT", PatientName="Other^Patient")


def mixed_modalities(series: list[Dataset]) -> list[Dataset]:
    """One image says that it is of another modality."""
    return _with_last(series, Modality="PT")


def no_position(series: list[Dataset]) -> list[Dataset]:
    """Two images without position, too many for strays."""
    broken = deepcopy(series)
    del broken[0].ImagePositionPatient, broken[3].ImagePositionPatient
    return broken


def no_orientation(series: list[Dataset]) -> list[Dataset]:
    """Invalid orientation vectors."""
    return [_with(dataset, ImageOrientationPatient=[1, 0, 0, 1, 0, 0]) for dataset in deepcopy(series)]


def too_few_slices(series: list[Dataset]) -> list[Dataset]:
    """Two slices are left."""
    return deepcopy(series[:2])


def one_slice(series: list[Dataset]) -> list[Dataset]:
    """One slice is left."""
    return deepcopy(series[:1])


def wrong_modality(series: list[Dataset]) -> list[Dataset]:
    """Every image is of a modality that no model of the tests takes."""
    return [_with(dataset, Modality="PT") for dataset in deepcopy(series)]


def invalid_spacing(series: list[Dataset]) -> list[Dataset]:
    """Pixel spacing of zero."""
    return _with_last(series, PixelSpacing=[0, 0])


def missing_spacing(series: list[Dataset]) -> list[Dataset]:
    """Pixel spacing left out."""
    broken = deepcopy(series)
    del broken[-1].PixelSpacing
    return broken


def empty_uid(series: list[Dataset], keyword: str = "SeriesInstanceUID") -> list[Dataset]:
    """One identifier emptied in every image."""
    return [_with(dataset, **{keyword: ""}) for dataset in deepcopy(series)]


def path_as_uid(series: list[Dataset]) -> list[Dataset]:
    """A study whose UID is a path."""
    return [_with(dataset, StudyInstanceUID="../../1.2.3") for dataset in deepcopy(series)]


def truncated_pixels(series: list[Dataset]) -> list[Dataset]:
    """One image lost its second half."""
    broken = deepcopy(series)
    broken[-1].PixelData = broken[-1].PixelData[: len(broken[-1].PixelData) // 2]
    return broken


def unreadable_pixels(series: list[Dataset]) -> list[Dataset]:
    """One image is no JPEG-LS, though it says so and ends as one."""
    broken = deepcopy(series)
    broken[-1].file_meta.TransferSyntaxUID = JPEGLSLossless
    broken[-1].PixelData = encapsulate([b"\xff\xd8" + bytes(200) + b"\xff\xd9"])
    broken[-1]["PixelData"].VR = "OB"
    return broken


def gap_in_instance_number(series: list[Dataset]) -> list[Dataset]:
    """Regular in space, but the numbers leave some out: no reason to refuse, one to warn."""
    broken = deepcopy(series)
    for dataset in broken[len(broken) // 2 :]:
        dataset.InstanceNumber += 2
    return broken


def no_rescale(series: list[Dataset]) -> list[Dataset]:
    """Stored values whose meaning a program dropped, as some that anonymise do: slope, intercept and type are gone."""
    broken = deepcopy(series)
    for dataset in broken:
        del dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType
    return broken


def no_intercept(series: list[Dataset]) -> list[Dataset]:
    """One image has a slope without an intercept."""
    broken = deepcopy(series)
    del broken[-1].RescaleIntercept
    return broken


FAULTS: Mapping[ReasonCode, tuple[Fault, ...]] = MappingProxyType(
    {
        ReasonCode.MISSING_SLICE: (drop_slice,),
        ReasonCode.UNEVEN_SPACING: (uneven,),
        ReasonCode.DUPLICATE_POSITION: (duplicate_position,),
        ReasonCode.DUPLICATE_UID: (duplicate_uid,),
        ReasonCode.GANTRY_TILT: (tilt,),
        ReasonCode.MIXED_ORIENTATION: (mixed_orientation,),
        ReasonCode.MIXED_FRAME_OF_REFERENCE: (mixed_frame_of_reference,),
        ReasonCode.MIXED_MATRIX: (mixed_matrix, mixed_pixel_spacing),
        ReasonCode.MIXED_RESCALE_TYPE: (mixed_rescale_type,),
        ReasonCode.MIXED_ACQUISITION: (
            mixed_acquisition_numbers,
            mixed_energies,
            mixed_kernels,
            mixed_image_types,
            mixed_photometry,
            mixed_echoes,
            mixed_times,
        ),
        ReasonCode.SEVERAL_VOLUMES: (several_echoes,),
        ReasonCode.MIXED_PATIENTS: (mixed_patients,),
        ReasonCode.NO_POSITION: (no_position, no_orientation),
        ReasonCode.TOO_FEW_SLICES: (too_few_slices, one_slice),
        ReasonCode.WRONG_MODALITY: (wrong_modality, mixed_modalities),
        ReasonCode.INVALID_SPACING: (invalid_spacing, missing_spacing),
        ReasonCode.EMPTY_UID: (empty_uid, path_as_uid),
        ReasonCode.NO_RESCALE: (no_rescale, no_intercept),
        ReasonCode.UNREADABLE_PIXELS: (unreadable_pixels,),
        ReasonCode.TRUNCATED_PIXELS: (truncated_pixels,),
    }
)
"""Faults of one CT series by the code that refuses it; the others concern several series, a folder or the result."""


def _position(dataset: Dataset) -> np.ndarray:
    return np.array(dataset.ImagePositionPatient, float)


def _move(dataset: Dataset, offset: np.ndarray) -> None:
    dataset.ImagePositionPatient = [f"{x:.8f}"[:16] for x in _position(dataset) + offset]


def _rename(dataset: Dataset, sop_instance_uid: str) -> None:
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = sop_instance_uid


def _with(dataset: Dataset, **attributes: object) -> Dataset:
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def _with_last(series: list[Dataset], **attributes: object) -> list[Dataset]:
    broken = deepcopy(series)
    _with(broken[-1], **attributes)
    return broken
