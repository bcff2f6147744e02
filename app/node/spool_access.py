"""The spool as a process of the node finds it when it starts, and as a person's command finds it."""

import errno
import os
from pathlib import Path

from core.errors import ConfigInvalid, RetryLater
from dicom_io.spool.spool import Spool

PASSING = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENFILE, errno.EMFILE, errno.ENOMEM}
)
"""Errors of a disk or share that was right in ``node.yaml``, and is full, broken or away for now."""

_NONE_THERE = "there is none; has this node ever been started, and is the disk mounted?"
_AS_THE_NODE = "call this as the node's user: sudo -u USER ..."


def prepared_spool(folder: Path) -> Spool:
    """Open the spool in a folder, ready for use.

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


def spool_to_read(folder: Path) -> Spool:
    """Open the spool in a folder for a command that only reads it.

    Raises
    ------
    ConfigInvalid
        If there is none, or this user may not look at it.
    """
    try:
        os.scandir(folder / "studies").close()
    except FileNotFoundError as error:
        # An empty list would say that all is well.
        raise ConfigInvalid(f"spool {folder}: {_NONE_THERE}") from error
    except PermissionError as error:
        raise ConfigInvalid(f"spool {folder}: {error.strerror}; {_AS_THE_NODE}") from error
    return Spool(folder)


def spool_to_change(folder: Path) -> Spool:
    """Open the spool for a command that writes to it: files of root could not be changed by a node of another user.

    Raises
    ------
    ConfigInvalid
        If there is none, or this user may not look at it, or is root and the node is not.
    """
    spool = spool_to_read(folder)
    if os.geteuid() == 0 and (owner := (folder / "studies").stat().st_uid) != 0:
        raise ConfigInvalid(f"spool {folder}: it belongs to user {owner}, not to root; {_AS_THE_NODE}")
    return spool
