"""The truth on disk: every study that was received, how far it came, and what came of it.

::

    spool/
      spool-id                       its own name, which the workflow database knows
      incoming/                      images while they are being written
      open/<key>                     an empty file for each study that still has to be looked at
      trash/                         studies that are being deleted
      own/<hash>                     an empty file for each object that this node made
      commitments/                   what peers were asked to confirm and what they answered (`commitment.transactions`)
      counters/, processes-*.json    what the processes count, and which of them take work (`app.node.presence`)
      .*.lock                        held by those that run
      studies/<key>/
        study.json                   called AE title, Study Instance UID, and its incarnation
        others/<hash>.dcm            objects that are not images of a kind that models read; other content: <hash>-<n>
        quarantine/<hash>-<n>.dcm    images with other pixels or geometry under a UID that is here already
        rev-<n>/
          state.json                 state, since when, why
          images/<hash>.dcm          the images, as received
          results/                   what the graph wrote
          results.<n>/               what it writes now, for the claim of this number (`spool.claims`)
          trying.<n>                 an empty file while that claim's run lasts; it stays if its process dies
          outcome.json               what the graph answered
          deliveries/<name>.json     what each destination has got

``<key>`` and ``<hash>`` are digests of validated UIDs: nothing that a peer sends becomes a path. A revision is one
fixed set of images; once it is closed, further images open the next one, which starts with links to all images so far.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from core.file_locks import locked
from core.files import replace_file, sync_folder
from dicom_io.spool.own_results import OwnResults
from dicom_io.spool.records import SUPERSEDED, RecordedReason, State
from dicom_io.spool.revision import Revision

ABANDONED_AFTER_S = 3600.0
"""Age from which a file in ``incoming`` belongs to a process that died."""

_NO_IMAGES: Mapping[Path, str] = MappingProxyType({})


class Spool:
    """The spool below one folder; any number of processes may use it at once.

    Parameters
    ----------
    root
        Its folder, on a file system with hard links and locks.

    Attributes
    ----------
    incoming
        Folder for images that are being written, on the disk of the studies.
    own
        The objects that this node made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / "incoming"
        self.own = OwnResults(root / "own")
        self._open = root / "open"
        self._studies = root / "studies"
        self._trash = root / "trash"

    def prepare(self) -> None:
        """Create the folders, and remove what processes that died left unfinished.

        Raises
        ------
        OSError
            If the folder cannot be written to.
        """
        for folder in (self.incoming, self._open, self.own.folder, self._studies, self._trash):
            folder.mkdir(parents=True, exist_ok=True)
        for deleted in self._trash.iterdir():
            shutil.rmtree(deleted, ignore_errors=True)
        for leftover in self.incoming.iterdir():
            # Another process may be receiving meanwhile, and what it received is renamed.
            with suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > ABANDONED_AFTER_S:
                    leftover.unlink()

    # Looking

    def is_there(self) -> bool:
        """Return whether the folder is a spool; it is not while its disk is not mounted."""
        return self._studies.is_dir()

    def study(self, key: str) -> dict[str, str]:
        """``called_ae``, ``study`` (the Study Instance UID) and ``incarnation`` of a study."""
        facts: dict[str, str] = json.loads((self._studies / key / "study.json").read_text())
        return facts

    def incarnation(self, key: str) -> str:
        """Return the ID of a study's stay in the spool: another one after it was deleted; empty for an old record."""
        return self.study(key).get("incarnation", "")

    def folder(self, key: str) -> Path:
        """Folder of a study; it may be missing."""
        return self._studies / key

    def study_keys(self) -> list[str]:
        """Keys of all studies, sorted."""
        if not self.is_there():
            return []
        return sorted(folder.name for folder in self._studies.iterdir() if self.is_known(folder.name))

    def is_known(self, key: str) -> bool:
        """Return whether the spool has the study."""
        return (self._studies / key / "study.json").exists()

    def revisions(self, key: str) -> list[Revision]:
        """All revisions of a study, oldest first."""
        # A copy that a person made beside one is none. No glob: this is asked for each object that comes.
        with suppress(FileNotFoundError):
            names = [path.name[4:] for path in self.folder(key).iterdir() if path.name.startswith("rev-")]
            return [self.revision(key, number) for number in sorted(int(name) for name in names if name.isdigit())]
        return []

    def revision(self, key: str, number: int) -> Revision:
        """One revision of a study."""
        return Revision(self._studies / key / f"rev-{number}", number, key)

    def latest_revision(self, key: str) -> Revision | None:
        """Return the newest revision of a study, if any image has come."""
        revisions = self.revisions(key)
        return revisions[-1] if revisions else None

    def open_keys(self) -> list[str]:
        """Keys of the studies that are receiving images, or wait for their workflow."""
        return sorted(marker.name for marker in self._open.iterdir())

    def unfinished(self, key: str) -> list[Revision]:
        """List closed revisions of a study that are not at their end: a lost workflow database is rebuilt from them."""
        states = [(one, one.state) for one in self.revisions(key)]
        return [one for one, state in states if state is not State.RECEIVING and not state.is_final]

    def is_open(self, key: str) -> bool:
        """Return whether a study is receiving images, or waits for its workflow."""
        return (self._open / key).exists()

    # Changing

    def create_study(self, key: str, called_ae: str, study_uid: str) -> None:
        """Make room for a study, unless it is here already.

        Raises
        ------
        FileNotFoundError
            If it was deleted meanwhile: the same call again makes it anew.
        """
        folder = self.folder(key)
        if self.is_known(key):
            return
        folder.mkdir(exist_ok=True)
        with self.locked(key):
            if self.is_known(key):
                return
            (folder / "others").mkdir(exist_ok=True)
            # Last, as whoever sees it takes all above it for durable.
            sync_folder(self._studies)
            sync_folder(folder)
            facts = {"called_ae": called_ae, "study": study_uid, "incarnation": uuid4().hex[:8]}
            replace_file(folder / "study.json", json.dumps(facts).encode())

    def open_revision(self, key: str, state: State, images: Mapping[Path, str] = _NO_IMAGES) -> Revision:
        """Open a study's next revision, with links to all images so far; hold `locked`.

        Parameters
        ----------
        images
            Files to move into it, with their names; each may take the place of an earlier revision's image of that
            name, which stays there.
        """
        latest = self.latest_revision(key)
        number = 0 if latest is None else latest.number + 1
        opening = Revision(self._studies / key / ".opening", number, key)
        shutil.rmtree(opening.path, ignore_errors=True)
        opening.images.mkdir(parents=True)
        for known in latest.images.iterdir() if latest is not None else ():
            (opening.images / known.name).hardlink_to(known)
        for image, name in images.items():
            image.replace(opening.images / name)
        sync_folder(opening.images)
        opening.begin(state, latest.priority if latest is not None else "routine")
        self.mark_open(key)
        opening.path.rename(self._studies / key / f"rev-{number}")
        sync_folder(self._studies / key)
        return self.revision(key, number)

    def mark_open(self, key: str) -> None:
        """Have a study looked at again."""
        (self._open / key).touch()
        sync_folder(self._open)

    def close(self, revision: Revision, stamp: int, notes: Sequence[str] = (), priority: str = "routine") -> bool:
        """End the receiving of a revision, unless an image has come since the stamp was taken.

        Parameters
        ----------
        revision
            A revision in the state ``receiving``.
        stamp
            `Revision.arrival_stamp`, as it was when the quiet time began.
        notes
            What a person should know who looks at its result.
        priority
            ``stat`` where it overtakes others, otherwise ``routine``.
        """
        with self.locked(revision.key):
            if revision.state is not State.RECEIVING or revision.arrival_stamp() != stamp:
                return False
            revision.write_state(state=State.WAITING, reason=None, notes=tuple(notes), priority=priority)
            return True

    def supersede(self, revision: Revision) -> None:
        """End a revision that was still receiving when the next one was opened; hold `locked`.

        Its images are all in the next one, with the corrections that opened it, and it is never run.
        """
        if revision.state is State.RECEIVING:
            message = f"A corrected description came while it was receiving; revision {revision.number + 1} has it."
            revision.write_state(state=State.REFUSED, reason=RecordedReason(SUPERSEDED, message))

    def unmark(self, key: str) -> None:
        """Stop looking at a study, unless it is receiving again."""
        with self.locked(key):
            latest = self.latest_revision(key)
            if latest is None or latest.state is not State.RECEIVING:
                (self._open / key).unlink(missing_ok=True)

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold a study's lock, which keeps every other process from changing it.

        Raises
        ------
        FileNotFoundError
            If there is no such study (any more).
        """
        with locked(self._studies / key / ".lock"):
            yield

    @contextmanager
    def changing(self, revision: Revision) -> Iterator[Revision]:
        """Hold the study's lock while a revision's state is read and written."""
        with self.locked(revision.key):
            yield revision

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
        try:
            with self.locked(key):
                held = self.quarantined(key) and not quarantined
                if self.is_open(key) or held or not condition(self.revisions(key)):
                    return False
                (self._studies / key).rename(gone)
                sync_folder(self._studies)
        except FileNotFoundError:
            if self.folder(key).exists():
                raise
            return False  # somebody else has deleted it
        shutil.rmtree(gone, ignore_errors=True)
        return True

    # Quarantine

    def quarantine(self, key: str) -> Path:
        """Folder of a study's images that have another image under a UID that was here already; it may be missing."""
        return self._studies / key / "quarantine"

    def quarantined(self, key: str) -> int:
        """Count the images of a study that wait for a person's decision."""
        return sum(1 for _ in self.quarantine(key).glob("*.dcm"))
