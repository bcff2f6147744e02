"""The spool as a process of the node finds it when it starts."""

import errno
from pathlib import Path

from core.errors import ConfigInvalid, RetryLater
from dicom_io.spool.spool import Spool

PASSING = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENFILE, errno.EMFILE, errno.ENOMEM}
)
"""What a disk or share says that was right in ``node.yaml``, and is full, broken or away for now."""


def prepared_spool(folder: Path) -> Spool:
    """The spool in a folder, ready for use.

    Raises
    ------
    RetryLater
        If its disk is full or fails: who starts this process does so again.
    ConfigInvalid
        If the folder can be no spool for this user.
    """
    spool = Spool(folder)
    try:
        spool.prepare()
    except OSError as error:
        if error.errno in PASSING:
            raise RetryLater(f"spool {folder}: {error.strerror}; it is tried again") from error
        raise ConfigInvalid(f"spool {folder}: {error.strerror}; give a folder that can be written") from error
    return spool
