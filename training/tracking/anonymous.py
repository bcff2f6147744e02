"""Names of cases, as they may be logged: a data set of another's may have patients' names or IDs for them."""

from collections.abc import Iterable
from pathlib import Path

from core.errors import PackageInvalid
from training.datasets.lock import DatasetLock, read_lock


def lock_of(raw: Path) -> DatasetLock | None:
    """Return the lock of a data set; None where it was not registered, or its lock was damaged since."""
    try:
        return read_lock(raw)
    except PackageInvalid:
        return None


def logged_names(cases: Iterable[str], lock: DatasetLock | None) -> dict[str, str]:
    """Return the name under which each case is logged: its own where the lock made it of a short ID, else a number."""
    known = lock.cases if lock is not None else {}
    return {
        case: case if case in known else f"case_{number:04d}" for number, case in enumerate(sorted(set(cases)), start=1)
    }
