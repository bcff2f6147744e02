"""The contrast phase that one text speaks of, such as a Series Description; no series, no study.

The text is cut into the terms of ``phase_words.py``, the longest first. Its neighbours decide whether a word is a
phase: *late arterial* is arterial, *portal* beside an illness is a vein, *del* before a noun is an article.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import Final, Literal

from core.model_config import Phase
from dicom_io.images.selection import phase_words

Strength = Literal["clear", "firm", "common", "short", "timed"]

WINDOWS_SECONDS: Final[dict[Phase, tuple[float, float]]] = {
    "arterial": (10.0, 60.0),
    "portal": (45.0, 150.0),
    "delayed": (120.0, 1800.0),
}
"""Times after the injection that agree with a phase of the trunk; others contradict it, and any a native series."""
SHORTEST_SECONDS: Final = 10
"""Shorter times are those of a rotation or an echo."""

_TIME = re.compile(
    r"(?<![a-z0-9.,])(?:(\d{1,4})\s?[-/~]\s?)?(\d{1,4})\s?"
    r"(?:(s|secs?|seconds?|sek|sekunden?|segs?|segundos?|secondi|secondes?|seconden|秒|초|\")"
    r"|(mins?|minutes?|minuten?|minuti|minutos?|minuut|分|분|'))(?![a-z0-9])"
)
_WORD = re.compile(r"<[sm]>|\b(?:c|iv)[+-](?![a-z0-9])|\d+(?:[.,]\d+)?[a-z0-9]*|[a-z]+\d[a-z0-9]*|[a-z]+|[^\W_]")
_SPELLINGS: Final = (
    (re.compile(r"_"), " "),
    (re.compile(r"±|[+-]\s?/\s?[+-]"), " with without "),
    (re.compile(r"\bw\s?/\s?o\b"), " without "),
    (re.compile(r"\b(?:w|c)\s?/(?=\s*[a-z])"), " with "),
    (re.compile(r"\bs\s?/\s?(?=[a-z]{2})"), " sem "),
    (re.compile(r"\s?&\s?|(?<=[^\W\d_]{3})\s?[/,;]\s?(?=[^\W\d_]{3})"), " and "),
    (re.compile(r"\b([a-z])\.(?=[a-z]\b)"), r"\1"),
)
_CAMEL = re.compile(r"(?<=[a-zäöüéè])(?=[A-ZÄÖÜ][a-zäöü]{2})")
_JOINING = frozenset(["and", "y", "e", "et", "und", "en", "u", "puis", "then", "と", "와", "및"])
_NEUTRAL_BETWEEN = frozenset(("early", "article", "abdomen"))
"""Terms that may stand between a phase and its noun or its qualifier: *late hepatic arterial*, *phase d'equilibre*."""


@dataclass(frozen=True)
class Reading:
    """The outcome of reading one text.

    Attributes
    ----------
    named
        The phases that it names, for certain or not.
    strength
        Of the words for the only phase. ``clear`` decides; ``firm`` and ``common`` do where the text is ``plain`` or
        beside a second sign (for ``common`` the agent is not one); ``short`` beside a second sign; ``timed`` beside
        a time.
    apart
        Whether it says that the series is no image of a phase, such as a localizer or a map.
    other_meaning
        Whether its words mean a vessel, an illness, an instrument.
    enhanced
        Whether it says that contrast agent was given.
    with_and_without
        Whether it says that it was given and that it was not, which names no phase.
    plain
        Whether it says nothing else but region and technique.
    regions
        Kinds of region that it names: ``abdomen``, ``chest``, ``heart``, ``elsewhere``.
    venous
        Whether it says *venous*, and not *portal*.
    on_time
        Whether its times agree with the only phase; ``None`` where it gives none.
    """

    named: frozenset[Phase] = frozenset()
    strength: Strength = "short"
    apart: bool = False
    other_meaning: bool = False
    enhanced: bool = False
    with_and_without: bool = False
    plain: bool = True
    regions: frozenset[str] = frozenset()
    venous: bool = False
    on_time: bool | None = None

    @property
    def phase(self) -> Phase | None:
        """The only phase that it names."""
        return next(iter(self.named)) if len(self.named) == 1 else None


@dataclass
class _Term:
    kind: str
    phase: Phase | None = None
    strength: Strength = "short"
    word: str = ""


@dataclass
class _Lexicon:
    """Terms by their words, whole or by their beginning; the first that was added stays."""

    whole: dict[tuple[str, ...], _Term] = field(default_factory=dict)
    stems: dict[tuple[str, ...], _Term] = field(default_factory=dict)
    longest: int = 1

    def add(self, entries: str, kind: str, phase: Phase | None = None, strength: Strength = "short") -> None:
        for entry in filter(None, map(str.strip, entries.split(","))):
            words = tuple(_words(entry.removesuffix("*"))[0])
            known = self.stems if entry.endswith("*") else self.whole
            known.setdefault(words, _Term(kind, phase, strength, entry))
            self.longest = max(self.longest, len(words))

    def find(self, words: Sequence[str]) -> tuple[int, _Term] | None:
        """Find the longest term at the head of some words, with its length in words."""
        for length in range(min(self.longest, len(words)), 0, -1):
            *first, last = words[:length]
            if (*first, last) in self.whole:
                return length, self.whole[*first, last]
            for end in range(len(last), 2, -1):
                if (*first, last[:end]) in self.stems:
                    return length, self.stems[*first, last[:end]]
        return None


def read_phase(text: str) -> Reading:
    """Read a text of free words for the contrast phase that it names."""
    words, times = _words(text)
    terms = _terms(words)
    enhanced, unenhanced = _contrast(terms)
    both = (enhanced and unenhanced) or any(t.kind == "both" for t in terms)
    _settle_qualifiers(terms)
    _drop_negated(terms)
    phases: set[Phase] = {t.phase for t in terms if t.phase is not None}
    strength = _strength(terms)
    if unenhanced and not both:
        phases, strength = phases | {"native"}, "clear"
    only = next(iter(phases)) if len(phases) == 1 else None
    kinds = {t.kind for t in terms}
    return Reading(
        named=frozenset(phases),
        strength=strength,
        apart="apart" in kinds,
        other_meaning="other" in kinds and strength != "clear",
        enhanced=enhanced and not both,
        with_and_without=both,
        plain=not kinds & {"unknown", "other"},
        regions=frozenset(kinds & {"abdomen", "chest", "heart", "elsewhere"}),
        venous="venous" in kinds,
        on_time=_on_time(only, times) if times else None,
    )


def _words(text: str) -> tuple[list[str], list[int]]:
    """Cut a text into words as they are compared, and the times after the injection in seconds, longest of a range."""
    text = _CAMEL.sub(" ", unicodedata.normalize("NFKC", text)).casefold()
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not "\u0300" <= c <= "\u036f")
    text = unicodedata.normalize("NFC", bare).replace("\u2019", "'").replace("\u2013", "-")
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    times: list[int] = []

    def note(found: re.Match[str]) -> str:
        seconds = [int(n) * (60 if found[4] else 1) for n in (found[1], found[2]) if n]
        if max(seconds) < SHORTEST_SECONDS:
            return " 0 "
        times.extend(seconds)
        return " <s> " if max(seconds) < WINDOWS_SECONDS["delayed"][0] else " <m> "

    return _WORD.findall(_TIME.sub(note, text)), times


def _terms(words: list[str]) -> list[_Term]:
    lexicon, terms, start = _lexicon(), list[_Term](), 0
    while start < len(words):
        found = lexicon.find(words[start : start + lexicon.longest])
        if found is None and (parts := _parts(words[start])):
            words[start : start + 1] = parts
            continue
        length, term = found or (1, _Term(_kind_of_unknown(words[start])))
        terms.append(replace(term))
        start += length
    for term, following in pairwise(terms):
        if term.word == "del" and following.kind not in ("time", "number", "noun", "technique"):
            term.kind, term.phase = "article", None
    return terms


def _kind_of_unknown(word: str) -> str:
    return "number" if any(c.isdigit() for c in word) or (len(word) == 1 and word.isascii()) else "unknown"


def _parts(word: str) -> list[str]:
    """Cut a compound word into a qualifier and the rest, or into the rest and the noun; empty where it has no parts."""
    lexicon = _lexicon()
    for head in map(str.strip, phase_words.PREFIXES.split(",")):
        rest = lexicon.find([word.removeprefix(head)]) if word.startswith(head) else None
        if rest is not None and (rest[1].phase or rest[1].kind == "contrast"):
            return [head, word.removeprefix(head)]
    for tail in ("phase", "fase"):
        if word.endswith(tail) and lexicon.find([word.removesuffix(tail)]) is not None:
            return [word.removesuffix(tail), tail]
    return []


def _contrast(terms: Sequence[_Term]) -> tuple[bool, bool]:
    """Tell whether a text says that contrast agent was given, and that it was not; *oral* counts for neither."""
    enhanced = unenhanced = False
    sense = ""
    oral = joined = False
    for index, term in enumerate(terms):
        following = terms[index + 1].kind if index + 1 < len(terms) else "end"
        if term.kind in ("without", "before", "with", "after"):
            said = "without" if term.kind in ("without", "before") else "with"
            if sense and said != sense:
                return True, True
            sense = said
            if said == "with" and following == "end" and index > 1 and terms[index - 1].word in _JOINING:
                return True, True  # *native / post*
            if term.word in ("without", "wo") and following in ("end", "number"):
                unenhanced = True
            if term.word == "pre" and following not in ("contrast", "iv", "article", "oral", "after"):
                term.phase = "native"
        elif term.kind == "oral":
            oral = True
        elif term.kind == "contrast":
            if joined and terms[index - 1].word in _JOINING:  # *non-enhanced and enhanced*: only the first is negated
                return True, True
            joined = True
            if not oral:
                enhanced, unenhanced = enhanced or sense != "without", unenhanced or sense == "without"
            oral = False
        elif term.kind == "iv":
            unenhanced = unenhanced or (sense == "without" and following != "contrast")
        elif term.kind != "article":
            sense, oral, joined = "", False, False
    return enhanced, unenhanced


def _settle_qualifiers(terms: Sequence[_Term]) -> None:
    """Join *late* to the phase that it qualifies; alone it stays a short word of the delayed phase."""
    for index, term in enumerate(terms):
        if term.kind != "late":
            continue
        beside = [t for t in _beside(terms, index) if t.phase and t.phase != "native"]
        if not beside:
            term.phase = "delayed"
        for other in beside[:1]:
            term.kind = "early"
            if other.kind == "venous":
                other.phase, other.strength = "delayed", "timed"


def _drop_negated(terms: Sequence[_Term]) -> None:
    """Forget phases that a text says are absent, as in *no arterial phase*."""
    negated = False
    for term in terms:
        if term.kind == "without":
            negated = True
        elif negated and term.phase:
            term.kind, term.phase = "unknown", None
        elif term.kind not in ("article", "early", "noun"):
            negated = False


def _beside(terms: Sequence[_Term], index: int) -> Iterator[_Term]:
    """Terms after and before one, past what may stand between."""
    for step in (1, -1):
        at = index + step
        while 0 <= at < len(terms) and terms[at].kind in _NEUTRAL_BETWEEN:
            at += step
        if 0 <= at < len(terms):
            yield terms[at]


def _strength(terms: Sequence[_Term]) -> Strength:
    """Find how strongly the words for one phase say it; beside the noun *phase* they are clear."""
    named = [(i, t) for i, t in enumerate(terms) if t.phase]
    strengths = {t.strength for _, t in named}
    if "timed" in strengths:
        return "timed"
    if "clear" in strengths or any(other.kind == "noun" for i, _ in named for other in _beside(terms, i)):
        return "clear"
    if "firm" in strengths or len({t.word for _, t in named}) > 1:
        return "firm"
    return "common" if "common" in strengths else "short"


def _on_time(phase: Phase | None, times: Sequence[int]) -> bool:
    first, last = WINDOWS_SECONDS.get(phase, (1.0, 0.0)) if phase else (1.0, 0.0)
    return all(first <= seconds <= last for seconds in times)


@cache
def _lexicon() -> _Lexicon:
    lexicon = _Lexicon()
    lexicon.add(phase_words.NO_PHASE, "apart")
    lexicon.add(phase_words.OTHER_MEANING, "other")
    lexicon.add(phase_words.BOTH, "both")
    tables: tuple[tuple[dict[Phase, phase_words.ByLanguage], Strength], ...] = (
        (phase_words.FIRM, "firm"),
        (phase_words.COMMON, "common"),
        (phase_words.SHORT, "short"),
    )
    for table, strength in tables:
        for phase, languages in table.items():
            for entries in languages.values():
                sure = strength == "firm" and (phase == "native" or not entries.isascii())
                lexicon.add(entries, "phase", phase, "clear" if sure else strength)
    for entries in phase_words.VENOUS.values():
        lexicon.add(entries, "venous", "portal", "common")
    for kind, entries in {
        "late": phase_words.LATE,
        "early": phase_words.EARLY,
        "several": phase_words.SEVERAL,
        "noun": phase_words.NOUN,
        "contrast": phase_words.CONTRAST,
        "without": phase_words.WITHOUT,
        "before": phase_words.BEFORE,
        "with": phase_words.WITH,
        "after": phase_words.AFTER,
        "iv": phase_words.INTRAVENOUS,
        "oral": phase_words.NOT_INTRAVENOUS,
        "abdomen": phase_words.ABDOMEN,
        "chest": phase_words.CHEST,
        "heart": phase_words.HEART,
        "elsewhere": phase_words.ELSEWHERE,
        "technique": phase_words.TECHNIQUE,
        "article": phase_words.ARTICLES,
        "time": "<s>, <m>",
    }.items():
        lexicon.add(entries, kind)
    return lexicon


def says_no_agent(text: str) -> bool | None:
    """Tell whether the name of a contrast agent says that none was given; ``None`` where it is one that is drunk."""
    words = " ".join(_words(text)[0])
    if words in _agents(phase_words.NO_AGENT):
        return True
    return None if words in _agents(phase_words.ORAL_AGENT) else False


@cache
def _agents(entries: str) -> frozenset[str]:
    return frozenset(" ".join(_words(entry)[0]) for entry in entries.split(","))
