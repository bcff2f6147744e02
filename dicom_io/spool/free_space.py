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
        if self._lacks_room(os.statvfs(folder)):
            raise NoRoomError

    def refusal(self, folder: Path) -> str:
        """Return the reason for which every image is refused at present; empty where there is room.

        Raises
        ------
        OSError
            If the folder cannot be looked at.
        """
        disk = os.statvfs(folder)
        if disk.f_flag & os.ST_RDONLY:
            return "the disk is read-only"
        if disk.f_bavail == 0 or (disk.f_files and not disk.f_favail):
            return "the disk is full"
        return "free disk space is below the reserve" if self._lacks_room(disk) else ""

    def _lacks_room(self, disk: os.statvfs_result) -> bool:
        kept = max(self.size, disk.f_blocks * disk.f_frsize * self.percent / 100.0)
        return disk.f_bavail * disk.f_frsize < kept
