"""The present activity of a node, read from its spool: for ``segnode status``, ``/readyz`` and ``/metrics``."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.node.presence import THIS_HOST, read_processes
from core.files import replace_file
from core.study_warning import StudyWarning
from dicom_io.spool.free_space import KeptFree
from dicom_io.spool.isolation import DAMAGE, problem_of
from dicom_io.spool.records import PENDING, UNCONFIRMED, RecordedWarning, RevisionState, State
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool

_MODEL_WARNINGS = f"model-warnings-{THIS_HOST}.json"


@dataclass(frozen=True)
class NodeStatus:
    """One look at a node.

    Attributes
    ----------
    processes
        Whether each process of this machine's node takes work; empty where no node runs.
    studies
        Number of studies by the state of their newest revision.
    oldest_waiting_s
        Age of the oldest study that is neither receiving nor at its end, in its present state.
    free_bytes
        Room on the spool's disk.
    deliveries
        Number of studies that each destination waits for.
    warnings
        Number of studies by the warnings about their newest results (`core.study_warning`).
    model_warnings
        Warnings about the models that this machine's node has loaded.
    unconfirmed
        Number of studies that are failed since a destination did not confirm what it was sent.
    disk_problem
        The reason for which every image is refused for want of disk; empty where there is room.
    damaged
        Short IDs of studies whose files cannot be read, with the problem; they are in no other number.
    """

    processes: Mapping[str, bool]
    studies: Mapping[str, int]
    oldest_waiting_s: float
    free_bytes: int
    deliveries: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    model_warnings: Sequence[RecordedWarning] = ()
    damaged: Mapping[str, str] = field(default_factory=dict)
    unconfirmed: int = 0
    disk_problem: str = ""

    @property
    def is_running(self) -> bool:
        """Return whether a node runs."""
        return bool(self.processes)

    @property
    def is_ready(self) -> bool:
        """Return whether a node runs, all its processes take work, and its disk takes images."""
        return self.is_running and all(self.processes.values()) and not self.disk_problem

    @property
    def queue_depth(self) -> int:
        """Studies that are complete and not at their end."""
        return sum(self.studies.get(state, 0) for state in (State.WAITING, State.RUNNING, State.DELIVERING))


def look(spool: Spool, kept_free: KeptFree | None = None) -> NodeStatus:
    """Look at a node through its spool, from any process; a study that is damaged hides no other.

    Parameters
    ----------
    kept_free
        What has to stay free on the spool's disk; nothing if left out.

    Raises
    ------
    OSError
        If the spool cannot be read.
    """
    studies = dict.fromkeys((str(state) for state in State), 0)
    deliveries: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    damaged: dict[str, str] = {}
    oldest, unconfirmed = 0.0, 0
    for key in spool.study_keys():
        try:
            if (latest := spool.latest_revision(key)) is None:
                continue
            known = latest.read_state()
            state, pending, age, warned = _look_at(latest, known)
        except DAMAGE as error:
            if spool.is_known(key):  # else forgotten in the meantime
                damaged[key] = problem_of(error)
            continue
        studies[state] += 1
        unconfirmed += known.reason is not None and known.reason.code == UNCONFIRMED
        oldest = max(oldest, age)
        deliveries.update(pending)
        warnings.update(warned)
    disk = os.statvfs(spool.root)
    free = disk.f_bavail * disk.f_frsize
    return NodeStatus(
        read_processes(spool.root),
        studies,
        oldest,
        free,
        deliveries=deliveries,
        warnings=warnings,
        model_warnings=read_model_warnings(spool.root),
        damaged=damaged,
        unconfirmed=unconfirmed,
        disk_problem=(kept_free or KeptFree()).refusal(spool.root),
    )


def _look_at(revision: Revision, known: RevisionState) -> tuple[State, list[str], float, set[str]]:
    """State, destinations that wait for it, seconds that it has waited, and codes of its warnings."""
    state, pending = known.state, []
    if state is State.DELIVERING:
        pending = [name for name, delivery in revision.deliveries().items() if delivery.state in PENDING]
    waits = state is not State.RECEIVING and not state.is_final
    warned = {warning.code for warning in known.warnings}
    return state, pending, max(0.0, time.time() - known.since_s) if waits else 0.0, warned


def write_model_warnings(spool: Path, warnings: Iterable[StudyWarning]) -> None:
    """Keep the warnings about this machine's models for whoever asks for the node's status.

    Raises
    ------
    OSError
        If the spool cannot be written.
    """
    recorded = [RecordedWarning(str(one.code), one.message, one.series_uid, one.model) for one in warnings]
    replace_file(spool / _MODEL_WARNINGS, json.dumps([warning.to_json() for warning in recorded], indent=1).encode())


def read_model_warnings(spool: Path) -> tuple[RecordedWarning, ...]:
    """Return the warnings about this machine's models; none where no worker has loaded any, or the file is damaged."""
    try:
        return tuple(map(RecordedWarning.from_json, json.loads((spool / _MODEL_WARNINGS).read_text())))
    except (*DAMAGE, TypeError, AttributeError):
        return ()
