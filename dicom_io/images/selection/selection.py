"""The series that feed the channels of a model, and for every series the reason why it was taken or left.

Rules are ``model.yaml``'s (``core.model_config.SeriesRule``). Among all ways to give each channel a series of its own,
the first is taken in order of preference, channel 0 first. Two channels never share a series: a network trained on two
images and fed one twice gives a plausible answer to a question that nobody asked. Channels lie in one frame of
reference, and on one grid unless the model allows resampling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from core.errors import ReasonCode, StudyRejected
from core.model_config import Channel, ModelConfig
from core.run_options import NO_OPTIONS, RunOptions
from core.study_warning import StudyWarning, WarningCode
from dicom_io.images.grid.geometry import patient_of
from dicom_io.images.headers.series import Part, Series, sentence_of, unread_sentence
from dicom_io.images.resample import LARGEST_SHARE_OUTSIDE, share_outside
from dicom_io.images.selection.candidates import Candidates
from dicom_io.images.selection.phases import PhaseFinding, find_phases
from dicom_io.images.selection.quantity import warnings_of
from dicom_io.images.selection.rules import deciding_preference, rank, too_few_slices, unmet_conditions, wrong_modality
from dicom_io.images.selection.traits import Traits
from dicom_io.images.study import Study

_OnOtherGrid = Literal["refuse", "resample", "any"]
_NAMED = 5
"""As many series are named one by one in a sentence."""

WOULD_RUN = "It would run with geometry: any."

_NOTHING_REFUSED: Mapping[str, StudyRejected] = MappingProxyType({})


@dataclass(frozen=True)
class Decision:
    """The decision on one series.

    Attributes
    ----------
    series_uid
        Series Instance UID; empty for files that cannot be read.
    decision
        ``taken`` feeds ``channel``; ``left`` does not fit or comes after another; ``refused`` fits but cannot be
        right; ``set_aside`` is not an image of a volume.
    channel
        Name of the channel that a taken series feeds.
    reason
        For a person; quotes no free text of the images.
    part
        The volume that it is about, of a series that holds several.
    """

    series_uid: str
    decision: Literal["taken", "left", "refused", "set_aside"]
    channel: str | None
    reason: str
    part: Part | None = None


@dataclass(frozen=True, eq=False)
class Selection:
    """Outcome of the selection: a series for each channel, or a rejection; every series' decision; and warnings."""

    channels: tuple[Series, ...]
    decisions: tuple[Decision, ...]
    rejection: StudyRejected | None = None
    warnings: tuple[StudyWarning, ...] = ()


def select_series(
    study: Study,
    config: ModelConfig,
    refused: Mapping[str, StudyRejected] = _NOTHING_REFUSED,
    options: RunOptions = NO_OPTIONS,
) -> Selection:
    """Choose a series for each channel by the rules of ``model.yaml``, from headers alone.

    Parameters
    ----------
    study
        As read.
    config
        Channels and their rules.
    refused
        Series and volumes that are refused already, e.g. for their pixels, by ``Series.key``.
    options
        The run's: which channels want a series, and of which phase.
    """
    found = _select(study, config, refused, options)
    if found.rejection is None or config.geometry == "any":
        return found
    other = _select(study, config.model_copy(update={"geometry": "any"}), refused, options)
    return found if other.rejection is not None else _would_run(found, other)


def _would_run(found: Selection, other: Selection) -> Selection:
    """Say of a refusal, and of the series concerned, that a model of any geometry would take what ``other`` took."""
    rejection = found.rejection
    assert rejection is not None  # noqa: S101 - for the type checker
    taken = {(one.series_uid, one.part) for one in other.decisions if one.decision == "taken"}
    decisions = tuple(
        replace(one, reason=f"{one.reason} {WOULD_RUN}") if (one.series_uid, one.part) in taken else one
        for one in found.decisions
    )
    said = StudyRejected(rejection.code, f"{rejection.detail} {WOULD_RUN}".lstrip(), rejection.series_uid)
    return replace(found, decisions=decisions, rejection=said)


def _select(study: Study, config: ModelConfig, refused: Mapping[str, StudyRejected], options: RunOptions) -> Selection:
    aside = tuple(
        Decision(a.series_uid, "set_aside", None, f"{a.count} {'file' if a.count == 1 else 'files'}: {a.reason}.")
        for a in study.set_aside
    )
    rejection = _with_unread(_refuse_study(study), study)
    if rejection is not None:
        decisions = tuple(Decision(s.uid, "refused", None, rejection.message) for s in study.series)
        return Selection((), decisions + aside, rejection, _unread_warnings(study))
    channels = options.channels(config)
    candidates = [Candidates(one, refused, config, alone=len(channels) == 1) for one in study.series]
    series = [traits for one in candidates for traits in one.volumes]
    phases = _phases(candidates) if any(channel.series.phase for channel in channels) else {}
    matches = [_Match(channel, candidates, phases) for channel in channels]
    chosen = _choose([match.candidates for match in matches], config.on_other_grid)
    rejection = (
        None if chosen else _with_unread(_explain_rejection(matches, series, channels, config.on_other_grid), study)
    )
    decisions = tuple(_decide(traits, channels, matches, chosen) for traits in series)
    # Of a series that was taken, its volume has the warning of unread files.
    warnings = _value_warnings(channels, chosen, config.name) if chosen else _unread_warnings(study)
    aside += tuple(map(_strays_aside, (one.volumes[0].series for one in candidates if one.volumes[0].series.strays)))
    return Selection(tuple(traits.series for traits in chosen), decisions + aside, rejection, warnings)


def _strays_aside(series: Series) -> Decision:
    count = len(series.strays)
    what = f"{count} {'image' if count == 1 else 'images'}: {sentence_of(series.strays)}"
    return Decision(series.uid, "set_aside", None, what)


def _phases(candidates: Sequence[Candidates]) -> dict[str, PhaseFinding]:
    """Find the phase of each series, and of its volumes by its words alone: their order in time is not the series'."""
    phases = find_phases([one.as_series for one in candidates])
    return {
        traits.series.key: phases[one.as_series.series.uid].in_words_alone()
        if one.split.is_apart
        else phases[one.as_series.series.uid]
        for one in candidates
        for traits in one.volumes
    }


def _value_warnings(channels: Sequence[Channel], chosen: Sequence[Traits], model: str) -> tuple[StudyWarning, ...]:
    return tuple(
        warning.about(traits.series.uid, model)
        for channel, traits in zip(channels, chosen, strict=True)
        for warning in warnings_of(channel, traits.quantity)
    )


class _Match:
    """One channel's rule against all volumes of all series."""

    def __init__(self, channel: Channel, candidates: Sequence[Candidates], phases: Mapping[str, PhaseFinding]) -> None:
        self.rule, self.phases = channel.series, phases
        rule = channel.series
        volumes = [traits for one in candidates for traits in one.volumes]
        self.unmet = {t.series.key: unmet_conditions(channel, t, phases.get(t.series.key)) for t in volumes}
        self.refusals = {t.series.key: t.refusal for t in volumes if t.refusal is not None}
        for one in candidates:
            one.narrow(rule, self.unmet)
            self.refusals |= one.refusals(rule, self.unmet)
        fitting = sorted((t for t in volumes if not self.unmet[t.series.key]), key=lambda t: rank(rule, t))
        self.candidates = [t for t in fitting if t.series.key not in self.refusals]
        self.refused = [t for t in fitting if t.series.key in self.refusals]


def _refuse_study(study: Study) -> StudyRejected | None:
    if not study.series:
        kinds = "; ".join(dict.fromkeys(aside.reason for aside in study.set_aside)) or "nothing"
        detail = f"The study has no image of which a volume is made; set aside: {kinds}."
        return StudyRejected(ReasonCode.NO_MATCHING_SERIES, detail)
    if not study.uid and study.series:
        return StudyRejected(ReasonCode.EMPTY_UID, "StudyInstanceUID.")
    patients = set().union(*(patient_of(series) for series in study.series)) if study.series else set()
    if len(patients) > 1:
        return StudyRejected(ReasonCode.MIXED_PATIENTS, f"The study has {len(patients)} patients.")
    return None


def _with_unread(rejection: StudyRejected | None, study: Study) -> StudyRejected | None:
    """Name the images that could not be read: a slice that is missing may be one of them."""
    if rejection is None or not study.unread:
        return rejection
    return StudyRejected(
        rejection.code, f"{rejection.detail} {unread_sentence(study.unread)}".lstrip(), rejection.series_uid
    )


def _unread_warnings(study: Study) -> tuple[StudyWarning, ...]:
    return (StudyWarning(WarningCode.FILES_UNREADABLE, unread_sentence(study.unread)),) if study.unread else ()


def _choose(
    candidates: Sequence[Sequence[Traits]], on_other_grid: Literal["refuse", "resample", "any"]
) -> list[Traits]:
    """Return the first assignment of distinct, compatible series in order of preference; empty if there is none."""

    def extend(chosen: list[Traits]) -> list[Traits]:
        if len(chosen) == len(candidates):
            return chosen
        for traits in candidates[len(chosen)]:
            if traits not in chosen and (not chosen or _compatible(chosen[0], traits, on_other_grid)):
                complete = extend([*chosen, traits])
                if complete:
                    return complete
        return []

    return extend([])


def _compatible(first: Traits, other: Traits, on_other_grid: _OnOtherGrid) -> bool:
    if on_other_grid == "any" or first.layout is None or other.layout is None:
        return True
    if first.layout.frame_of_reference_uid != other.layout.frame_of_reference_uid:
        return False
    grid, inner = first.layout.geometry, other.layout.geometry
    if grid.same_channel_grid(inner):
        return True
    return on_other_grid == "resample" and share_outside(inner, grid) <= LARGEST_SHARE_OUTSIDE


def _explain_rejection(
    matches: Sequence[_Match], series: Sequence[Traits], channels: Sequence[Channel], on_other_grid: _OnOtherGrid
) -> StudyRejected:
    """Give the most telling reason: a fitting series that is refused, else what all series lack."""
    several = len(matches) > 1
    for channel, match in zip(channels, matches, strict=True):
        where = f"Channel {channel.name}: " if several else ""
        if match.candidates:
            continue
        if match.refused:
            return match.refusals[match.refused[0].series.key]
        if series and all(wrong_modality(match.rule, t) for t in series):
            found = ", ".join(sorted({t.modality or "none" for t in series}))
            detail = f"{where}the study has {found}, the model takes {' or '.join(match.rule.modality)}."
            return StudyRejected(ReasonCode.WRONG_MODALITY, detail)
        short = [t for t in series if too_few_slices(match.rule, t) and len(match.unmet[t.series.key]) == 1]
        if short:
            most = max(short, key=lambda t: t.slices)
            detail = f"{where}it has {most.slices}, the model needs at least {match.rule.min_slices}."
            return StudyRejected(ReasonCode.TOO_FEW_SLICES, detail, most.series.uid)
        return _none_fits(where, match, series)
    if _choose([match.candidates for match in matches], "any"):
        return StudyRejected(
            ReasonCode.GRIDS_DIFFER,
            "No choice of fitting series lies in one frame of reference"
            + (" and on one grid." if on_other_grid == "refuse" else " and covers the grid of channel 0."),
        )
    return StudyRejected(ReasonCode.NO_MATCHING_SERIES, "Each channel needs a series of its own.")


def _none_fits(where: str, match: _Match, series: Sequence[Traits]) -> StudyRejected:
    if not series:
        return StudyRejected(ReasonCode.NO_MATCHING_SERIES, f"{where}the study has no series.")
    nearest = min((t.series for t in series), key=lambda one: (len(match.unmet[one.key]), one.key))
    if (detail := _no_phase(match, series)) is not None:
        return StudyRejected(ReasonCode.NO_MATCHING_SERIES, f"{where}{detail}", nearest.uid)
    what = "series" if all(t.series.part is None for t in series) else "series and volumes"
    which = f"none of {len(series)} {what} fits; nearest series" if len(series) > 1 else "the series does not fit"
    why = "; ".join(match.unmet[nearest.key])
    return StudyRejected(ReasonCode.NO_MATCHING_SERIES, f"{where}{which}: {why}.", nearest.uid)


def _no_phase(match: _Match, series: Sequence[Traits]) -> str | None:
    """Name the phase that is missing, and those of the series that fail by nothing else; None where none does."""
    of_rule = match.rule.phase or ()
    found = [
        (t, finding)
        for t in series
        if (finding := match.phases.get(t.series.key)) is not None
        and finding.phase not in of_rule
        and len(match.unmet[t.series.key]) == 1
    ]
    if not of_rule or not found:
        return None
    said = [finding.of("a series" if t.number is None else f"series {t.number}") for t, finding in found[:_NAMED]]
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    phases = " or ".join(filter(None, (", ".join(of_rule[:-1]), of_rule[-1])))
    return f"No series of phase {phases}: {'; '.join(said)}{more}."


def _decide(
    traits: Traits, channels: Sequence[Channel], matches: Sequence[_Match], chosen: Sequence[Traits]
) -> Decision:
    uid, key, part = traits.series.uid, traits.series.key, traits.series.part
    names = [channel.name for channel in channels]
    if traits in chosen:
        index = chosen.index(traits)
        return Decision(uid, "taken", names[index], _why_taken(traits, matches[index]), part)
    refusal = next((match.refusals[key] for match in matches if traits in match.refused), None)
    if refusal is not None:
        # The reason of the study lists what could be named; each volume of the series need not.
        why = refusal.message if part is None or refusal is traits.refusal else refusal.code.sentence
        return Decision(uid, "refused", None, f"{refusal.code}: {why}", part)
    reasons = []
    for index, match in enumerate(matches):
        unmet = match.unmet[key]
        why = "; ".join(unmet) if unmet else _why_passed_over(traits, match, chosen[index] if chosen else None)
        reasons.append(f"{names[index]}: {why}" if len(matches) > 1 else why)
    return Decision(uid, "left", None, _sentence(". ".join(dict.fromkeys(reasons))), part)


def _why_taken(traits: Traits, match: _Match) -> str:
    fitting, order = len(match.candidates), ", ".join(match.rule.prefer)
    why = "the only one that fits" if fitting == 1 else f"comes first of {fitting} that fit, by {order}"
    if traits.series.key in match.phases and match.rule.phase:
        why += f"; {match.phases[traits.series.key].why}"
    if traits.quantity.suspicion:
        why += f"; it may be {traits.quantity.suspicion}"
    if traits.series.part is not None:
        why = f"{traits.series.part.words}: {why}"
    return _sentence(why)


def _why_passed_over(traits: Traits, match: _Match, taken: Traits | None) -> str:
    if taken is None:
        return "fits, but the study is refused"
    if rank(match.rule, taken) < rank(match.rule, traits):
        return f"fits, but series {taken.series.key} comes first by {deciding_preference(match.rule, taken, traits)}"
    return f"fits, but series {taken.series.key} matches the grid of the other channels"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
