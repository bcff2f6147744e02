"""A spool's own name, by which a workflow database knows that its work lies here."""

from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from core.files import sync_folder, write_synced

NAME = "spool-id"


def spool_id(root: Path) -> str:
    """The name of the spool in a folder; it is given one at the first look.

    Raises
    ------
    OSError
        If the folder cannot be read or written.
    """
    path = root / NAME
    if not path.exists():
        temporary = root / f".{NAME}.{uuid4().hex}.part"
        write_synced(temporary, uuid4().hex.encode())
        # Of several processes that start at once, the first gives the name.
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
        temporary.unlink()
        sync_folder(root)
    return path.read_text()
