"""The objects that this node made: what comes back is never its input."""

from pathlib import Path

from core.files import sync_folder
from dicom_io.spool.received import object_name


class OwnResults:
    """A folder with an empty file for each object.

    Parameters
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, sop_instance_uid: str) -> None:
        """Remember an object, before it is sent anywhere."""
        (self.folder / object_name(sop_instance_uid)).touch()
        sync_folder(self.folder)

    def __contains__(self, sop_instance_uid: str) -> bool:
        """Return whether this node made an object."""
        return (self.folder / object_name(sop_instance_uid)).exists()
