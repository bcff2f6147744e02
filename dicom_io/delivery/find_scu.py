"""Asks an archive by C-FIND which images of a study it has (PS3.4 annex C, Study Root, hierarchical)."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pynetdicom
from pydicom.dataset import Dataset
from pynetdicom.association import Association

from core.errors import ConfigInvalid, RetryLater
from dicom_io.delivery.answer import Answer, Held
from dicom_io.delivery.store_scu import UNCOMPRESSED, Destination, associate, requesting_ae
from dicom_io.images.headers.attributes import text, uid

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
ANSWER_TIMEOUT_S = 30.0
MAX_MATCHES = 100_000
"""More images than a study has; an archive that goes on for ever is left."""

ANSWERS_WITHIN_S = 300.0
"""Time for all answers about a study; one that trickles would hold up the work behind it for days."""

_PENDING = frozenset({0xFF00, 0xFF01})
_CANNOT = frozenset({0x0122, 0xA900})
"""SOP class not supported; identifier does not match SOP class: asking again gives the same answer."""


class NotSupported(ConfigInvalid):
    """The archive does not support the query; asking again gives the same answer."""


@dataclass(frozen=True)
class ArchivedSeries:
    """A series of a study as an archive has it.

    Attributes
    ----------
    uid, modality
        Series Instance UID and Modality.
    number
        How many objects it has.
    instances
        Their SOP Instance UIDs; None where their number was the expected one, so that they were not queried.
    """

    uid: str
    modality: str
    number: int
    instances: frozenset[str] | None = None


def find_series(
    destination: Destination, calling_ae: str, study_uid: str, expected: Mapping[str, int]
) -> list[ArchivedSeries]:
    """Ask what an archive has of a study.

    Parameters
    ----------
    expected
        Number of images by Series Instance UID; where the archive's is another, it is asked for each of them.

    Returns
    -------
    list of ArchivedSeries
        Empty where it does not know the study.

    Raises
    ------
    RetryLater
        If there is no connection or association, no answer in time, or a status that may pass.
    ConfigInvalid
        If the archive does not support the query.
    """
    with _association(destination, calling_ae) as association:
        return list(_series(association, study_uid, expected, time.monotonic() + ANSWERS_WITHIN_S))


def has_instance(destination: Destination, calling_ae: str, study_uid: str, series_uid: str, instance_uid: str) -> Held:
    """Ask whether an archive has an object, by its UIDs at IMAGE level.

    Raises
    ------
    RetryLater
        If there is no connection or association, no answer in time, or a status that may pass.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": instance_uid}
    try:
        with _association(destination, calling_ae) as association:
            matches = _find(association, "IMAGE", keys, time.monotonic() + ANSWERS_WITHIN_S)
            found = {uid(match, "SOPInstanceUID") for match in matches}
    except NotSupported:
        return Held.CANNOT_BE_ASKED
    return Held.YES if instance_uid in found else Held.NO


@contextmanager
def _association(destination: Destination, calling_ae: str) -> Iterator[Association]:
    # Answers may hold more attributes than the query names.
    pynetdicom._config.LOG_RESPONSE_IDENTIFIERS = False
    ae = requesting_ae(calling_ae)
    ae.network_timeout = ae.dimse_timeout = ANSWER_TIMEOUT_S
    ae.add_requested_context(STUDY_ROOT_FIND, list(UNCOMPRESSED))
    association = associate(ae, destination)
    if isinstance(association, Answer):
        raise NotSupported("the archive does not support C-FIND (Study Root); name one that does under counted_by")
    try:
        yield association
    except RetryLater:
        association.abort()
        raise
    finally:
        if association.is_established:
            association.release()


def _series(
    association: Association, study_uid: str, expected: Mapping[str, int], until: float
) -> Iterator[ArchivedSeries]:
    keys = {"Modality": "", "NumberOfSeriesRelatedInstances": None, "SeriesInstanceUID": ""}
    for match in list(_find(association, "SERIES", {"StudyInstanceUID": study_uid, **keys}, until)):
        series = uid(match, "SeriesInstanceUID")
        if not series:
            continue
        said = text(match, "NumberOfSeriesRelatedInstances")
        if said.isascii() and said.isdigit() and int(said) == expected.get(series):
            yield ArchivedSeries(series, text(match, "Modality"), int(said))
            continue
        images = _find(
            association,
            "IMAGE",
            {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series, "SOPInstanceUID": ""},
            until,
        )
        instances = frozenset(found for image in images if (found := uid(image, "SOPInstanceUID")))
        yield ArchivedSeries(series, text(match, "Modality"), len(instances), instances)


def _find(association: Association, level: str, keys: Mapping[str, object], until: float) -> Iterator[Dataset]:
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    try:
        answers = association.send_c_find(query, STUDY_ROOT_FIND)
    except RuntimeError as error:
        raise RetryLater("the archive ended the association") from error
    for number, (status, match) in enumerate(answers):
        code = status.get("Status")
        if code == 0x0000:
            return
        if code in _CANNOT:
            problem = f"the archive refused C-FIND with status 0x{code:04X}; name another archive under counted_by"
            raise NotSupported(problem)
        if code not in _PENDING or number >= MAX_MATCHES or time.monotonic() > until:
            raise RetryLater("the archive's C-FIND answer was late, endless or an error")
        if match is not None:
            yield match
    raise RetryLater("the archive's C-FIND answer has no final status")
