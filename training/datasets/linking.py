"""Files that are taken into a data set without being written anew: which may be, and how."""

import errno
import fcntl
import gzip
import shutil
import zlib
from pathlib import Path

FICLONE = 0x40049409
"""Linux's ioctl that makes a file share another's blocks until one of them changes (linux/fs.h)."""

_HEADER = 352
_TEXTS = ((4, 32), (148, 228), (228, 252), (328, 344))
"""Fields of free text in NIfTI-1: data_type and db_name, descrip, aux_file, intent_name."""


def is_clean(path: Path) -> bool:
    """Tell whether a NIfTI file is packed and holds nothing but its grid and voxels.

    A gzip stream may name the file that it was made of, and NIfTI's header has fields of text and extensions, in which
    converters write names of patients or whole DICOM headers.
    """
    if not path.name.endswith(".nii.gz"):
        return False
    try:
        with path.open("rb") as file:
            start = file.read(10)
            file.seek(0)
            with gzip.GzipFile(fileobj=file) as unpacked:
                header = unpacked.read(_HEADER)
    except (OSError, EOFError, zlib.error):
        return False
    flags = start[3] if len(start) == 10 else 1
    texts = b"".join(header[first:last] for first, last in _TEXTS)
    begins_at_once = len(header) == _HEADER and header[108:112] in (b"\0\0\xb0C", b"C\xb0\0\0")  # 352.0
    return flags == 0 and not texts.strip(b"\0") and begins_at_once and header[348:352] == bytes(4)


def take(source: Path, target: Path) -> None:
    """Have a new file hold what another holds: by shared blocks, else by a second name, else by copying.

    Raises
    ------
    OSError
        If it cannot be copied either.
    """
    source = source.resolve()
    if _share_blocks(source, target):
        return
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, a limit, or not allowed
        shutil.copyfile(source, target)


def _share_blocks(source: Path, target: Path) -> bool:
    with source.open("rb") as old, target.open("xb") as new:
        try:
            fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
        else:
            return True
    target.unlink()
    return False
