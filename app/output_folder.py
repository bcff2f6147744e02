"""The folder for results, looked at before any work is done for it."""

import os
import tempfile
from pathlib import Path

from core.errors import ConfigInvalid

PROBE_BYTES = 1 << 16
"""As many bytes are written to find a disk that is full; a report is smaller."""


def check_output(output: Path, source: Path) -> None:
    """Check that results can be written to a folder, which may not exist yet; nothing stays of the check.

    Parameters
    ----------
    output
        Folder for the results.
    source
        Folder of the images.

    Raises
    ------
    ConfigInvalid
        If it lies in the folder of the images, is no folder, or cannot be written.
    """
    if output.resolve().is_relative_to(source.resolve()):
        raise ConfigInvalid(f"{output} lies in {source}, where results would be read as images; give another folder")
    existing = next(folder for folder in (output.absolute(), *output.absolute().parents) if os.path.lexists(folder))
    if not existing.is_dir():
        what = "leads nowhere" if existing.is_symlink() and not existing.exists() else "is a file"
        raise ConfigInvalid(f"{output}: {existing} {what}; give a folder for the results")
    try:
        with tempfile.TemporaryFile(prefix=".partial-", dir=existing) as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        remedy = "give another folder, or see that this one can be written"
        raise ConfigInvalid(f"{output} cannot be written ({error.strerror}); {remedy}") from error
