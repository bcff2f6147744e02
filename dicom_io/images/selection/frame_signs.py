"""Signs of a map in each frame of a series, and whether all of its frames are of one kind.

References
----------
PS3.3 C.8.15.2.1, C.8.13.3.1, C.7.6.16.2.6 (Derivation Image), C.7.6.16.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydicom.dataset import Dataset

from dicom_io.images.headers.attributes import first_item, items, text, texts
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.map_signs import (
    COMPONENTS,
    DERIVATIONS,
    GENERIC_VALUES,
    PLAIN_PERFUSION,
    SUSPECTED_DERIVATIONS,
    kind_of_type,
    kind_of_value,
)

_CONTRASTS = frozenset({"T1", "T2", "T2_STAR", "PROTON_DENSITY"})
_FRAME_CONTRASTS = _CONTRASTS | {"PERFUSION", "METABOLITE_MAP", "TEMPERATURE"}
"""Values of a derived MR image that name a computed map; value 3 of an enhanced frame is a weighting."""

_FRAME_TYPES = tuple(f"{kind}FrameTypeSequence" for kind in ("CTImage", "MRImage", "PET"))


class _Facts(NamedTuple):
    """Statements of a header or a functional group on its frames."""

    types: tuple[tuple[str, ...], ...] = ()
    codes: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    derivations: tuple[str, ...] = ()
    is_enhanced: bool = False


@dataclass(frozen=True)
class SeriesSigns:
    """Signs of the frames of a series, together.

    Attributes
    ----------
    sign
        What makes them a map, and where headers say so; empty for ordinary images.
    suspicion
        The same, where the header proves nothing.
    is_mixed
        Whether frames differ in it.
    types
        All that Image Type and Frame Type say.
    derivations
        All Derivation Descriptions.
    """

    sign: str
    suspicion: str
    is_mixed: bool
    types: tuple[tuple[str, ...], ...]
    derivations: tuple[str, ...]


def signs_of(series: Series, modality: str) -> SeriesSigns:
    """Read the signs of every frame; what frames say alike is judged once."""
    facts = dict.fromkeys(one for index in range(len(series.instances)) for one in _facts_of(series, index))
    signs = list(dict.fromkeys(_sign(one, modality) for one in facts))
    suspected = any(code in SUSPECTED_DERIVATIONS for one in facts for code in one.codes)
    stated = [sign for sign in signs if sign]
    is_mixed = len(signs) > 1
    return SeriesSigns(
        sign=f"a series of several kinds of image, among them {stated[0]}" if is_mixed else signs[0],
        suspicion="a map by its Derivation Code" if suspected and not stated else "",
        is_mixed=is_mixed,
        types=tuple(dict.fromkeys(values for one in facts for values in one.types)),
        derivations=tuple(dict.fromkeys(words for one in facts for words in one.derivations)),
    )


def _facts_of(series: Series, index: int) -> Iterator[_Facts]:
    header = series.instances[index].header
    wanted = None if series.frames is None else series.frames[index]
    own = _of_image(header)
    shared = first_item(header, "SharedFunctionalGroupsSequence")
    frames = items(header, "PerFrameFunctionalGroupsSequence")
    if shared is not None:
        own = _joined(own, _of_group(shared))
    if not frames:
        yield own
    for number, frame in enumerate(frames, start=1):
        if wanted is None or number in wanted:
            yield _joined(own, _of_group(frame))


def _joined(first: _Facts, second: _Facts) -> _Facts:
    return _Facts(
        types=first.types + second.types,
        codes=first.codes + second.codes,
        techniques=first.techniques + second.techniques,
        properties=first.properties + second.properties,
        components=first.components + second.components,
        derivations=first.derivations + second.derivations,
        is_enhanced=True,
    )


def _of_image(header: Dataset) -> _Facts:
    return _Facts(
        types=(texts(header, "ImageType"),),
        codes=tuple(_codes((header,))),
        techniques=_stated((header,), "VolumeBasedCalculationTechnique"),
        properties=_stated((header,), "VolumetricProperties"),
        components=_stated((header,), "ComplexImageComponent"),
        derivations=_stated((header,), "DerivationDescription"),
    )


def _of_group(group: Dataset) -> _Facts:
    kinds = [item for name in _FRAME_TYPES for item in items(group, name)]
    derived = items(group, "DerivationImageSequence")
    return _Facts(
        types=tuple(texts(item, "FrameType") for item in kinds),
        codes=tuple(_codes(derived)),
        techniques=_stated(kinds, "VolumeBasedCalculationTechnique"),
        properties=_stated(kinds, "VolumetricProperties"),
        components=_stated(kinds, "ComplexImageComponent"),
        derivations=_stated(derived, "DerivationDescription"),
    )


def _stated(places: Iterable[Dataset], keyword: str) -> tuple[str, ...]:
    return tuple(found for place in places if (found := text(place, keyword)))


def _codes(places: Iterable[Dataset]) -> Iterator[str]:
    for place in places:
        for code in items(place, "DerivationCodeSequence"):
            if text(code, "CodingSchemeDesignator") == "DCM":
                yield text(code, "CodeValue")


def _sign(facts: _Facts, modality: str) -> str:
    for values in facts.types:
        if found := _sign_of_type(values, modality):
            return found
    for code in facts.codes:
        if kind := DERIVATIONS.get(code):
            return f"{kind} (Derivation Code)"
    for technique in facts.techniques:
        if kind := kind_of_value(technique, modality):
            return f"{kind} (Volume Based Calculation Technique)"
    if any(properties.upper() == "DISTORTED" for properties in facts.properties):
        return "a distorted volume (Volumetric Properties)"
    for component in facts.components:
        if kind := COMPONENTS.get(component.upper()):
            return f"{kind} (Complex Image Component)"
    return _sign_of_contrast(facts, modality)


def is_sign(value: str, image_type: Sequence[str], modality: str) -> bool:
    """Tell whether a value of Image Type makes an image a map where it stands, whatever its other values say.

    Parameters
    ----------
    value, image_type
        The value, and all of them; in capitals.
    modality
        Of the series.
    """
    alone = tuple(one if one == value or one in GENERIC_VALUES else "" for one in image_type)
    return value not in GENERIC_VALUES and any(
        _sign(_Facts(types=(alone,), is_enhanced=is_enhanced), modality) for is_enhanced in (False, True)
    )


def _sign_of_type(values: tuple[str, ...], modality: str) -> str:
    if kind := kind_of_type(values, modality):
        return f"{kind} (Image Type)"
    upper = [value.upper() for value in values]
    if upper[:1] == ["DERIVED"] and "PERFUSION" in upper and not PLAIN_PERFUSION & set(upper[3:4]):
        return "a map of perfusion (Image Type)"
    return ""


def _sign_of_contrast(facts: _Facts, modality: str) -> str:
    """Look for a computed map that is named by its contrast alone, as enhanced images and some classic ones do."""
    if modality != "MR":
        return ""
    for values in facts.types:
        upper = [value.upper().replace("T2*", "T2_STAR") for value in values]
        named, known = (upper[3:4], _FRAME_CONTRASTS) if facts.is_enhanced else (upper[2:], _CONTRASTS)
        if upper[:1] == ["DERIVED"] and (found := [value for value in named if value in known]):
            return f"a map of {found[0]} (Frame Type)" if facts.is_enhanced else f"a map of {found[0]} (Image Type)"
    return ""
