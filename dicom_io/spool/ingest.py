"""The filing of received objects in the spool; once filed, an object survives a power cut."""

import os
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Literal
from uuid import uuid4

from core.event_log import EventLog
from core.files import sync_folder
from dicom_io.spool.duplicates import Relation, compare, same_object
from dicom_io.spool.free_space import KeptFree
from dicom_io.spool.incoming import IncomingFile
from dicom_io.spool.received import ReceivedObject, is_uid, object_name, study_key
from dicom_io.spool.records import ENDED_WELL, State, description_changed
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool

_log = EventLog()

MAX_WARNINGS = 20
"""Different ones that a revision keeps of what was received."""

Placed = Literal["stored", "new_revision", "replaced", "quarantined", "repeated", "set_aside"]
"""The fate of an object: ``replaced`` took the place of one with the same image and another description, which an
earlier revision keeps; ``repeated`` is also one whose other description was written before the one that is here;
``quarantined`` has another image under the same UID, and takes no part until a person releases
it."""


class Ingest:
    """Stores what comes; any number of processes may do so at once.

    Parameters
    ----------
    spool
        Where objects go.
    rerun_repeated
        Whether a delivered study that is sent again is run again.
    kept_free
        How much of the disk what is received may not take.
    """

    def __init__(self, spool: Spool, *, rerun_repeated: bool = False, kept_free: KeptFree | None = None) -> None:
        self.spool = spool
        self._rerun_repeated = rerun_repeated
        self._kept_free = kept_free or KeptFree()

    def begin(self) -> IncomingFile:
        """Open a file for an object whose first bytes arrive.

        Raises
        ------
        NoRoomError, OSError
            If there is no room, or the disk cannot be written.
        """
        return IncomingFile(self.spool.incoming / f"{uuid4().hex}.part", lambda: self._kept_free.check(self.spool.root))

    def store(self, received: ReceivedObject, file: IncomingFile) -> Placed:
        """Put one object where it belongs; when this returns, it survives a power cut.

        Parameters
        ----------
        received
            What it is.
        file
            All of it; it is moved, or left where nothing is to be kept of it.

        Raises
        ------
        NoRoomError, OSError
            If there is no room, or the disk cannot be written.
        """
        for uid in (received.study_uid, received.sop_instance_uid):
            if not is_uid(uid):
                raise ValueError("not a UID")
        key = study_key(received.called_ae, received.study_uid)
        file.sync()
        while True:
            with ExitStack() as lock:
                # Between the two, and in each, it may be deleted, as old studies are.
                try:
                    self.spool.create_study(key, received.called_ae, received.study_uid)
                    lock.enter_context(self.spool.locked(key))
                except FileNotFoundError:
                    if not self.spool.is_there():
                        raise
                    continue
                if self.spool.is_known(key):
                    return self._place(key, file.path, received)

    def _place(self, key: str, temporary: Path, received: ReceivedObject) -> Placed:
        name = object_name(received.sop_instance_uid)
        if not received.starts_work:
            return self._set_aside(key, temporary, name)
        latest = self.spool.latest_revision(key)
        known = latest.images / f"{name}.dcm" if latest is not None else None
        if latest is None or known is None or not known.exists():
            return self._take(key, latest, temporary, name)
        found = compare(known, temporary)
        if found.relation is Relation.SAME or _is_among(temporary, self.spool.quarantine(key).glob(f"{name}-*.dcm")):
            # Who stored it may have died before its name was safe.
            sync_folder(known.parent)
            return self._repeat(key, latest)
        if found.relation is Relation.IMAGE:
            self.spool.quarantine(key).mkdir(exist_ok=True)
            sync_folder(self.spool.folder(key))
            _move(temporary, _free_name(self.spool.quarantine(key), name))
            return "quarantined"
        if not found.newer_counts:
            _warn(latest, found.words)
            return self._repeat(key, latest)
        if latest.state is State.RECEIVING and self._is_inherited(latest, known):
            _warn(latest, found.words)
            _move(temporary, known)
            return "replaced"
        opened = self.spool.open_revision(key, State.RECEIVING, {temporary: f"{name}.dcm"})
        if latest.state is State.RECEIVING:
            opened.write_state(warnings=latest.read_state().of_reception)
        _warn(opened, found.words)
        self.spool.supersede(latest)
        return "new_revision"

    def _is_inherited(self, latest: Revision, known: Path) -> bool:
        # One correction opens a revision; the other images of the study that are corrected too then belong to it.
        if latest.number == 0:
            return False
        before = self.spool.revision(latest.key, latest.number - 1).images / known.name
        return before.exists() and before.samefile(known)

    def _set_aside(self, key: str, temporary: Path, name: str) -> Placed:
        others = self.spool.folder(key) / "others"
        target = others / f"{name}.dcm"
        if target.exists():
            # Only now is the folder listed: with thousands of objects that would be most of the work on each.
            if _is_among(temporary, others.glob(f"{name}*.dcm")):
                sync_folder(others)
                return "repeated"
            target = _free_name(others, name)
        _move(temporary, target)
        return "set_aside"

    def _take(self, key: str, latest: Revision | None, temporary: Path, name: str) -> Placed:
        if latest is not None and latest.state is State.RECEIVING:
            _move(temporary, latest.images / f"{name}.dcm")
            return "stored"
        self.spool.open_revision(key, State.RECEIVING, {temporary: f"{name}.dcm"})
        return "new_revision"

    def _repeat(self, key: str, latest: Revision) -> Placed:
        if not self._rerun_repeated:
            return "repeated"
        if latest.state in ENDED_WELL:
            self.spool.open_revision(key, State.RECEIVING)
            return "new_revision"
        if latest.state is State.RECEIVING:
            # The rest of a study that is sent again keeps it open, as new images do.
            os.utime(latest.images)
        return "repeated"


def _warn(revision: Revision, words: str) -> None:
    """Log that an image came again with another description, and keep it for the result of a revision to come."""
    problem = description_changed(words)
    _log.warning("study_warning_raised", study=revision.key, warning=problem.code, problem=problem.message)
    state = revision.read_state()
    if state.state is State.RECEIVING and problem not in state.warnings and len(state.warnings) < MAX_WARNINGS:
        revision.write_state(warnings=(*state.warnings, problem))


def _move(temporary: Path, target: Path) -> None:
    temporary.replace(target)
    sync_folder(target.parent)


def _is_among(file: Path, others: Iterable[Path]) -> bool:
    return any(same_object(file, other) for other in others)


def _free_name(folder: Path, name: str) -> Path:
    candidates = (folder / f"{name}-{number}.dcm" for number in count(1))
    return next(candidate for candidate in candidates if not candidate.exists())
