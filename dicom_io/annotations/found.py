"""The masks below a folder, by their headers."""

import os
from collections.abc import Iterator
from pathlib import Path

from dicom_io.annotations.annotation import Annotation
from dicom_io.annotations.rtstruct import RTStruct
from dicom_io.annotations.seg import Segmentation
from dicom_io.images.headers.attributes import uid
from dicom_io.images.headers.disk_errors import retry_if_passing
from dicom_io.images.headers.instance import BadDicomError, NotDicomError, read_instance

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation Storage and Label Map Segmentation Storage."""


def find_annotations(folder: Path) -> Iterator[Annotation]:
    """Yield every SEG and RTSTRUCT below a folder, each SOP Instance UID once, in order of their files.

    Files that cannot be read are passed over: `dicom_io.images.study.read_studies` counts them.

    Raises
    ------
    RetryLater
        If a disk or share fails.
    """
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            try:
                header = read_instance(path).header
            except (NotDicomError, BadDicomError):
                continue
            except OSError as error:
                retry_if_passing(error)
                continue
            instance = uid(header, "SOPInstanceUID")
            kind = uid(header, "SOPClassUID")
            if kind not in (RT_STRUCTURE_SET, *SEGMENTATIONS) or (instance and instance in seen):
                continue
            seen.add(instance)
            yield RTStruct(header) if kind == RT_STRUCTURE_SET else Segmentation(path, header)
