"""Paths on a shared volume: a caller's names, and the files that this process may open.

Caller and service see one volume at different places. A path comes as ``ROOT:relative/path``, or absolute below the
root or one of its other views; it is resolved here, through every link, and must then still lie in the same root.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from core.errors import RequestCode, RequestRefused

MASK_FOLDER: Final = "mask"
"""The folder in a case that this service writes to; its files are part of no image."""


@dataclass(frozen=True)
class Root:
    """One configured folder of the shared volume.

    Attributes
    ----------
    path
        Its path for this process; absolute.
    seen_as
        Its paths for callers, in any order: views of one root do not nest.
    """

    path: Path
    seen_as: tuple[PurePosixPath, ...] = ()


@dataclass(frozen=True)
class SharedFile:
    """A file or folder below a root, and the caller's name of its root.

    Attributes
    ----------
    path
        Resolved; below ``root``.
    root
        Resolved.
    view
        The beginning of the caller's paths in place of ``root``.
    root_name
        The root's name in the settings, equal for every view of the volume.
    """

    path: Path
    root: Path
    view: str
    root_name: str

    def name_of(self, path: Path) -> str:
        """Return the caller's name of another path of the same root."""
        return f"{self.view}{path.relative_to(self.root).as_posix()}"

    def common_name_of(self, path: Path) -> str:
        """Return the name of another path of the same root that every instance and every caller may use."""
        return f"{self.root_name}:{path.relative_to(self.root).as_posix()}"


class Roots:
    """The configured roots.

    Parameters
    ----------
    roots
        By name.
    """

    def __init__(self, roots: Mapping[str, Root]) -> None:
        self._views = [
            (view, name, root)
            for name, root in roots.items()
            for view in (f"{name}:", *(f"{str(seen).rstrip('/')}/" for seen in (root.path, *root.seen_as)))
        ]

    def find(self, path: str, field: str) -> SharedFile:
        """Find the file or folder of a caller's path.

        Parameters
        ----------
        path
            The path as received.
        field
            The request's field, for messages, which never repeat the path.

        Raises
        ------
        RequestRefused
            ``path_outside_roots`` if it is below no root or leaves its own, ``no_such_file`` if it does not exist.
        """
        view, name, root = self._root_of(path, field)
        relative = PurePosixPath(path[len(view) :])
        if "\0" in path or relative.is_absolute() or ".." in relative.parts:
            raise RequestRefused(RequestCode.PATH_OUTSIDE_ROOTS, f"{field} must not contain '..' or leave its folder.")
        try:
            own_root = root.path.resolve(strict=True)
            resolved = (own_root / relative).resolve()
            if not resolved.is_relative_to(own_root):
                # Refused before it is known to exist: callers must not probe for files outside of the roots.
                raise RequestRefused(RequestCode.PATH_OUTSIDE_ROOTS, f"{field} is a link that leaves its root.")
            resolved.stat()
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            detail = f"{field}: this service finds no such file or folder."
            raise RequestRefused(RequestCode.NO_SUCH_FILE, detail) from error
        if resolved == own_root:
            raise RequestRefused(RequestCode.PATH_OUTSIDE_ROOTS, f"{field} is a root itself; name a path below it.")
        if not (resolved.is_file() or resolved.is_dir()):
            # To open a pipe waits for whoever writes into it.
            raise RequestRefused(RequestCode.UNREADABLE_IMAGE, f"{field} is neither a file nor a folder.")
        return SharedFile(resolved, own_root, view, name)

    def _root_of(self, path: str, field: str) -> tuple[str, str, Root]:
        found = [one for one in self._views if path.startswith(one[0])]
        if not found:
            known = ", ".join(sorted(view for view, *_ in self._views if view.endswith(":")))
            raise RequestRefused(
                RequestCode.PATH_OUTSIDE_ROOTS, f"{field} is below no root of this service; its roots are {known}"
            )
        return max(found, key=lambda one: len(one[0]))
