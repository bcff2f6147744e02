"""The masks below a folder, by their headers."""

import os
from collections.abc import Iterator
from filecmp import cmp
from pathlib import Path

from pydicom.dataset import Dataset

from core.errors import CaseCode, CaseRefused
from dicom_io.annotations.annotation import Annotation, Outline
from dicom_io.annotations.patient_words import patient_words
from dicom_io.annotations.rtstruct import RTStruct
from dicom_io.annotations.seg import Segmentation
from dicom_io.images.headers.attributes import items, uid
from dicom_io.images.headers.disk_errors import retry_if_passing
from dicom_io.images.headers.instance import BadDicomError, NotDicomError, read_instance

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation Storage and Label Map Segmentation Storage."""


def find_annotations(folder: Path) -> Iterator[Outline]:
    """Yield every SEG and RTSTRUCT below a folder, in order of their files; a copy of one is passed over.

    Two that differ under one SOP Instance UID are two: neither is dropped in silence.

    Files that cannot be read are passed over: `dicom_io.images.study.read_studies` counts them.

    Raises
    ------
    RetryLater
        If a disk or share fails.
    """
    seen: dict[str, list[Path]] = {}
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
            kind = uid(header, "SOPClassUID")
            if kind not in (RT_STRUCTURE_SET, *SEGMENTATIONS):
                continue
            others = seen.setdefault(uid(header, "SOPInstanceUID"), [])
            if any(cmp(path, other, shallow=False) for other in others):
                continue
            others.append(path)
            yield _outline(path, header)


def open_annotation(outline: Outline) -> Annotation:
    """Read a mask object again, to make masks of it.

    Raises
    ------
    CaseRefused
        ``unreadable_mask`` if it was changed or removed since.
    """
    try:
        header = read_instance(outline.path).header
    except (NotDicomError, BadDicomError, OSError) as error:
        raise CaseRefused(CaseCode.UNREADABLE_MASK, "It cannot be read any more.") from error
    if uid(header, "SOPInstanceUID") != outline.sop_instance_uid:
        raise CaseRefused(CaseCode.UNREADABLE_MASK, "Another object has taken its place.")
    return _object(outline.path, header)


def _object(path: Path, header: Dataset) -> RTStruct | Segmentation:
    return RTStruct(header) if uid(header, "SOPClassUID") == RT_STRUCTURE_SET else Segmentation(path, header)


def _outline(path: Path, header: Dataset) -> Outline:
    found = _object(path, header)
    listed = items(header, "ReferencedFrameOfReferenceSequence")
    frames = {uid(header, "FrameOfReferenceUID"), *(uid(item, "FrameOfReferenceUID") for item in listed)}
    return Outline(
        path,
        found.kind,
        uid(header, "SOPInstanceUID"),
        uid(header, "StudyInstanceUID"),
        frozenset(frames - {""}),
        found.structures,
        found.series_uids,
        found.image_uids,
        patient_words(header),
    )
