"""A spool's own name, by which a workflow database recognizes the spool of its work."""

from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from core.files import sync_folder, write_synced

NAME = "spool-id"


def spool_id(root: Path) -> str:
    """Return the name of the spool in a folder; the first call gives it one.

    Raises
    ------
    OSError
        If the folder cannot be read or written.
    """
    path = root / NAME
    if not path.exists():
        temporary = root / f".{NAME}.{uuid4().hex}.part"
        write_synced(temporary, uuid4().hex.encode())
        # If several processes start at once, the first one gives the name.
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
        temporary.unlink()
        sync_folder(root)
    return path.read_text()
