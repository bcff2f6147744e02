"""Storage commitment transactions: the instances that peers were asked to commit to, and what they reported.

The report may come on the association of the request, or hours later on another one, at whichever receiving process the
peer reaches. So requests and reports are kept as files in the spool, which all processes share:

::

    spool/commitments/<hash>.json           the request, by the transaction's UID
    spool/commitments/<hash>.report.json    the peer's report

A transaction's UID is random: only the peer that was asked can report on it.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from core.files import replace_file
from dicom_io.spool.received import object_name

FORGOTTEN_AFTER_S = 30 * 24 * 3600.0
"""Age in seconds from which no delivery waits for a report any more; deadlines are hours."""


@dataclass(frozen=True)
class Report:
    """A peer's answer.

    Attributes
    ----------
    failed
        Failure reason (PS3.3 C.14.1.1) by SOP Instance UID of each object that the peer does not keep.
    """

    failed: Mapping[str, int]


class Transactions:
    """The table of what was asked, in a spool that all processes share.

    Parameters
    ----------
    spool
        The spool's folder.
    """

    def __init__(self, spool: Path) -> None:
        self._folder = spool / "commitments"

    def open(self, objects: Sequence[tuple[str, str]]) -> str:
        """Note that objects are about to be asked for.

        Parameters
        ----------
        objects
            SOP Class and SOP Instance UID of each.

        Returns
        -------
        str
            The transaction's UID.
        """
        self._folder.mkdir(exist_ok=True)
        self._forget_old()
        transaction = f"2.25.{uuid4().int}"
        replace_file(self._path(transaction), json.dumps({"objects": [list(one) for one in objects]}).encode())
        return transaction

    def _forget_old(self) -> None:
        # A worker that died between asking and noting it leaves a transaction that nobody looks for.
        for path in self._folder.glob("[!.]*.json"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > FORGOTTEN_AFTER_S:
                    path.unlink()

    def objects(self, transaction: str) -> list[tuple[str, str]] | None:
        """Return the SOP Class and Instance UIDs of a transaction's request; None if there is no such request."""
        content = _read(self._path(transaction))
        return None if content is None else [(one[0], one[1]) for one in content["objects"]]

    def put_report(self, transaction: str, report: Report) -> None:
        """Keep a peer's answer; a later one replaces it.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        replace_file(self._report_path(transaction), json.dumps({"failed": dict(report.failed)}).encode())

    def report(self, transaction: str) -> Report | None:
        """Return the peer's report, or None until it has come."""
        content = _read(self._report_path(transaction))
        return None if content is None else Report(content["failed"])

    def close(self, transaction: str) -> None:
        """Forget a transaction: a report that comes later is answered as unknown."""
        self._path(transaction).unlink(missing_ok=True)
        self._report_path(transaction).unlink(missing_ok=True)

    def _path(self, transaction: str) -> Path:
        return self._folder / f"{object_name(transaction)}.json"

    def _report_path(self, transaction: str) -> Path:
        return self._folder / f"{object_name(transaction)}.report.json"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return content
