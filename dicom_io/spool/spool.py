"""The truth on disk: every study that was received, how far it came, and what came of it.

::

    spool/
      incoming/                      images while they are being written
      open/<key>                     an empty file for each study that still has to be looked at
      trash/                         studies that are being deleted
      own/<hash>                     an empty file for each object that this node made
      commitments/                   what peers were asked to confirm and what they answered (`delivery.commitment`)
      studies/<key>/
        study.json                   called AE title and Study Instance UID
        others/<hash>.dcm            objects that are not images of a kind that models read; other content: <hash>-<n>
        quarantine/<hash>-<n>.dcm    images with other pixels or geometry under a UID that is here already
        rev-<n>/
          state.json                 state, since when, why
          images/<hash>.dcm          the images, as received
          superseded/<hash>-<n>.dcm  images that came again, while it was receiving, with another description
          results/                   what the graph wrote
          outcome.json               what the graph answered
          deliveries/<name>.json     what each destination has got

``<key>`` and ``<hash>`` are digests of validated UIDs: nothing that a peer sends becomes a path. A revision is one
fixed set of images; once it is closed, further images open the next one, which starts with links to all images so far.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from filecmp import cmp
from itertools import count
from pathlib import Path
from typing import Literal
from uuid import uuid4

from dicom_io.durable import locked, replace_file, sync_folder, write_synced
from dicom_io.reception.received import ReceivedObject, is_uid, object_name, study_key
from dicom_io.spool.repeats import Relation, compare
from dicom_io.spool.revision import ENDED_WELL, Revision, State
from dicom_io.spool.room import KeptFree

__all__ = ["ABANDONED_AFTER_S", "Placed", "Spool", "study_key"]

ABANDONED_AFTER_S = 3600.0
"""Age from which a file in ``incoming`` belongs to a process that died."""

Placed = Literal["stored", "new_revision", "replaced", "quarantined", "repeated", "set_aside"]
"""What became of an object: ``replaced`` took the place of one with the same image and another description, which is
kept; ``quarantined`` has another image under the same UID, and takes no part until a person releases it."""


class Spool:
    """The spool below one folder; any number of processes may use it at once.

    Parameters
    ----------
    root
        Its folder, on a file system with hard links and locks.
    rerun_repeated
        Whether a delivered study that is sent again is run again.
    kept_free
        How much of the disk what is received may not take.
    """

    def __init__(self, root: Path, *, rerun_repeated: bool = False, kept_free: KeptFree | None = None) -> None:
        self.root = root
        self._rerun_repeated = rerun_repeated
        self._kept_free = kept_free or KeptFree()
        self._incoming = root / "incoming"
        self._open = root / "open"
        self._own = root / "own"
        self._studies = root / "studies"
        self._trash = root / "trash"

    def prepare(self) -> None:
        """Create the folders, and remove what processes that died left unfinished.

        Raises
        ------
        OSError
            If the folder cannot be written to.
        """
        for folder in (self._incoming, self._open, self._own, self._studies, self._trash):
            folder.mkdir(parents=True, exist_ok=True)
        for deleted in self._trash.iterdir():
            shutil.rmtree(deleted, ignore_errors=True)
        for leftover in self._incoming.iterdir():
            if time.time() - leftover.stat().st_mtime > ABANDONED_AFTER_S:
                leftover.unlink(missing_ok=True)

    # Receiving

    def store(self, received: ReceivedObject) -> Placed:
        """Put one object where it belongs; when this returns, it survives a power cut.

        Raises
        ------
        NoRoomError, OSError
            If there is no room, or the disk cannot be written; nothing is left behind.
        """
        for uid in (received.study_uid, received.sop_instance_uid):
            if not is_uid(uid):
                raise ValueError("not a UID")
        key = study_key(received.called_ae, received.study_uid)
        self._kept_free.check(self.root, len(received.data))
        temporary = self._incoming / f"{uuid4().hex}.part"
        write_synced(temporary, received.data)
        try:
            while True:
                self._create_study(key, received)
                with self._locked(key):
                    # Between the two it may have been deleted, as old studies are.
                    if (self._studies / key / "study.json").exists():
                        return self._place(key, temporary, received)
        finally:
            temporary.unlink(missing_ok=True)

    def _create_study(self, key: str, received: ReceivedObject) -> None:
        folder = self._studies / key
        if (folder / "study.json").exists():
            return
        folder.mkdir(exist_ok=True)
        (folder / "others").mkdir(exist_ok=True)
        facts = {"called_ae": received.called_ae, "study": received.study_uid}
        replace_file(folder / "study.json", json.dumps(facts).encode())
        sync_folder(self._studies)

    def _place(self, key: str, temporary: Path, received: ReceivedObject) -> Placed:
        name = object_name(received.sop_instance_uid)
        if not received.starts_work:
            return self._set_aside(key, temporary, name)
        latest = self.latest_revision(key)
        known = latest.images / f"{name}.dcm" if latest is not None else None
        if latest is None or known is None or not known.exists():
            return self._take(key, latest, temporary, name)
        relation = compare(known, temporary)
        if relation is Relation.SAME or _is_among(temporary, self.quarantine(key).glob(f"{name}-*.dcm")):
            return self._repeat(key, latest)
        if relation is Relation.IMAGE:
            self.quarantine(key).mkdir(exist_ok=True)
            self._move(temporary, _free_name(self.quarantine(key), name))
            return "quarantined"
        if latest.state is not State.RECEIVING:
            return self._take(key, latest, temporary, name)
        superseded = latest.path / "superseded"
        superseded.mkdir(exist_ok=True)
        _free_name(superseded, name).hardlink_to(known)
        sync_folder(superseded)
        self._move(temporary, known)
        return "replaced"

    def _set_aside(self, key: str, temporary: Path, name: str) -> Placed:
        others = self._studies / key / "others"
        if _is_among(temporary, others.glob(f"{name}*.dcm")):
            return "repeated"
        target = others / f"{name}.dcm"
        self._move(temporary, _free_name(others, name) if target.exists() else target)
        return "set_aside"

    def _take(self, key: str, latest: Revision | None, temporary: Path, name: str) -> Placed:
        if latest is not None and latest.state is State.RECEIVING:
            self._move(temporary, latest.images / f"{name}.dcm")
            return "stored"
        self._open_revision(key, latest, State.RECEIVING, {temporary: f"{name}.dcm"})
        return "new_revision"

    def _repeat(self, key: str, latest: Revision) -> Placed:
        if not self._rerun_repeated:
            return "repeated"
        if latest.state in ENDED_WELL:
            self._open_revision(key, latest, State.RECEIVING, {})
            return "new_revision"
        if latest.state is State.RECEIVING:
            # The rest of a study that is sent again keeps it open, as new images do.
            os.utime(latest.images)
        return "repeated"

    def _move(self, temporary: Path, target: Path) -> None:
        temporary.replace(target)
        sync_folder(target.parent)

    def _open_revision(self, key: str, latest: Revision | None, state: State, images: Mapping[Path, str]) -> Revision:
        number = 0 if latest is None else latest.number + 1
        opening = Revision(self._studies / key / ".opening", number, key)
        shutil.rmtree(opening.path, ignore_errors=True)
        opening.images.mkdir(parents=True)
        for known in latest.images.iterdir() if latest is not None else ():
            (opening.images / known.name).hardlink_to(known)
        for image, name in images.items():
            # It may take the place of one of the same UID, which stays in the older revision.
            image.replace(opening.images / name)
        sync_folder(opening.images)
        opening.write_state(state=state)
        self.mark_open(key)
        opening.path.rename(self._studies / key / f"rev-{number}")
        sync_folder(self._studies / key)
        return self.revision(key, number)

    # Looking

    def study(self, key: str) -> dict[str, str]:
        """``called_ae`` and ``study`` (the Study Instance UID) of a study."""
        facts: dict[str, str] = json.loads((self._studies / key / "study.json").read_text())
        return facts

    def study_keys(self) -> list[str]:
        """Keys of all studies, sorted."""
        if not self._studies.is_dir():
            return []
        return sorted(folder.name for folder in self._studies.iterdir() if (folder / "study.json").exists())

    def revisions(self, key: str) -> list[Revision]:
        """All revisions of a study, oldest first."""
        numbers = sorted(int(path.name[4:]) for path in (self._studies / key).glob("rev-*"))
        return [self.revision(key, number) for number in numbers]

    def revision(self, key: str, number: int) -> Revision:
        """One revision of a study."""
        return Revision(self._studies / key / f"rev-{number}", number, key)

    def latest_revision(self, key: str) -> Revision | None:
        """The newest revision of a study, if any image has come."""
        revisions = self.revisions(key)
        return revisions[-1] if revisions else None

    def open_keys(self) -> list[str]:
        """Keys of the studies that are receiving images, or wait for their workflow."""
        return sorted(marker.name for marker in self._open.iterdir())

    def unfinished(self) -> Iterator[Revision]:
        """Every closed revision that has not come to its end: what a lost workflow database is rebuilt from."""
        for key in self.study_keys():
            for revision in self.revisions(key):
                if revision.state is not State.RECEIVING and not revision.state.is_final:
                    yield revision

    def is_open(self, key: str) -> bool:
        """Whether a study is receiving images, or waits for its workflow."""
        return (self._open / key).exists()

    # Changing

    def mark_open(self, key: str) -> None:
        """Have a study looked at again."""
        (self._open / key).touch()
        sync_folder(self._open)

    def close(self, revision: Revision, stamp: int) -> bool:
        """End the receiving of a revision, unless an image has come since the stamp was taken.

        Parameters
        ----------
        revision
            A revision in the state ``receiving``.
        stamp
            `Revision.arrival_stamp`, as it was when the quiet time began.
        """
        with self._locked(revision.key):
            if revision.state is not State.RECEIVING or revision.arrival_stamp() != stamp:
                return False
            revision.write_state(state=State.WAITING)
            return True

    def unmark(self, key: str) -> None:
        """Stop looking at a study, unless it is receiving again."""
        with self._locked(key):
            latest = self.latest_revision(key)
            if latest is None or latest.state is not State.RECEIVING:
                (self._open / key).unlink(missing_ok=True)

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        with locked(self._studies / key / ".lock"):
            yield

    @contextmanager
    def changing(self, revision: Revision) -> Iterator[Revision]:
        """Hold the study's lock while its state is read and written."""
        with self._locked(revision.key):
            yield revision

    def run_again(self, key: str) -> Revision:
        """Queue a study's newest revision again, at a person's wish.

        What was refused or failed starts where it ended: results that exist are delivered, not made again. What was
        delivered, or held nothing, is run as a new revision of the same images, with results of new UIDs.

        Raises
        ------
        ValueError
            If the study has no revision, or is at work.
        """
        with self._locked(key):
            latest = self.latest_revision(key)
            if latest is None or not latest.state.is_final:
                raise ValueError("the study is not at an end")
            if latest.state in ENDED_WELL:
                return self._open_revision(key, latest, State.WAITING, {})
            outcome = latest.read_outcome()
            if outcome is not None and outcome["outcome"] in ("refused", "failed"):
                latest.forget_outcome()
                latest.forget_deliveries()
            for name, delivery in latest.deliveries().items():
                if delivery["state"] not in ("delivered", "committed"):
                    again = {"state": "waiting", "attempts": 0, "rounds": 0, "reason": ""}
                    latest.write_delivery(name, {**delivery, **again})
            run = latest.read_state()["run"] + 1
            latest.write_state(state=State.WAITING, run=run, attempts=0, reason=None)
            self.mark_open(key)
            return latest

    def forget(self, key: str) -> None:
        """Delete a study that is at its end, its quarantined images too, at a person's wish.

        What was made of it stays known as the node's own, so that it never comes back as input.

        Raises
        ------
        ValueError
            If the study is receiving or at work.
        """
        if not self.delete(key, lambda revisions: all(one.state.is_final for one in revisions), quarantined=True):
            raise ValueError("the study is not at an end")

    def delete(self, key: str, condition: Callable[[list[Revision]], bool], *, quarantined: bool = False) -> bool:
        """Delete a study with all its revisions, if they fulfil a condition.

        Parameters
        ----------
        key
            The study.
        condition
            Asked under the study's lock.
        quarantined
            Whether a study is deleted too that has quarantined images.

        Returns
        -------
        bool
            Whether it was deleted.
        """
        gone = self._trash / f"{key}-{uuid4().hex}"
        with self._locked(key):
            held = self.quarantined(key) and not quarantined
            if self.is_open(key) or held or not condition(self.revisions(key)):
                return False
            (self._studies / key).rename(gone)
            sync_folder(self._studies)
        shutil.rmtree(gone, ignore_errors=True)
        return True

    # Quarantine

    def quarantine(self, key: str) -> Path:
        """Folder of a study's images that have another image under a UID that was here already; it may be missing."""
        return self._studies / key / "quarantine"

    def quarantined(self, key: str) -> int:
        """How many images of a study wait for a person's decision."""
        return sum(1 for _ in self.quarantine(key).glob("*.dcm"))

    def release(self, key: str) -> Revision:
        """Have a study's quarantined images take the places of those that came first, in a new revision.

        Raises
        ------
        ValueError
            If nothing is quarantined, or the study is still receiving.
        """
        with self._locked(key):
            held = sorted(self.quarantine(key).glob("*.dcm"), key=lambda path: path.stat().st_mtime_ns)
            latest = self.latest_revision(key)
            if not held or latest is None:
                raise ValueError("nothing of the study is quarantined")
            if latest.state is State.RECEIVING:
                raise ValueError("the study is still receiving")
            # Copies by link: whatever happens before the end, the quarantine still has them.
            newest = {path.stem.rpartition("-")[0]: path for path in held}
            links = {}
            for name, path in newest.items():
                link = self._incoming / f"{uuid4().hex}.part"
                link.hardlink_to(path)
                links[link] = f"{name}.dcm"
            revision = self._open_revision(key, latest, State.RECEIVING, links)
            for path in newest.values():
                path.unlink()
            sync_folder(self.quarantine(key))
            return revision

    # Own results

    def register_own(self, sop_instance_uid: str) -> None:
        """Remember an object that this node made, before it is sent anywhere."""
        (self._own / object_name(sop_instance_uid)).touch()
        sync_folder(self._own)

    def is_own(self, sop_instance_uid: str) -> bool:
        """Whether this node made the object."""
        return (self._own / object_name(sop_instance_uid)).exists()


def _is_among(file: Path, others: Iterable[Path]) -> bool:
    return any(cmp(file, other, shallow=False) for other in others)


def _free_name(folder: Path, name: str) -> Path:
    candidates = (folder / f"{name}-{number}.dcm" for number in count(1))
    return next(candidate for candidate in candidates if not candidate.exists())
