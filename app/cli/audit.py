"""What a person does with a study at the command line, for the audit trail."""

import os
import pwd
from typing import Literal

from app.settings.node import NodeSettings
from dicom_io.audit.trail import Transfer


def audit_handling(settings: NodeSettings, action: Literal["R", "U", "D"], kept: Transfer) -> None:
    """Say in the audit trail who looked at a study (R), had it run again (U), or deleted it (D)."""
    settings.audit_trail().handled(_user(), action, kept)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
