"""Errors of a disk or share under an image that may pass, and those that are of the file itself."""

import errno
from typing import Final

from core.errors import RetryLater

_OF_THE_FILE: Final = {errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""Errors of opening that stay while nobody changes the file; any other may pass."""


def retry_if_passing(error: OSError) -> None:
    """Return for an error of the file or folder itself; libraries' own errors carry no number and are such too.

    Raises
    ------
    RetryLater
        If the disk or share fails, or this process has no file handle left: the same study may succeed later.
    """
    if error.errno is not None and error.errno not in _OF_THE_FILE:
        raise RetryLater(f"an image cannot be read now: {error.strerror}") from error
