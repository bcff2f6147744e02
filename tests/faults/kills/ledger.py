"""Promises made during the kills, and checks of them: acknowledged instances, whole files, single results."""

import fnmatch
import hashlib
import os
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread

from dicom_io.spool.received import object_name, study_key
from dicom_io.spool.records import State
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from tests.support.receiver import Taken

CALLED_AE = "SEGNODE"
RECENT_S = 30.0
SENT_WITHIN_S = 90.0
"""After which a sender has nothing more to send of a study."""


def data_set_of(file: bytes) -> bytes:
    """The data set of a DICOM file (PS3.10): what follows preamble and file meta information.

    Raises
    ------
    ValueError
        If the file ends before that.
    """
    if len(file) < 144 or file[128:132] != b"DICM":
        raise ValueError("not a whole file")
    return file[144 + int(struct.unpack_from("<L", file, 140)[0]) :]


def digest_of(data_set: bytes) -> str:
    """SHA-256 of an encoded data set."""
    return hashlib.sha256(data_set).hexdigest()


@dataclass
class Sent:
    """One study as its sender knows it.

    Attributes
    ----------
    digests
        Of each instance that was sent, by SOP Instance UID.
    acknowledged
        Instances that were answered 0x0000.
    at
        When the last of these answers came, by the monotonic clock.
    """

    digests: dict[str, str] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    at: float = 0.0


class Ledger:
    """The record of promises; senders write it, the checks read it.

    Parameters
    ----------
    spool
        The spool of the node that is killed.
    """

    def __init__(self, spool: Spool) -> None:
        self.broken: list[str] = []
        self.files_seen: set[tuple[str, int]] = set()
        self._spool = spool
        self._studies: dict[str, Sent] = {}
        self._ended: set[str] = set()
        self._lock = threading.Lock()

    # What senders know

    def sends(self, study: str, instance: str, data_set: bytes) -> None:
        """Note an instance before it is sent."""
        with self._lock:
            self._studies.setdefault(study, Sent()).digests[instance] = digest_of(data_set)

    def acknowledged(self, study: str, instance: str) -> None:
        """Note that an instance was answered 0x0000."""
        with self._lock:
            sent = self._studies[study]
            sent.acknowledged.add(instance)
            sent.at = time.monotonic()

    def studies(self) -> dict[str, Sent]:
        """Studies of which the node has promised to keep something."""
        with self._lock:
            return {study: sent for study, sent in self._studies.items() if sent.acknowledged}

    def instances(self) -> int:
        """Return the number of acknowledged instances."""
        return sum(len(sent.acknowledged) for sent in self.studies().values())

    # What the spool shows

    def latest(self, study: str) -> Revision | None:
        """Newest revision of a study."""
        return self._spool.latest_revision(study_key(CALLED_AE, study))

    def states(self) -> Counter[str]:
        """Count the studies in each state; failed ones by their reason."""
        return Counter(self._state(study) for study in self.studies())

    def _state(self, study: str) -> str:
        latest = self.latest(study)
        if latest is None:
            return "missing"
        found = latest.read_state()
        return f"failed ({found.reason and found.reason.code})" if found.state is State.FAILED else str(found.state)

    def unfinished(self) -> int:
        """Count the studies that have not come to their end."""
        since, left = time.monotonic() - SENT_WITHIN_S, 0
        for study, sent in self.studies().items():
            if study in self._ended:
                continue
            latest = self.latest(study)
            if latest is None or not latest.state.is_final:
                left += 1
            elif sent.at < since:
                self._ended.add(study)  # nothing more will be sent of it
        return left

    # Promises

    def look(self, *, only_recent: bool = False) -> None:
        """Read every image file that has become visible: it is whole, and as it was sent."""
        since = time.monotonic() - RECENT_S
        with self._lock:
            known = {study: dict(sent.digests) for study, sent in self._studies.items()}
            recent = {study for study, sent in self._studies.items() if not sent.acknowledged or sent.at >= since}
        for study in recent if only_recent else known:
            whole = set(known[study].values())
            # It passes over folders that are renamed or removed meanwhile; what was renamed is seen at the next look.
            for folder, _, names in os.walk(self._spool.root / "studies" / study_key(CALLED_AE, study)):
                if Path(folder).name not in ("results", study):
                    for name in fnmatch.filter(names, "*.dcm"):
                        self._check_whole(study, Path(folder, name), whole)

    def _check_whole(self, study: str, path: Path, whole: Iterable[str]) -> None:
        try:
            seen = (path.name, path.stat().st_ino)
            if seen in self.files_seen:
                return
            digest = digest_of(data_set_of(path.read_bytes()))
        except FileNotFoundError:
            return  # a revision takes its final name
        except ValueError:
            digest = "cut off"
        if ".opening" not in path.parts:
            self.files_seen.add(seen)
            if digest not in whole:
                self.broken.append(f"partial file visible: {path.name} of study {study_key(CALLED_AE, study)}")

    def check_nothing_lost(self) -> int:
        """Compare the bytes of every acknowledged instance with those in the newest revision; how many are there."""
        found = 0
        for study, sent in self.studies().items():
            latest = self.latest(study)
            for instance in sent.acknowledged:
                path = latest.images / f"{object_name(instance)}.dcm" if latest is not None else None
                if path is None or not path.exists():
                    self.broken.append(f"acknowledged instance lost: {instance}")
                elif digest_of(data_set_of(path.read_bytes())) != sent.digests[instance]:
                    self.broken.append(f"acknowledged instance changed: {instance}")
                else:
                    found += 1
        return found

    def check_ends(self) -> None:
        """Every revision of every study is at its end, and none failed but for a worker that died over it."""
        for study in self.studies():
            for revision in self._spool.revisions(study_key(CALLED_AE, study)):
                state = revision.read_state()
                if not state.state.is_final:
                    self.broken.append(f"no final state: {state.state}, {revision.key} revision {revision.number}")
                elif state.state is State.FAILED and (state.reason is None or state.reason.code != "worker_died"):
                    self.broken.append(f"failed: {state.reason}, {revision.key}")

    def check_results(self, taken: Iterable[Taken]) -> int:
        """Each revision's result came once, or again as the very same object; how many different ones came."""
        came: dict[str, dict[str, set[str]]] = {}
        for one in taken:
            came.setdefault(one.study, {}).setdefault(one.instance, set()).add(one.digest)
        for study in self.studies():
            made: dict[str, str] = {}
            for revision in self._spool.revisions(study_key(CALLED_AE, study)):
                if revision.state is State.DELIVERED:
                    results = _results_of(revision)
                    if len(results) != 1:
                        self.broken.append(f"{len(results)} results: {revision.key} revision {revision.number}")
                    made |= results
            got = came.pop(study, {})
            self.broken += [f"delivered but not received: {uid}" for uid in made.keys() - got.keys()]
            self.broken += [f"received under another UID: {uid}" for uid in got.keys() - made.keys()]
            for uid in made.keys() & got.keys():
                if got[uid] != {made[uid]}:
                    self.broken.append(f"received with other content: {uid}")
        self.broken += [f"result of an unknown study: {study}" for study in came]
        return len({one.instance for one in taken})


def _results_of(revision: Revision) -> dict[str, str]:
    """Digests of what a run made, by SOP Instance UID."""
    return {
        str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID): digest_of(data_set_of(path.read_bytes()))
        for path in revision.results.rglob("*.dcm")
    }
