"""The records of a revision: its state, its outcome, its deliveries; JSON on disk, typed in the program.

Machines that share a spool are upgraded one by one. So a record keeps keys that it does not know, reads files of
earlier versions, which lack some, and leaves out what an earlier version would not have written.
A new value of `State` is another matter: a version that does not know it takes the study for damaged, so all machines
have to be upgraded before the first one writes it.
"""

import calendar
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self, TypedDict, TypeVar, Unpack

from core.files import replace_file
from core.result_forms import union
from core.study_warning import StudyWarning, WarningCode


class State(StrEnum):
    """The state that a revision of a study has reached."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    RUNNING = "running"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    COMMITTED = "committed"
    NOTHING_FOUND = "nothing_found"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Return whether nothing more happens by itself."""
        return self in (State.DELIVERED, State.COMMITTED, State.NOTHING_FOUND, State.REFUSED, State.FAILED)


ENDED_WELL = frozenset({State.DELIVERED, State.COMMITTED, State.NOTHING_FOUND})
"""States in which everybody has what there was to get."""

PENDING = frozenset({"waiting", "committing"})
"""States of a delivery that somebody still has to go on with."""
ARRIVED = ("delivered", "committed")
"""States of a delivery that came to where it should."""
UNCONFIRMED = "unconfirmed"
"""State of a delivery of which nobody can say whether it arrived; reason code of a revision that failed for it."""
PARTIAL = "partial"
"""State of a delivery that ended with a part of its objects; reason code of a revision that has one."""
WITHDRAWN = "withdrawn"
"""State of a delivery that no route asks for any more."""
NO_DESTINATION = "no_destination"
"""Reason code of a revision whose results no route sends anywhere any more."""
INTERNAL_ERROR = "internal_error"
"""Reason code of a revision that a defect of the program ended; the reason of such a delivery begins with it."""
SUPERSEDED = "superseded"
"""Reason code of a revision that was still receiving when a corrected description opened the next."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"
"""Form of the UTC times in records."""

T = TypeVar("T")
Unknown = Mapping[str, object]


@dataclass(frozen=True)
class RecordedReason:
    """A reason: a code for programs, a message for people."""

    code: str
    message: str
    _: KW_ONLY
    unknown: Unknown = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read it; `ValueError` or `KeyError` where it is damaged."""
        unknown = _unknown(content, ("code", "message"))
        return cls(_typed(str, content["code"]), _typed(str, content["message"]), unknown=unknown)

    def to_json(self) -> dict[str, Any]:
        """Return the object that is written to disk."""
        return {"code": self.code, "message": self.message, **self.unknown}


@dataclass(frozen=True)
class RecordedWarning:
    """A warning about a result (`core.study_warning`); its code may be one that this version does not know."""

    code: str
    message: str
    series: str | None = None
    model: str | None = None
    _: KW_ONLY
    unknown: Unknown = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read it; `ValueError` or `KeyError` where it is damaged."""
        series, model = content.get("series"), content.get("model")
        return cls(
            _typed(str, content["code"]),
            _typed(str, content["message"]),
            None if series is None else _typed(str, series),
            None if model is None else _typed(str, model),
            unknown=_unknown(content, ("code", "message", "series", "model")),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object that is written to disk."""
        return {"code": self.code, "message": self.message, "series": self.series, "model": self.model, **self.unknown}


OF_RECEPTION = str(WarningCode.DESCRIPTION_CHANGED)
"""The code of the warnings that are found when images are received, before a result exists."""


def description_changed(words: str) -> RecordedWarning:
    """Build the warning that an image came again with another description; ``words`` are keywords, never values."""
    warning = StudyWarning(
        WarningCode.DESCRIPTION_CHANGED, f"The header that was written last counts. They differ in: {words}."
    )
    return RecordedWarning(OF_RECEPTION, warning.message)


@dataclass(frozen=True)
class RecordedClaim:
    """The right to write about a subject (`dicom_io.spool.claims`): its executor, and the claim's number."""

    by: str
    number: int
    _: KW_ONLY
    unknown: Unknown = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read it; `ValueError` where it is damaged."""
        by, number = _typed(str, content.get("by", "")), _typed(int, content.get("number", 0))
        return cls(by, number, unknown=_unknown(content, ("by", "number")))

    def to_json(self) -> dict[str, Any]:
        """Return the object that is written to disk."""
        return {"by": self.by, "number": self.number, **self.unknown}


@dataclass(frozen=True)
class PlannedDelivery:
    """The part of a plan that concerns one destination.

    Attributes
    ----------
    models
        Names of the models whose results it gets.
    notices
        Of which ends it gets a notice: ``refused``, ``nothing_found``, ``failed``.
    outputs
        Kinds of objects that it gets of each model, as in ``<model>.<output>.dcm``.
    """

    models: tuple[str, ...]
    notices: tuple[str, ...]
    outputs: tuple[str, ...]
    _: KW_ONLY
    unknown: Unknown = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read it; `ValueError` or `KeyError` where it is damaged."""
        keys = ("models", "notices", "outputs")
        models, notices, outputs = (_names(content[key]) for key in keys)
        return cls(models, notices, outputs, unknown=_unknown(content, keys))

    def to_json(self) -> dict[str, Any]:
        """Return the object that is written to disk."""
        return {
            "models": list(self.models),
            "notices": list(self.notices),
            "outputs": list(self.outputs),
            **self.unknown,
        }


@dataclass(frozen=True)
class Plan:
    """The work that one run of a revision is to do, as the routes had it at its start.

    Attributes
    ----------
    run
        The run for which it was made; for any other it is void.
    destinations
        What each destination is to get, by name; empty where no route takes the study.
    unknown
        What another version wrote.
    """

    run: int
    destinations: Mapping[str, PlannedDelivery]
    _: KW_ONLY
    unknown: Unknown = field(default_factory=dict)

    @property
    def models(self) -> list[str]:
        """Names of all models that run, in order."""
        return sorted({model for planned in self.destinations.values() for model in planned.models})

    @property
    def outputs(self) -> dict[str, tuple[str, ...]]:
        """The forms of each model's result that some destination gets: those that the run makes, each once."""
        return {
            model: union(planned.outputs for planned in self.destinations.values() if model in planned.models)
            for model in self.models
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read it; `ValueError` or `KeyError` where it is damaged."""
        destinations = {
            name: PlannedDelivery.from_json(_typed(dict, planned))
            for name, planned in _typed(dict, content["destinations"]).items()
        }
        return cls(_typed(int, content["run"]), destinations, unknown=_unknown(content, ("run", "destinations")))

    def to_json(self) -> dict[str, Any]:
        """Return the object that is written to disk."""
        return {
            "run": self.run,
            "destinations": {name: planned.to_json() for name, planned in self.destinations.items()},
            **self.unknown,
        }


@dataclass(frozen=True)
class RecordedChoice:
    """The profile and backend in which a model's networks run on a revision, noted before they start.

    Attributes
    ----------
    package
        SHA-256 of the package; for another one it is void.
    profile
        The profile.
    backend, version, precision
        What computes the networks (`core.backend.Backend`).
    as_before
        Whether that is what computed them before there was a choice, so that it is no part of results' UIDs.
    unknown
        What another version wrote.
    """

    package: str
    profile: str
    backend: str
    version: str
    precision: str
    as_before: bool
    _: KW_ONLY
    unknown: Unknown = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read it; `ValueError` or `KeyError` where it is damaged."""
        package, profile, backend, version, precision = (_typed(str, content[key]) for key in _CHOICE_TEXTS)
        as_before = _typed(bool, content["as_before"])
        unknown = _unknown(content, (*_CHOICE_TEXTS, "as_before"))
        return cls(package, profile, backend, version, precision, as_before, unknown=unknown)

    def to_json(self) -> dict[str, Any]:
        """Return the object that is written to disk."""
        return {
            "package": self.package,
            "profile": self.profile,
            "backend": self.backend,
            "version": self.version,
            "precision": self.precision,
            "as_before": self.as_before,
            **self.unknown,
        }


class StateChanges(TypedDict, total=False):
    """The attributes of a `RevisionState` that may be changed."""

    state: State
    since: str
    run: int
    reason: RecordedReason | None
    notes: tuple[str, ...]
    priority: str
    warnings: tuple[RecordedWarning, ...]
    overtimes: int
    gave_way: int
    claim: RecordedClaim | None
    plan: Plan | None
    choices: Mapping[str, RecordedChoice]


@dataclass(frozen=True)
class RevisionState:
    """``state.json``: how far a revision has come.

    Attributes
    ----------
    state, since
        The state, and the UTC time since which it is so.
    run
        How often the revision was begun again.
    reason
        Why, where there is something to say.
    notes
        What a person should know who looks at its result, known before it was made.
    warnings
        What a person should know who looks at its result, found as its images came or as it was made.
    priority
        ``stat`` where it overtakes others, otherwise ``routine``.
    overtimes
        How many tries took too long.
    gave_way
        How many tries of this run gave their place to an urgent study.
    claim
        Who may write what comes of the work; None where nobody has taken it up.
    plan
        What the routes asked for when a run began; None where none has begun, or by an earlier version.
    choices
        By model, the profile and backend of its networks; empty before they have started.
    unknown
        What another version wrote.
    """

    state: State
    _: KW_ONLY
    since: str = ""
    run: int = 0
    reason: RecordedReason | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[RecordedWarning, ...] = ()
    priority: str = "routine"
    overtimes: int = 0
    gave_way: int = 0
    claim: RecordedClaim | None = None
    plan: Plan | None = None
    choices: Mapping[str, RecordedChoice] = field(default_factory=dict)
    unknown: Unknown = field(default_factory=dict)

    @classmethod
    def begun(cls, state: State, priority: str = "routine") -> Self:
        """Return the first state of a revision."""
        return cls(state, since=_now(), priority=priority)

    @property
    def since_s(self) -> float:
        """The Unix time since which the state is so; `ValueError` where the record holds no such time."""
        return float(calendar.timegm(time.strptime(self.since, _TIME)))

    @property
    def of_reception(self) -> tuple[RecordedWarning, ...]:
        """The warnings that were found before there was a result; they stay when it is made anew."""
        return tuple(warning for warning in self.warnings if warning.code == OF_RECEPTION)

    def changed(self, **changes: Unpack[StateChanges]) -> Self:
        """Return the state with some attributes changed; with another state, ``since`` is the present."""
        if "since" not in changes and changes.get("state", self.state) != self.state:
            changes["since"] = _now()
        return replace(self, **changes)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read it; `ValueError` or `KeyError` where it is damaged."""
        return cls(
            State(content["state"]),
            since=_typed(str, content["since"]),
            run=_typed(int, content["run"]),
            reason=_optional(RecordedReason, content["reason"]),
            notes=_names(content.get("notes", ())),
            warnings=tuple(
                RecordedWarning.from_json(_typed(dict, one)) for one in _listed(content.get("warnings", []))
            ),
            priority=_typed(str, content.get("priority", "routine")),
            overtimes=_typed(int, content.get("overtimes", 0)),
            gave_way=_typed(int, content.get("gave_way", 0)),
            claim=_optional(RecordedClaim, content.get("claim")),
            plan=_optional(Plan, content.get("plan")),
            choices={
                model: RecordedChoice.from_json(_typed(dict, one))
                for model, one in _typed(dict, content.get("choices", {})).items()
            },
            unknown=_unknown(content, _STATE_KEYS),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object that is written to disk."""
        return {
            "state": self.state,
            "since": self.since,
            "run": self.run,
            "reason": self.reason.to_json() if self.reason is not None else None,
            "notes": list(self.notes),
            **({"warnings": [warning.to_json() for warning in self.warnings]} if self.warnings else {}),
            "priority": self.priority,
            **({"overtimes": self.overtimes} if self.overtimes else {}),
            **({"gave_way": self.gave_way} if self.gave_way else {}),
            **({"claim": self.claim.to_json()} if self.claim is not None else {}),
            **({"plan": self.plan.to_json()} if self.plan is not None else {}),
            **({"choices": {model: one.to_json() for model, one in self.choices.items()}} if self.choices else {}),
            **self.unknown,
        }


@dataclass(frozen=True)
class Outcome:
    """``outcome.json``: what the graph answered.

    Attributes
    ----------
    outcome
        ``segmented``, ``nothing_found``, ``refused`` or ``failed``.
    reason
        Why, where there is a reason.
    files
        Objects to deliver by the model that made them, relative to the results folder.
    unknown
        What another version wrote.
    """

    outcome: str
    reason: RecordedReason | None = None
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _: KW_ONLY
    unknown: Unknown = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read it; `ValueError` or `KeyError` where it is damaged."""
        return cls(
            _typed(str, content["outcome"]),
            _optional(RecordedReason, content.get("reason")),
            {model: _names(names) for model, names in _typed(dict, content.get("files", {})).items()},
            unknown=_unknown(content, ("outcome", "reason", "files")),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object that is written to disk."""
        return {
            "outcome": self.outcome,
            "reason": self.reason.to_json() if self.reason is not None else None,
            "files": {model: list(names) for model, names in self.files.items()},
            **self.unknown,
        }


@dataclass(frozen=True)
class Delivery:
    """``deliveries/<name>.json``: what one destination has got.

    Attributes
    ----------
    files, sent
        What it is to get, and what of it has been accepted; relative to the results folder.
    state
        ``waiting``, ``committing``, ``delivered``, ``committed``, ``refused``, ``failed``, ``partial``,
        ``unconfirmed`` or ``withdrawn``.
    attempts
        How often it was tried to send.
    reason
        Why the last try did not end it, or did.
    rounds
        How often the destination has said what it keeps.
    transaction
        The Transaction UID under which its report on storage is awaited.
    looked, waited_s
        How often, and how long, that report was looked for; without a transaction, how often it was not taken.
    unsure
        Files about which the destination is to be asked, since its answer left open whether it has them; for each,
        what it answered (`dicom_io.delivery.answer.Said`).
    asked
        How often it was asked about them since they were sent.
    reached
        Files that a try may have brought there without the destination's saying so.
    tried_since
        When the first try was begun, of sending or of asking for commitment, in seconds since 1970; None before that,
        and where an earlier version began it.
    claim
        Who may write what comes of the delivery.
    unknown
        What another version wrote.
    """

    files: tuple[str, ...]
    _: KW_ONLY
    sent: tuple[str, ...] = ()
    state: str = "waiting"
    attempts: int = 0
    reason: str = ""
    rounds: int = 0
    transaction: str | None = None
    looked: int = 0
    waited_s: float = 0.0
    unsure: Mapping[str, str] = field(default_factory=dict)
    asked: int = 0
    reached: tuple[str, ...] = ()
    tried_since: float | None = None
    claim: RecordedClaim | None = None
    unknown: Unknown = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the files that the destination has not accepted, without their folder."""
        return tuple(name.rpartition("/")[2] for name in self.files if name not in self.sent)

    def without_transaction(self) -> Self:
        """Return the delivery when nobody waits for a report any more."""
        return replace(self, transaction=None, looked=0, waited_s=0.0)

    def begun_again(self) -> Self:
        """Return the delivery as a further run begins it: what the destination has accepted is not sent again.

        It is asked about what it left open before anything is sent.
        """
        return replace(self, state="waiting", attempts=0, rounds=0, asked=0, reason="", tried_since=None)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read it; `ValueError` or `KeyError` where it is damaged."""
        transaction, since = content.get("transaction"), content.get("tried_since")
        return cls(
            _names(content["files"]),
            sent=_names(content["sent"]),
            state=_typed(str, content["state"]),
            attempts=_typed(int, content["attempts"]),
            reason=_typed(str, content["reason"]),
            rounds=_typed(int, content.get("rounds", 0)),
            transaction=None if transaction is None else _typed(str, transaction),
            looked=_typed(int, content.get("looked", 0)),
            waited_s=float(_typed((int, float), content.get("waited_s", 0.0))),
            unsure={name: _typed(str, said) for name, said in _typed(dict, content.get("unsure", {})).items()},
            asked=_typed(int, content.get("asked", 0)),
            reached=_names(content.get("reached", ())),
            tried_since=None if since is None else float(_typed((int, float), since)),
            claim=_optional(RecordedClaim, content.get("claim")),
            unknown=_unknown(content, _DELIVERY_KEYS),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object that is written to disk."""
        # An earlier version takes it for granted that a transaction has both of the counts.
        asked = {} if self.transaction is None else {"transaction": self.transaction, "waited_s": self.waited_s}
        return {
            "state": self.state,
            "attempts": self.attempts,
            "reason": self.reason,
            "files": list(self.files),
            "sent": list(self.sent),
            **({"rounds": self.rounds} if self.rounds else {}),
            **asked,
            **({"looked": self.looked} if asked or self.looked else {}),
            **({"unsure": dict(self.unsure)} if self.unsure else {}),
            **({"asked": self.asked} if self.asked else {}),
            **({"reached": list(self.reached)} if self.reached else {}),
            **({"tried_since": self.tried_since} if self.tried_since is not None else {}),
            **({"claim": self.claim.to_json()} if self.claim is not None else {}),
            **self.unknown,
        }


_CHOICE_TEXTS = ("package", "profile", "backend", "version", "precision")
_STATE_KEYS = tuple(StateChanges.__annotations__)
_DELIVERY_KEYS = (
    *("files", "sent", "state", "attempts", "reason", "rounds"),
    *("transaction", "looked", "waited_s", "unsure", "asked", "reached", "tried_since", "claim"),
)


class Record(Protocol):
    """The interface that all records share."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read it; `ValueError` or `KeyError` where it is damaged."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the object that is written to disk."""
        ...


R = TypeVar("R", bound=Record)


def read_record(kind: type[R], path: Path) -> R:
    """Read a record.

    Raises
    ------
    OSError, ValueError, KeyError
        If the file cannot be read or is damaged: `dicom_io.spool.isolation.DAMAGE`.
    """
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    return kind.from_json(content)


def write_record(record: Record, path: Path) -> None:
    """Write or replace a record in one step.

    Raises
    ------
    OSError
        If it cannot be written; the old one is then untouched.
    """
    replace_file(path, json.dumps(record.to_json(), indent=1).encode())


def _unknown(content: Mapping[str, Any], known: Sequence[str]) -> Unknown:
    return {key: value for key, value in content.items() if key not in known}


def _optional(kind: type[R], value: object) -> R | None:
    return None if value is None else kind.from_json(_typed(dict, value))


def _typed(kind: type[T] | tuple[type[T], ...], value: object) -> T:
    if not isinstance(value, kind):
        raise ValueError("a record holds a value of another kind")
    return value


def _listed(value: object) -> list[Any]:
    return _typed(list, value)


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError("a record holds no list of texts")
    return tuple(value)


def _now() -> str:
    return time.strftime(_TIME, time.gmtime())
