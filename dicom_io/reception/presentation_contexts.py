"""SOP classes and transfer syntaxes that the listener accepts."""

from dataclasses import dataclass

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AllStoragePresentationContexts

TRANSFER_SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    RLELossless,
)
"""Accepted by default, for every class. Deflated is not: a small object can inflate without bound when it is read."""

VERIFICATION = UID("1.2.840.10008.1.1")

STORAGE_CLASSES = tuple(UID(str(context.abstract_syntax)) for context in AllStoragePresentationContexts)
"""Accepted by default: objects that are not images are kept beside them."""

_BY_KEYWORD = {entry[4]: UID(uid) for uid, entry in UID_dictionary.items() if entry[4]}


def known_uid(name: str, kind: str) -> UID:
    """Return the UID of a keyword (``CTImageStorage``), or a UID as it is.

    Parameters
    ----------
    name
        Keyword or UID.
    kind
        Its expected type: ``SOP Class`` or ``Transfer Syntax``.

    Raises
    ------
    ValueError
        If PS3.6 annex A has no such UID.
    """
    uid = _BY_KEYWORD.get(name, UID(name))
    if uid not in UID_dictionary or uid.type != kind:
        raise ValueError(f"{name} is not a {kind.lower()} of DICOM; give a keyword such as CTImageStorage, or its UID")
    return uid


@dataclass(frozen=True)
class Accepted:
    """The contexts that are negotiated: each class with each syntax, in order of preference."""

    sop_classes: tuple[UID, ...] = STORAGE_CLASSES
    transfer_syntaxes: tuple[UID, ...] = TRANSFER_SYNTAXES

    def contexts(self) -> list[tuple[UID, list[UID]]]:
        """Return every class with its transfer syntaxes."""
        return [(sop_class, list(self.transfer_syntaxes)) for sop_class in self.sop_classes]
