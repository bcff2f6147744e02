"""A channel's rule applied to one series: the conditions it fails, and its rank among the series that fit."""

import re
from collections.abc import Callable, Mapping

from core.errors import ReasonCode
from core.model_config import Channel, Preference, Range, SeriesRule
from dicom_io.images.selection.phases import PhaseFinding
from dicom_io.images.selection.quantity import order_of, unmet_quantity
from dicom_io.images.selection.traits import Traits
from dicom_io.images.splitting.naming import unmet_volume
from dicom_io.images.splitting.volumes import volume_values

ORDINARY_FIRST = "what its values are"
"""Comes before every preference: ordinary images, then those computed for one energy, then maps."""

NO_MAP_WORDS = "that nothing hints at a map"
"""Comes after every preference, since a hint proves nothing."""

_OF_SEVERAL_KINDS = frozenset({ReasonCode.MIXED_RESCALE_TYPE, ReasonCode.MIXED_ACQUISITION})
"""Refusals of series whose images are of several kinds, so that none can be held against a rule."""

_LAST = float("inf")


def wrong_modality(rule: SeriesRule, traits: Traits) -> bool:
    """Tell whether the series is of a modality that the rule does not name."""
    return traits.modality not in rule.modality


def too_few_slices(rule: SeriesRule, traits: Traits) -> bool:
    """Tell whether the series has fewer slices than the rule requires."""
    return traits.slices < rule.min_slices


def unmet_conditions(channel: Channel, traits: Traits, phase: PhaseFinding | None) -> list[str]:
    """List the conditions of a channel that a series fails, as parts of a sentence; the list is empty if it fits.

    A series without a grid cannot be held against the rule's geometric conditions, and is not.
    """
    rule = channel.series
    if wrong_modality(rule, traits):
        return [f"modality is {traits.modality or 'not stated'}, not {' or '.join(rule.modality)}"]
    unmet = _unmet_words(rule, traits)
    if traits.refusal is None or traits.refusal.code not in _OF_SEVERAL_KINDS:
        unmet += unmet_quantity(channel, traits.quantity, traits.modality, traits.image_type, traits.description)
    if rule.volume is not None:
        unmet += unmet_volume(rule.volume, volume_values(traits.series))
    if too_few_slices(rule, traits):
        unmet.append(f"{traits.slices} slices, at least {rule.min_slices} are needed")
    if rule.slice_thickness is not None:
        unmet += _unmet_range("slice thickness", rule.slice_thickness, traits.thickness)
    if traits.layout is not None:
        if rule.orientation and traits.plane not in rule.orientation:
            unmet.append(f"plane is {traits.plane}, not {' or '.join(rule.orientation)}")
        if rule.slice_spacing is not None:
            unmet += _unmet_range("slice spacing", rule.slice_spacing, traits.slice_spacing)
        if rule.pixel_spacing is not None:
            for spacing in sorted(set(traits.layout.geometry.spacing[1:])):
                unmet += _unmet_range("pixel spacing", rule.pixel_spacing, spacing)
    if rule.phase and phase is not None and phase.phase not in rule.phase:
        unmet.append(f"{phase.why}, not {' or '.join(rule.phase)}" if phase.phase else phase.why)
    return unmet


def _unmet_words(rule: SeriesRule, traits: Traits) -> list[str]:
    """List failed conditions on texts; descriptions are free text, so a condition quotes the rule, never the series."""
    unmet = []
    if rule.body_part and traits.body_part and not _any(rule.body_part, (traits.body_part,)):
        unmet.append(f"body part matches none of {_listed(rule.body_part)}")
    if rule.description and not _any(rule.description, traits.descriptions):
        unmet.append(f"description matches none of {_listed(rule.description)}")
    excluded = [p for p in rule.exclude_description if _any((p,), traits.descriptions)]
    if excluded:
        unmet.append(f"description matches the excluded {_listed(excluded)}")
    lacking = [value for value in rule.image_type if value.upper() not in traits.image_type]
    if lacking:
        unmet.append(f"image type lacks {', '.join(lacking)}")
    unwanted = [value for value in rule.exclude_image_type if value.upper() in traits.image_type]
    if unwanted:
        unmet.append(f"image type has the excluded {', '.join(unwanted)}")
    return unmet


def _any(patterns: tuple[str, ...], values: tuple[str, ...]) -> bool:
    return any(re.search(pattern, value, re.IGNORECASE) for pattern in patterns for value in values)


def _listed(patterns: "tuple[str, ...] | list[str]") -> str:
    return ", ".join(f"/{pattern}/" for pattern in patterns)


def _unmet_range(what: str, allowed: Range, value: float | None) -> list[str]:
    if value is None:
        return [f"{what} is not stated"]
    return [] if round(value, 4) in allowed else [f"{what} {value:g} mm is not within {allowed}"]


_ORDERS: Mapping[Preference, Callable[[Traits], float | None]] = {
    "thinnest": lambda t: t.thickness if t.thickness is not None else t.slice_spacing,
    "thickest": lambda t: _negative(t.thickness if t.thickness is not None else t.slice_spacing),
    "most_slices": lambda t: -float(t.slices),
    "earliest": lambda t: t.acquired,
    "latest": lambda t: _negative(t.acquired),
    "finest_pixels": lambda t: t.pixel_spacing,
    "lowest_series_number": lambda t: None if t.number is None else float(t.number),
}


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def rank(rule: SeriesRule, traits: Traits) -> tuple[float | str, ...]:
    """Return the sort key of a fitting series: smaller comes first, unstated values last; the UID settles a tie."""
    values = (_ORDERS[preference](traits) for preference in rule.prefer)
    place = order_of(traits.quantity, energy_is_named=rule.energy_kev is not None)
    preferred = (_LAST if value is None else round(value, 4) for value in values)
    return (place, *preferred, int(bool(traits.quantity.suspicion)), traits.series.key)


def deciding_preference(rule: SeriesRule, first: Traits, second: Traits) -> str:
    """Name the preference by which one series comes before another."""
    pairs = zip((ORDINARY_FIRST, *rule.prefer, NO_MAP_WORDS), rank(rule, first), rank(rule, second), strict=False)
    return next((name for name, a, b in pairs if a != b), "lowest UID")
