"""What is known of jobs beside the queue: a small file each, in a folder that all instances share."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

_JOB: Final = re.compile(r"[0-9a-f]{32}(-[0-9]{1,9})?")


def is_job(text: str) -> bool:
    """Whether a text can be the ID of a job: what else comes from a caller becomes no file's name."""
    return _JOB.fullmatch(text) is not None


class JobFiles:
    """The files of one kind.

    Parameters
    ----------
    folder
        Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, job: str) -> Path:
        """A job's file.

        Raises
        ------
        ValueError
            If it is no job's ID.
        """
        if not is_job(job):
            raise ValueError("not the ID of a job")
        return self.folder / job

    def forget(self, job: str) -> None:
        """Remove the file of a job that is at its end."""
        with suppress(OSError):
            self.of(job).unlink()

    def tidy(self, before: float) -> None:
        """Remove the files of those whose workers died over them.

        Parameters
        ----------
        before
            Unix time; what was written since then stays.
        """
        if not self.folder.exists():
            return
        for path in self.folder.iterdir():
            with suppress(OSError):  # it is gone by now
                if path.stat().st_mtime < before:
                    path.unlink()
