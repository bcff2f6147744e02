"""Names for the volumes of a series, and the match of a rule's ``volume`` with them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from core.model_config import Plane, VolumeRule
from dicom_io.images.grid.frame_attributes import ATTRIBUTES, Value
from dicom_io.images.headers.series import Part
from dicom_io.images.splitting.frame_table import FrameTable

RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 0.01, 1e-3
"""Largest differences of a number in ``model.yaml`` from the images'."""

COSINE_TOLERANCE = 0.02
"""Largest difference of a cosine: a degree."""

OBLIQUE_COSINE = 0.9
"""A stack is axial, coronal or sagittal where its normal lies within 26 degrees of that axis."""

_PLANES: tuple[Plane, Plane, Plane] = ("sagittal", "coronal", "axial")
_SHOWN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_ .,*+/=\\-]{0,31}")
"""Texts of a device that may be quoted; free text is not."""

_FIRST_OF_KIND = 2
"""Index of the first value of Image Type that tells what an image shows; the two before tell how it was made."""

_MOST_KEYS = 3
_RANGES = frozenset({"trigger_time", "frame_time"})
_WORDS = {attribute.key: attribute.words for attribute in ATTRIBUTES} | {
    "orientation": "orientation",
    "normal": "normal",
}
_UNITS = {attribute.key: attribute.unit for attribute in ATTRIBUTES}
_NAMED = [attribute.key for attribute in ATTRIBUTES if attribute.is_named]
_ORDER = (*_NAMED[: _NAMED.index("kernel")], "orientation", *_NAMED[_NAMED.index("kernel") :], "normal")
"""Keys in the order in which they name volumes."""


@dataclass(frozen=True)
class Span:
    """Numbers of the frames of one volume: from, to, and the one in the middle."""

    low: float
    high: float
    middle: float


Values = Mapping[str, Value]


def plane_of(normal: ArrayLike) -> Plane:
    """Return the plane of slices by their normal."""
    sizes = np.abs(np.asarray(normal, np.float64))
    return _PLANES[int(sizes.argmax())] if sizes.max() >= OBLIQUE_COSINE else "oblique"


def values_of(table: FrameTable, rows: Sequence[int]) -> Values:
    """Return what the frames of a volume state alike, by key of ``volume``; ``None`` where they do not."""
    found: dict[str, Value] = {}
    for key in _NAMED:
        values = [table.columns[key][row] for row in rows]
        if key in _RANGES and None not in values:
            found[key] = Span(min(values), max(values), round(float(np.median(values)), 3))
        else:
            found[key] = values[0] if all(value == values[0] for value in values) else None
    cosines = table.orientations[rows[0]]
    same = cosines is not None and all(table.orientations[row] == cosines for row in rows)
    normal = np.cross(cosines[:3], cosines[3:]) if cosines is not None and same else None
    found["normal"] = None if normal is None else tuple(round(float(one), 2) + 0.0 for one in normal)
    found["orientation"] = None if normal is None else plane_of(normal)
    return found


def unmet_volume(rule: VolumeRule, values: Values) -> list[str]:
    """List what a rule names and a volume is not, as parts of a sentence."""
    unmet = []
    for key, wanted in rule.named.items():
        value = values[key]
        if not _means(key, wanted, value):
            found = "is not stated" if _shown(value) is None else f"is {_with_unit(key, _shown(value))}"
            unmet.append(f"{_WORDS[key]} {found}, not {_with_unit(key, wanted)}")
    return unmet


def is_exactly(rule: VolumeRule, values: Values) -> bool:
    """Return whether the values of Image Type that a rule names are all that a volume has, of those that tell kinds."""
    found = values["image_type"] or ()
    return tuple(found[_FIRST_OF_KIND:]) == tuple(value.upper() for value in rule.image_type)


def name_parts(parts: Sequence[Values]) -> list[Part]:
    """Name volumes by what sets each apart from the others, in as few keys as will do for all of them."""
    varying = [key for key in _ORDER if any(part[key] != parts[0][key] for part in parts)]
    subsets = [keys for size in range(1, _MOST_KEYS + 1) for keys in combinations(varying, size)]
    names = next((found for keys in subsets if (found := _names_of_all(parts, keys))), None)
    if names is None:
        names = [next((f for keys in subsets if (f := _named(part, parts, keys))), {}) for part in parts]
    words = [words_of(name) if name else f"volume {number} of {len(parts)}" for number, name in enumerate(names, 1)]
    return [
        Part(text if words.count(text) == 1 else f"{text} (volume {number} of {len(parts)})", name)
        for number, (text, name) in enumerate(zip(words, names, strict=True), start=1)
    ]


def words_of(named: Mapping[str, Any]) -> str:
    """Write what ``volume`` names for a person."""
    return ", ".join(f"{_WORDS[key]} {_with_unit(key, value)}" for key, value in named.items())


def volume_keys() -> tuple[str, ...]:
    """Return the keys of ``volume``, in the order in which they name volumes."""
    return _ORDER


def unit_of(key: str) -> str:
    """Return the unit of a key of ``volume``; empty without one."""
    return _UNITS.get(key, "")


def _names_of_all(parts: Sequence[Values], keys: Sequence[str]) -> list[dict[str, Any]] | None:
    """Return what keys name of each part; ``None`` as soon as one has no name."""
    if len({tuple(part[key] for key in keys) for part in parts}) < len(parts):
        return None
    names = []
    for part in parts:
        if not (name := _named(part, parts, keys)):
            return None
        names.append(name)
    return names


def _named(part: Values, parts: Sequence[Values], keys: Sequence[str]) -> dict[str, Any]:
    """Return values of keys that mean this part and no other; empty where they do not."""
    named: dict[str, Any] = {}
    others = [other for other in parts if other is not part]
    for key in keys:
        if key == "image_type":
            continue
        value = _shown(part[key])
        if value is None:
            return {}
        named[key] = value
        others = [other for other in others if _means(key, value, other[key])]
    if "image_type" in keys:
        kinds = _telling_kinds(part["image_type"], [other["image_type"] or () for other in others])
        return {**named, "image_type": kinds} if kinds else {}
    return {} if others else named


def _telling_kinds(own: tuple[str, ...] | None, others: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the fewest values of Image Type that no other volume has together, those that tell kinds first."""
    shown = [value for value in own or () if _SHOWN.fullmatch(value)]
    kinds = [value for value in (own or ())[_FIRST_OF_KIND:] if value in shown]
    for values in (kinds, shown):
        for size in (1, 2):
            for few in combinations(dict.fromkeys(values), size):
                if not any(set(few) <= set(other) for other in others):
                    return few
    exact = tuple((own or ())[_FIRST_OF_KIND:])
    if exact and len(kinds) == len(exact) and all(tuple(other[_FIRST_OF_KIND:]) != exact for other in others):
        return exact
    return ()


def _shown(value: Value) -> Any:
    """Return a value as ``model.yaml`` has it; ``None`` for a text that is not to be quoted."""
    if isinstance(value, Span):
        return _short(value.middle)
    if isinstance(value, float):
        return _short(value)
    if isinstance(value, tuple):
        if any(part is None for part in value):
            return None
        if all(isinstance(part, str) for part in value):
            return value[0] if len(value) == 1 and _SHOWN.fullmatch(value[0]) else None
        return tuple(_short(part) if isinstance(part, float) else part for part in value)
    return value if not isinstance(value, str) or _SHOWN.fullmatch(value) else None


def _short(value: float) -> float | int:
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() else rounded


def _means(key: str, wanted: Any, value: Value) -> bool:
    if value is None:
        return False
    if key == "image_type":
        return all(one.upper() in value for one in wanted)
    if isinstance(value, Span):
        return bool(value.low - _tolerance(value.low) <= wanted <= value.high + _tolerance(value.high))
    if key == "dimension":
        return wanted in value
    if isinstance(wanted, str) or isinstance(value, str):
        return isinstance(value, str) and isinstance(wanted, str) and wanted.upper() == value.upper()
    if isinstance(wanted, tuple):
        close = COSINE_TOLERANCE if key in ("direction", "normal") else None
        pairs = zip(wanted, value, strict=True)
        return isinstance(value, tuple) and all(abs(a - b) <= (close or _tolerance(b)) for a, b in pairs)
    return bool(abs(wanted - value) <= (0 if isinstance(value, int) else _tolerance(value)))


def _tolerance(value: float) -> float:
    return max(ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE * abs(value))


def _with_unit(key: str, value: Any) -> str:
    if isinstance(value, tuple):
        text = " ".join(part if isinstance(part, str) else f"{part:g}" for part in value)
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} {unit_of(key)}".rstrip()
