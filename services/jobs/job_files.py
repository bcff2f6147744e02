"""Facts about jobs beside the queue: a small file each, in a folder that all instances share."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

_JOB: Final = re.compile(r"[0-9a-f]{32}(-[0-9]{1,9})?")


def is_job(text: str) -> bool:
    """Tell whether a text is a valid job ID; no other text of a caller becomes a file's name."""
    return _JOB.fullmatch(text) is not None


class JobFiles:
    """The files of one kind.

    Parameters
    ----------
    folder
        The folder that holds them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, job: str) -> Path:
        """Return the path of a job's file.

        Raises
        ------
        ValueError
            If it is not a valid job ID.
        """
        if not is_job(job):
            raise ValueError("not a valid job ID")
        return self.folder / job

    def forget(self, job: str) -> None:
        """Remove the file of a job that has reached its end."""
        with suppress(OSError):
            self.of(job).unlink()

    def tidy(self, before: float) -> None:
        """Remove the files of jobs whose workers died.

        Parameters
        ----------
        before
            Unix time; files written since then stay.
        """
        if not self.folder.exists():
            return
        for path in self.folder.iterdir():
            with suppress(OSError):  # it is gone by now
                if path.stat().st_mtime < before:
                    path.unlink()
