"""A SEG's file, written whole or not at all, without decoding elements that are encoded already."""

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import correct_ambiguous_vr_element, write_data_element
from pydicom.tag import Tag

from core.files import replacing, sync_file, sync_folder
from dicom_io.implementation import sign
from dicom_io.results.seg.functional_groups import PER_FRAME_GROUPS

PIXEL_DATA = Tag("PixelData")


def write_seg(dataset: Dataset, path: Path) -> None:
    """Write an object so that its name appears only with its whole content, also after a loss of power.

    The object's file meta information then names this program as the writer; highdicom and pydicom enter themselves.
    """
    sign(dataset.file_meta)
    with replacing(path) as temporary:
        with temporary.open("xb") as file:
            _write(dataset, file)
        sync_file(temporary)
    sync_folder(path.parent)


def _write(dataset: Dataset, file: BinaryIO) -> None:
    """Write a dataset in explicit VR little endian, its last and largest elements as they are.

    pydicom decodes an encoded sequence before it writes it, which takes seconds for that of the frames.
    """
    last = [tag for tag in (PER_FRAME_GROUPS, PIXEL_DATA) if tag in dataset]
    if not last:
        dataset.save_as(file, enforce_file_format=True)
        return
    others = sorted(set(dataset.keys()) - set(last))  # the keys: iterating over a dataset would decode its elements
    if others[-1] > last[0]:
        raise ValueError(f"{others[-1]} comes after the frames' functional groups")
    head = Dataset()
    head.update({tag: dataset.get_item(tag) for tag in others})
    head.file_meta = dataset.file_meta
    head.save_as(file, enforce_file_format=True)
    output = DicomFileLike(file)
    output.is_implicit_VR, output.is_little_endian = False, True
    for tag in last:
        element = correct_ambiguous_vr_element(dataset.get_item(tag), dataset, True)
        if isinstance(element, DataElement) and tag == PIXEL_DATA:
            encapsulated = dataset.file_meta.TransferSyntaxUID.is_encapsulated
            # As a buffer they go into the file as they are, otherwise by way of two copies in memory.
            element = DataElement(tag, element.VR, BytesIO(element.value))
            element.is_undefined_length = encapsulated
        write_data_element(output, element)
