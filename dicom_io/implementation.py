"""The name by which this program introduces itself to peers and marks the files that it writes.

References
----------
PS3.7 annex D.3.3.2 (Implementation Identification Notification); PS3.10 section 7.1; PS3.5 annex B.2 (UUID
derived UID).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID

from core.version import VERSION

if TYPE_CHECKING:  # an image that writes objects and speaks to nobody has no pynetdicom
    from pynetdicom import AE

IMPLEMENTATION_CLASS_UID: Final = UID(f"2.25.{uuid.UUID('6cd492ff-b681-4058-9087-0c2ba3bcfb8e').int}")
"""The same for every version and installation; no peer or file of another program carries it."""

_LONGEST_NAME = 16

IMPLEMENTATION_VERSION_NAME: Final = f"SEGNODE_{VERSION}"[:_LONGEST_NAME]
"""An SH of at most 16 characters."""


def introduce(ae: AE) -> None:
    """Let an application entity introduce itself as this program in its association requests and acceptances."""
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME


def sign(meta: FileMetaDataset) -> None:
    """Write into a file's meta information that this program wrote the file."""
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
