"""One image of a request, opened: a file, or a folder with all that is below it."""

import errno
import hashlib
import os
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final

from core.cancellation import NEVER, Cancellation
from core.errors import RequestCode, RequestRefused, RetryLater
from services.images.limits import Limits
from services.images.safe_open import OpenFile, Stamp, open_inside
from services.images.shared_paths import MASK_FOLDER, SharedFile

_READ_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class OpenImage:
    """An image's files; they are hashed and read through their open descriptors, not through their names.

    Parameters
    ----------
    image, field
        The image of a request, and the field that names it.
    limits
        Largest number and size of files.
    cancellation
        Asked before each file that is hashed.

    Raises
    ------
    RequestRefused
        ``over_limits``; ``no_such_file`` if it has vanished; ``path_outside_roots`` if it, or a link in the folder,
        leads out of its root; ``unreadable_image`` if it is neither a file nor a folder.
    """

    def __init__(self, image: SharedFile, field: str, limits: Limits, cancellation: Cancellation = NEVER) -> None:
        self._cancellation = cancellation
        self._name, self._root, self._field = image.path.name, image.root, field
        self._limits = limits
        self._files: dict[PurePosixPath, OpenFile] = {}
        self._stamps: list[tuple[OpenFile, Stamp]] = []
        self._listings: list[tuple[OpenFile, list[str]]] = []
        self._count = self._bytes = 0
        self._closing = ExitStack()
        try:
            self._open(image.path)
        except OSError as error:
            self.close()
            raise _refusal(error, field) from error
        except RequestRefused:
            self.close()
            raise

    def __enter__(self) -> "OpenImage":
        """Return the image itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close every file."""
        self.close()

    def close(self) -> None:
        """Close every file."""
        self._closing.close()

    @property
    def is_folder(self) -> bool:
        """Tell whether the image is a folder of DICOM files."""
        return self._whole.is_folder

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of its content: of the file, or of the names and contents of a folder's files.

        Raises
        ------
        RequestRefused
            ``no_such_file`` if it may not be read.
        """
        try:
            if not self.is_folder:
                return self._whole.sha256()
            whole = hashlib.sha256()
            for name in sorted(self._files):
                self._cancellation.raise_if_cancelled()
                whole.update(f"{name}\0{self._files[name].sha256()}\n".encode("utf-8", "surrogateescape"))
            return whole.hexdigest()
        except OSError as error:
            raise _refusal(error, self._field) from error

    @cached_property
    def path(self) -> Path:
        """Return a path for readers: a link with the file's own extension, or a folder of links, to the open files."""
        folder = Path(self._closing.enter_context(TemporaryDirectory(prefix="segnode-")))
        if not self.is_folder:
            link = folder / f"image{'.nii.gz' if self._name.endswith('.gz') else '.nii'}"
            link.symlink_to(self._whole.path)
            return link
        for number, file in enumerate(self._files.values()):
            (folder / f"{number:06d}").symlink_to(file.path)
        return folder

    def check_unchanged(self) -> None:
        """Check that its content is unchanged since it was opened.

        Raises
        ------
        RetryLater
            If it was changed.
        """
        # Of a folder the names tell: its times change with the masks that are written below it, too.
        is_same = all(file.stamp == stamp for file, stamp in self._stamps)
        if not (is_same and all(self._names(folder) == names for folder, names in self._listings)):
            raise RetryLater(f"{self._field} was changed while it was read")

    def _open(self, path: Path) -> None:
        self._whole = self._keep(open_inside(path, self._root))
        if self._whole.is_folder:
            self._open_below()
        elif not self._whole.is_file:
            # To open a pipe waits for whoever writes into it.
            raise RequestRefused(RequestCode.UNREADABLE_IMAGE, f"{self._field} is neither a file nor a folder.")
        self._limits.check_files(self._count, self._bytes, self._field)

    def _open_below(self) -> None:
        """Open every file below the folder, in the order in which a walk meets them."""
        waiting = [(PurePosixPath(), self._whole)]
        while waiting:
            where, folder = waiting.pop()
            names, folders = self._names(folder), []
            self._listings.append((folder, names))
            for name in names:
                file = self._keep(open_inside(name, self._root, flags=os.O_NOFOLLOW, dir_fd=folder.descriptor))
                if file.is_folder:
                    folders.append((where / name, file))
                elif (found := self._behind_link(name, folder) if file.is_link else file).is_file:
                    self._files[where / name] = found
                self._count += 1
                self._limits.check_files(self._count, self._bytes, self._field)
            waiting += reversed(folders)

    def _names(self, folder: OpenFile) -> list[str]:
        """Return the names in a folder, in order."""
        # By what was opened, so that no folder on the way can become a link.
        readable, names = os.open(folder.path, _READ_FOLDER), []
        try:
            with os.scandir(readable) as entries:
                for entry in entries:
                    if entry.name != MASK_FOLDER:
                        names.append(entry.name)
                        self._limits.check_files(len(names), 0, self._field)
        finally:
            os.close(readable)
        return sorted(names)

    def _behind_link(self, name: str, folder: OpenFile) -> OpenFile:
        try:
            return self._keep(open_inside(name, self._root, dir_fd=folder.descriptor))
        except (OSError, RequestRefused) as error:
            # One answer for all: whether something lies outside is nobody's to ask.
            detail = f"{self._field}: a link in it is broken or leads out of its root."
            raise RequestRefused(RequestCode.PATH_OUTSIDE_ROOTS, detail) from error

    def _keep(self, file: OpenFile) -> OpenFile:
        self._closing.callback(file.close)
        if file.is_file:
            self._bytes += file.size
            self._stamps.append((file, file.stamp))
        return file


def _refusal(error: OSError, field: str) -> RequestRefused:
    if error.errno == errno.EMFILE:
        detail = f"{field}: it has more files than this service may hold open (ulimit -n)."
        return RequestRefused(RequestCode.OVER_LIMITS, detail)
    return RequestRefused(RequestCode.NO_SUCH_FILE, f"{field}: {error.strerror}.")
