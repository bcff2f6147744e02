"""The folder in which a site's data sets lie: finding one, and adding one as a whole."""

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import ConfigInvalid, PackageInvalid
from core.files import sync_folder, sync_tree
from training.datasets.lock import DATASET_NAME, LOCK, DatasetLock, read_lock

FIRST_NUMBER = 101
"""nnU-Net's own data sets have numbers up to about 100."""
LAST_NUMBER = 999
_FOLDER = re.compile(rf"Dataset(\d{{3}})_({DATASET_NAME})")
_ASIDE = ".registering-"
_GUARD = ".segnode.lock"


def datasets_folder(given: Path | None = None) -> Path:
    """Return the folder of data sets: as given, ``SEGNODE_DATASETS``, ``nnUNet_raw``, else the user's data folder."""
    if given is not None:
        return given
    for variable in ("SEGNODE_DATASETS", "nnUNet_raw"):
        if place := os.environ.get(variable):
            return Path(place)
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "segnode" / "datasets"


def list_folders(place: Path) -> list[Path]:
    """List the folders of all data sets that carry a lock, valid or not, by number."""
    if not place.is_dir():
        return []
    return sorted(path for path in place.iterdir() if _FOLDER.fullmatch(path.name) and (path / LOCK).exists())


def find_dataset(reference: str, place: Path) -> Path:
    """Find the folder of a data set.

    Parameters
    ----------
    reference
        ``NAME`` (its newest version, which has the highest number), ``NAME@VERSION`` (the beginning of a version), a
        number, the name of a folder, or the path of one.

    Raises
    ------
    ConfigInvalid
        If there is none, or several begin with that version.
    """
    if (Path(reference) / LOCK).exists():
        return Path(reference)
    folders = list_folders(place)
    name, _, version = reference.partition("@")
    found = [
        folder
        for folder in folders
        if (match := _FOLDER.fullmatch(folder.name)) and name in (match[2], folder.name, match[1], match[1].lstrip("0"))
    ]
    if version:
        found = [folder for folder in found if _version_of(folder).startswith(version)]
        if len(found) > 1:
            raise ConfigInvalid(f"{reference}: {len(found)} versions begin with it; give more digits")
    if found:
        return found[-1]
    known = ", ".join(folder.name for folder in folders) or "none"
    raise ConfigInvalid(f"no data set {reference!r} in {place}; there is: {known}")


def _version_of(folder: Path) -> str:
    try:
        return read_lock(folder).version
    except PackageInvalid:
        return ""


def find_version(name: str, version: str, place: Path) -> Path | None:
    """Find the folder of one version of a data set; ``None`` if it was not registered here."""
    for folder in list_folders(place):
        match = _FOLDER.fullmatch(folder.name)
        if match and match[2] == name and _version_of(folder) == version:
            return folder
    return None


def check_name(name: str) -> None:
    """Check that nnU-Net can make a folder of a name.

    Raises
    ------
    ConfigInvalid
        If it cannot.
    """
    if not re.fullmatch(DATASET_NAME, name):
        raise ConfigInvalid(f"{name!r} is not a valid name of a data set; use letters, digits, '_' and '-'")


def free_number(place: Path, wanted: int | None = None) -> int:
    """Return a number that no data set of the folder has, whether it is segnode's or not.

    Raises
    ------
    ConfigInvalid
        If the wanted number is taken, or none is left.
    """
    taken = {int(match[1]) for path in place.iterdir() if (match := re.match(r"Dataset(\d{3})_", path.name))}
    if wanted is not None:
        if wanted in taken:
            raise ConfigInvalid(f"--number {wanted} is taken in {place}; leave it out, and the next free one is taken")
        return wanted
    number = max((n for n in taken if n >= FIRST_NUMBER), default=FIRST_NUMBER - 1) + 1
    if number > LAST_NUMBER:
        raise ConfigInvalid(f"{place}: no number above {max(taken)} is left; give a free one with --number")
    return number


@contextmanager
def aside(place: Path) -> Iterator[Path]:
    """Yield a hidden folder to build a data set in, which is gone at the end; what a killed process left goes too."""
    place.mkdir(parents=True, exist_ok=True)
    with guarded(place):
        _sweep(place)
        work = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=place))
        descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # held as long as this process lives; see _sweep
    try:
        yield work
    finally:
        os.close(descriptor)
        shutil.rmtree(work, ignore_errors=True)


def _sweep(place: Path) -> None:
    """Remove what a process that was killed left aside: nobody holds its lock any more."""
    for path in place.glob(f"{_ASIDE}*"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)


@contextmanager
def guarded(place: Path) -> Iterator[None]:
    """Let one process at a time give numbers in a folder, or sweep it."""
    # Opened to read alone, so that others of the group may lock a file that one of them made.
    descriptor = os.open(place / _GUARD, os.O_RDONLY | os.O_CREAT, 0o664)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def publish(work: Path, place: Path, lock: DatasetLock) -> Path:
    """Give a finished folder its name, once all of it is on the disk; call it within `guarded`."""
    work.chmod(0o775 & ~_umask() | (work.stat().st_mode & stat.S_ISGID))  # the group of a shared folder stays
    sync_tree(work)
    target = place / lock.folder_name
    work.rename(target)
    sync_folder(place)
    return target


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
