"""Contrast phase of each series of a study: by its own words, by those all share, its agent, the order of times.

Otherwise the phase stays unknown. A phase is never guessed: words against the contrast agent or against a time decide
nothing, and the order of times decides only where every order that the known phases allow gives the series the same
phase, and then the explanation says so. ``docs/kinds/words.md`` lists what is read and what is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Final

from core.model_config import Phase
from dicom_io.images.selection.phase_reading import Reading, read_phase
from dicom_io.images.selection.traits import Traits

SAME_ACQUISITION_SECONDS = 5.0
"""Series that start within this time are reconstructions of one acquisition."""

_ENHANCED: tuple[Phase, ...] = ("arterial", "portal", "delayed")
"""Phases after the injection, in the order in which a body goes through them."""
_ANY: Final = frozenset[Phase](("native", *_ENHANCED))
_NONE: Final = frozenset[Phase]()


_NAMES_NONE = "phase unknown: its description names no phase"


@dataclass(frozen=True)
class PhaseFinding:
    """The phase of a series and what it rests on; ``None`` is unknown.

    Attributes
    ----------
    phase
        The phase.
    why
        Part of a sentence; quotes no free text.
    possible
        Phases that its words leave open to its agent and to the order of times; none where words contradict.
    apart
        Whether the series is no image of a phase, so that the order of times leaves it out.
    """

    phase: Phase | None
    why: str
    possible: frozenset[Phase] = _ANY
    apart: bool = False

    def in_words_alone(self) -> "PhaseFinding":
        """Return the finding if it rests on words, and else that nothing is known."""
        if self.phase is None or self.possible != _ANY:
            return self
        return PhaseFinding(None, "phase unknown: its series holds several volumes", _NONE)

    def of(self, series: str) -> str:
        """Say the finding of a series that is named, as a part of a sentence."""
        if self.phase is not None:
            return f"{series} is {self.why}"
        return f"{series} names none" if self.why == _NAMES_NONE else f"{series}: {self.why}"


def find_phases(series: Sequence[Traits]) -> dict[str, PhaseFinding]:
    """Find the phase of each series, by Series Instance UID.

    1. The series' own words decide, its Series Description, where they name one single phase without doubt.
    2. Protocol Name and Study Description, which its series share, decide where those own words name none, and neither
       the agent nor the own words of another series speak against it.
    3. A series that names no contrast agent, and was acquired before every series that does, is native.
    4. Among the rest, order of acquisition times decides where it leaves one possibility: phases ascend from arterial
       over portal to delayed, one acquisition each.
    """
    findings: dict[str, PhaseFinding] = {}
    for modality in {t.modality for t in series}:
        same = [t for t in series if t.modality == modality]
        readings = {t.series.uid: _own_words(t, same) for t in same}
        findings |= {t.series.uid: _by_own_words(t, same, readings) for t in same}
        findings |= _by_shared_words(same, readings, findings)
        findings |= _by_agent(same, findings)
        findings |= _by_order(same, findings)
    return findings


def phase_in_words(own: str, shared: str = "") -> PhaseFinding:
    """Find the phase that the words of one image speak of, to hold it against the phase that a person says it is of.

    Words for one phase count beside unknown ones too, as in a file's name: they are there to contradict. Short words
    need a second sign here as well, and the shared text supports the own one or brings doubt, and decides nothing.
    """
    reading = read_phase(own)
    return _judge(reading, (read_phase(shared),), agent=None, beside=reading.strength in ("firm", "common"))


def _own_words(traits: Traits, same: Sequence[Traits]) -> Reading:
    """Read the Series Description, else the Protocol Name where one acquisition has it for itself."""
    reading = read_phase(traits.description)
    if reading.named or reading.apart or reading.with_and_without:
        return reading
    sharing = [t for t in same if t.protocol == traits.protocol]
    if len(sharing) == len(same) or any(t.acquired is None for t in sharing) or len(_acquisitions(sharing)) > 1:
        return reading
    protocol = read_phase(traits.protocol)
    return replace(protocol, enhanced=protocol.enhanced or reading.enhanced)


def _by_own_words(traits: Traits, same: Sequence[Traits], readings: Mapping[str, Reading]) -> PhaseFinding:
    reading = readings[traits.series.uid]
    beside = any(
        _names_another_phase(readings[t.series.uid], reading)
        for t in same
        if None in (t.acquired, traits.acquired) or not _one_acquisition(t, traits)
    )
    return _judge(reading, tuple(map(read_phase, traits.shared)), traits.agent, beside=beside)


def _judge(reading: Reading, around: Sequence[Reading], agent: bool | None, *, beside: bool = False) -> PhaseFinding:
    """Judge what a text names by the times in it, the agent, and what stands around it.

    Parameters
    ----------
    reading
        Of the series' own words.
    around
        Of what series share.
    agent
        Whether a contrast agent is named, or denied.
    beside
        Whether another series names another phase.
    """
    unknown = partial(PhaseFinding, None)
    phase = reading.phase
    if reading.apart:
        return unknown("phase unknown: its description says that it is no image of a contrast phase", _NONE, apart=True)
    if phase is None and reading.named:
        return unknown(f"phase unknown: its description names {_listed(reading.named)}", _NONE)
    if phase is None or reading.other_meaning or _out_of_place(reading, around):
        possible = frozenset(_ENHANCED) if reading.enhanced else _ANY
        return unknown(_NAMES_NONE, possible)
    if phase == "native" and (reading.enhanced or reading.with_and_without or agent is True):
        return unknown("phase unknown: its description says native, but contrast agent is named", _NONE)
    if phase != "native" and agent is False:
        return unknown(f"phase unknown: its description says {phase}, but no contrast agent was given", _NONE)
    if reading.on_time is False:
        return unknown(f"phase unknown: its description says {phase}, and a time that is of no such phase", _NONE)
    beside = beside or any(_speaks_plainly_of(phase, other) for other in around)
    if _is_sure(reading, around, beside=beside, agent_agrees=agent is (phase != "native")):
        return _named(phase)
    return unknown(f"phase unknown: its description may mean {phase}, but nothing else says so", frozenset((phase,)))


def _out_of_place(reading: Reading, around: Sequence[Reading]) -> bool:
    """Tell whether the words speak of the heart, or say *venous* of head, neck or limbs: no phase of the trunk."""
    regions = reading.regions.union(*(other.regions for other in around))
    heart = "heart" in regions and not reading.regions & {"abdomen", "chest"}
    return heart or (reading.venous and "elsewhere" in regions and "abdomen" not in regions)


def _named(phase: Phase) -> PhaseFinding:
    return PhaseFinding(phase, f"{phase} by its description", frozenset((phase,)))


def _is_sure(reading: Reading, around: Sequence[Reading], *, beside: bool, agent_agrees: bool) -> bool:
    """Tell whether a text means its only phase, alone or with other words of the study and with its agent."""
    if reading.strength == "clear":
        return True
    if any(other.apart for other in around):
        return False
    if reading.on_time is True:
        return True
    if reading.strength in ("firm", "common"):
        return reading.plain or beside or (agent_agrees and reading.strength == "firm")
    if reading.strength != "short" or not reading.plain or any(other.other_meaning for other in around):
        return False
    regions = reading.regions.union(*(other.regions for other in around))
    trunk = "abdomen" in regions or (not regions & {"elsewhere", "heart"} and "chest" not in reading.regions)
    return trunk and "elsewhere" not in reading.regions and (beside or agent_agrees)


def _speaks_plainly_of(phase: Phase, other: Reading) -> bool:
    """Tell whether a text would do by itself: an uncertain description copied into the protocol is no second sign."""
    return other.phase == phase and (
        other.strength == "clear" or (other.plain and other.strength in ("firm", "common"))
    )


def _names_another_phase(other: Reading, reading: Reading) -> bool:
    return other.phase not in (None, reading.phase) and other.plain and not other.apart


def _by_shared_words(
    same: Sequence[Traits], readings: Mapping[str, Reading], findings: Mapping[str, PhaseFinding]
) -> dict[str, PhaseFinding]:
    """Phases by what the series of a study share, as far as the series agree with it.

    The standard has a contrast module in every image that was taken with contrast agent, so that a series without one
    is against an enhanced phase (PS3.3 A.3.3), and so is a second acquisition, which cannot be of the same phase.
    """
    own = {readings[t.series.uid].phase for t in same if readings[t.series.uid].named} - {None}
    enhanced = [t for t in same if t.has_agent and not findings[t.series.uid].apart]
    one_acquisition = len(enhanced) == 1 or (
        all(t.acquired is not None for t in enhanced) and len(_acquisitions(enhanced)) == 1
    )
    decided: dict[str, PhaseFinding] = {}
    for traits in same:
        finding = findings[traits.series.uid]
        phase = _shared_phase(traits)
        if phase not in finding.possible or len(finding.possible) < len(_ENHANCED) or own - {phase}:
            continue
        if readings[traits.series.uid].with_and_without:
            continue
        if (traits.has_agent and one_acquisition) if phase != "native" else not enhanced:
            why = f"{phase} by the protocol or study description"
            decided[traits.series.uid] = PhaseFinding(phase, why, frozenset((phase,)))
    return decided


def _shared_phase(traits: Traits) -> Phase | None:
    """Find the one phase that the shared texts name for certain."""
    readings = [read_phase(text) for text in traits.shared]
    named = frozenset[Phase]().union(*(r.named for r in readings))
    if len(named) != 1 or any(r.with_and_without or r.apart for r in readings):
        return None
    phase = next(iter(named))
    if not any(_judge(r, readings, traits.agent).phase == phase for r in readings):
        return None
    return None if phase == "native" and any(r.enhanced for r in readings) else phase


def _by_agent(series: Sequence[Traits], findings: Mapping[str, PhaseFinding]) -> dict[str, PhaseFinding]:
    """Series before the injection."""
    starts = [t.acquired for t in series if t.has_agent]
    known = [start for start in starts if start is not None]
    if not known or len(known) < len(starts):
        return {}
    return {
        t.series.uid: PhaseFinding("native", "native: no contrast agent, acquired before the series that name one")
        for t in series
        if findings[t.series.uid].phase is None
        and "native" in findings[t.series.uid].possible
        and not t.has_agent
        and t.acquired is not None
        and t.acquired < min(known) - SAME_ACQUISITION_SECONDS
    }


def _by_order(series: Sequence[Traits], findings: Mapping[str, PhaseFinding]) -> dict[str, PhaseFinding]:
    """Phases of enhanced acquisitions whose place in time leaves one possibility."""
    enhanced = [t for t in series if findings[t.series.uid].phase in _ENHANCED or _open(t, findings)]
    if any(t.acquired is None for t in enhanced):
        return {}
    groups = _acquisitions(enhanced)
    possible = [order for order in combinations(_ENHANCED, len(groups)) if _agrees(order, groups, findings)]
    decided: dict[str, PhaseFinding] = {}
    for index, group in enumerate(groups):
        phases = {order[index] for order in possible}
        if len(phases) == 1:
            phase = phases.pop()
            why = f"{phase} by the order of acquisition times: number {index + 1} of {len(groups)} with contrast agent"
            decided |= {t.series.uid: PhaseFinding(phase, why) for t in group if _open(t, findings)}
    return decided


def _open(traits: Traits, findings: Mapping[str, PhaseFinding]) -> bool:
    finding = findings[traits.series.uid]
    return finding.phase is None and traits.has_agent and not finding.apart


def _acquisitions(series: Sequence[Traits]) -> list[list[Traits]]:
    groups: list[list[Traits]] = []
    for traits in sorted(series, key=lambda t: t.acquired or 0.0):
        if groups and _one_acquisition(groups[-1][0], traits):
            groups[-1].append(traits)
        else:
            groups.append([traits])
    return groups


def _one_acquisition(first: Traits, other: Traits) -> bool:
    return abs((other.acquired or 0.0) - (first.acquired or 0.0)) <= SAME_ACQUISITION_SECONDS


def _agrees(order: tuple[Phase, ...], groups: Sequence[Sequence[Traits]], findings: Mapping[str, PhaseFinding]) -> bool:
    """Tell whether an order leaves each series a phase that its words leave it, or the one that was found."""
    return all(
        phase in findings[t.series.uid].possible for phase, group in zip(order, groups, strict=True) for t in group
    )


def _listed(phases: frozenset[Phase]) -> str:
    return " and ".join(phase for phase in ("native", *_ENHANCED) if phase in phases)
