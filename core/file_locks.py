"""Locks between processes on files; the kernel frees a lock if its holder dies.

A missing folder is never made, since here that of a study is missing where the study was deleted; the package
``filelock`` makes it, and is not used for that reason.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def take_lock(path: Path, *, wait: bool = False) -> int | None:
    """Lock a file; it is created if it is missing, and is not removed.

    If the lock file was deleted or replaced meanwhile, the lock obtained excludes nobody, so it is requested again.

    Parameters
    ----------
    path
        The lock file.
    wait
        Wait while another process or thread holds the lock.

    Returns
    -------
    int or None
        The descriptor that holds the lock until it is closed; None if another holds it.

    Raises
    ------
    OSError
        If the file cannot be created, for example because its folder is gone.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        is_ours = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            is_ours = _is_at(path, descriptor)
        except BlockingIOError:
            return None
        finally:
            if not is_ours:
                os.close(descriptor)
        if is_ours:
            return descriptor


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock for the duration of the block, and wait for it before.

    Parameters
    ----------
    path
        The lock file; it is created if it is missing, and is not removed.
    on_wait
        Called once before waiting, if another process or thread holds the lock.

    Raises
    ------
    OSError
        As `take_lock`.
    """
    descriptor = take_lock(path)
    if descriptor is None and on_wait is not None:
        on_wait()
    while descriptor is None:
        descriptor = take_lock(path, wait=True)
    try:
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds a lock, without creating its file.

    A holder's try at `take_lock` can fail in the instant of the look.

    Raises
    ------
    OSError
        If the file is missing or cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
