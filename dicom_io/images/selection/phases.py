"""Contrast phase of each series of a study: by its description, its contrast agent, the order of acquisition times.

Otherwise the phase stays unknown. A phase is never guessed: the order of times decides only where every order
that the known phases allow gives the series the same phase, and then the explanation says so.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from core.model_config import Phase
from dicom_io.images.selection.traits import Traits

SAME_ACQUISITION_SECONDS = 5.0
"""Series that start within this time are reconstructions of one acquisition."""

_ENHANCED: tuple[Phase, ...] = ("arterial", "portal", "delayed")
"""Phases after the injection, in the order in which a body goes through them."""

_WORDS: Mapping[Phase, re.Pattern[str]] = {
    "native": re.compile(
        r"\b(native?|nativ|unenhanced|non ?contrast|noncon|ncct|nc|(pre|without|without iv|w/o|wo) ?contrast|w/o|plain"
        r"|ohne km)\b"
    ),
    "arterial": re.compile(r"\b(arterial|arteriell\w*|art|corticomedullary|hap)\b"),
    "portal": re.compile(r"\b(portal|porto|portalven\w*|portoven\w*|venous|ven|venös\w*|pvp?|nephrographic)\b"),
    "delayed": re.compile(r"\b(delayed|delay|late|excretory|urographic|equilibrium|spät\w*)\b"),
}
_QUALIFIER = re.compile(r"\b(early|late) (?=(art|port|ven))")


@dataclass(frozen=True)
class PhaseFinding:
    """The phase of a series and what it rests on; ``None`` is unknown."""

    phase: Phase | None
    why: str


def find_phases(series: Sequence[Traits]) -> dict[str, PhaseFinding]:
    """Find the phase of each series, by Series Instance UID.

    1. Words of one single phase in Series Description or Protocol Name decide.
    2. A series that names no contrast agent, and was acquired before every series that does, is native.
    3. Among the rest, order of acquisition times decides where it leaves one possibility: phases ascend from arterial
       over portal to delayed, one acquisition each.
    """
    findings = {t.series.uid: phase_in_words(t.descriptions) for t in series}
    for modality in {t.modality for t in series}:
        same = [t for t in series if t.modality == modality]
        findings |= _by_agent(same, findings)
        findings |= _by_order(same, findings)
    return findings


def phase_in_words(descriptions: Iterable[str]) -> PhaseFinding:
    """Phase that texts speak of, such as a Series Description; unknown where they speak of none or of several."""
    words = re.sub(r"[\s_,;:.()\-]+", " ", " ".join(descriptions).lower())
    words = _QUALIFIER.sub("", words)
    found = [phase for phase, pattern in _WORDS.items() if pattern.search(words)]
    if len(found) == 1:
        return PhaseFinding(found[0], f"{found[0]} by its description")
    if found:
        return PhaseFinding(None, f"phase unknown: its description names {' and '.join(found)}")
    return PhaseFinding(None, "phase unknown: its description names no phase")


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
    return findings[traits.series.uid].phase is None and traits.has_agent


def _acquisitions(series: Sequence[Traits]) -> list[list[Traits]]:
    groups: list[list[Traits]] = []
    for traits in sorted(series, key=lambda t: t.acquired or 0.0):
        if groups and (traits.acquired or 0.0) - (groups[-1][0].acquired or 0.0) <= SAME_ACQUISITION_SECONDS:
            groups[-1].append(traits)
        else:
            groups.append([traits])
    return groups


def _agrees(order: tuple[Phase, ...], groups: Sequence[Sequence[Traits]], findings: Mapping[str, PhaseFinding]) -> bool:
    return all(
        findings[t.series.uid].phase in (None, phase) for phase, group in zip(order, groups, strict=True) for t in group
    )
