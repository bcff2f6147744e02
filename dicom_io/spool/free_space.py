"""Room on the spool's disk: it is refused before the disk is full, since a full disk stops the work too."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path


class NoRoomError(OSError):
    """The disk has less free than has to stay free."""

    def __init__(self) -> None:
        super().__init__(errno.ENOSPC, "free disk space is below the reserve")


@dataclass(frozen=True)
class KeptFree:
    """The space that has to stay free: the larger of ``size`` in bytes and ``percent`` of the disk."""

    size: int = 0
    percent: float = 0.0

    def check(self, folder: Path) -> None:
        """Raise `NoRoomError` if less is free than has to stay free."""
        disk = os.statvfs(folder)
        kept = max(self.size, disk.f_blocks * disk.f_frsize * self.percent / 100.0)
        if disk.f_bavail * disk.f_frsize < kept:
            raise NoRoomError
