"""The quantity that the values of a series are: its unit, and whether it is a map that a rule has to name."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from core.model_config import Channel
from core.study_warning import StudyWarning, WarningCode
from core.units import HU, UNSPECIFIED, default_unit, same_unit
from dicom_io.images.grid.frame_unit import image_type_of, mapped_unit, unit_of_frame
from dicom_io.images.headers.attributes import items, macro, number, text
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.frame_signs import is_sign, signs_of
from dicom_io.images.selection.map_signs import (
    MOSAIC,
    energy_in_words,
    is_monoenergetic,
    is_of_attenuation,
    is_physical,
    kind_of_value,
)
from dicom_io.images.selection.map_words import hints_at_map, names_map, names_material, without_map_words

ENERGY_TOLERANCE_KEV = 0.5
"""Largest difference of two energies that count as one."""

_SHOWN_UNIT = re.compile(r"[A-Za-z0-9_%/.*^{}\[\]()'+-]{1,24}")


@dataclass(frozen=True)
class Quantity:
    """The meaning of the values of a series.

    Attributes
    ----------
    unit
        Of the rescaled values (`core.units`); ``US`` where none is stated.
    sign
        What makes the series a map, and where its headers say so; empty for an ordinary image.
    suspicion
        The same, where only a description says so, which proves nothing; empty where nothing does.
    is_mono
        Whether it is a CT image computed for one energy.
    energy_kev
        That energy; ``None`` where it is not stated.
    is_mixed
        Whether its images are of several kinds, so that no rule names them all.
    is_mosaic
        Whether each image holds several slices side by side, so that it is no slice of a volume.
    """

    unit: str = UNSPECIFIED
    sign: str = ""
    suspicion: str = ""
    is_mono: bool = False
    energy_kev: float | None = None
    is_mixed: bool = False
    is_mosaic: bool = False

    @property
    def shown_unit(self) -> str:
        """The unit as reports may quote it: free text of a device is not."""
        if self.unit == UNSPECIFIED:
            return "not stated"
        return self.unit if _SHOWN_UNIT.fullmatch(self.unit) else "a unit in the device's own words"


def quantity_of(series: Series) -> Quantity:
    """Find what the values of a series are: its unit from the first frame, its signs from all of them.

    Frames of different units are refused where the grid is read.
    """
    _, first, _, places = next(series.frame_places())
    modality = text(first, "Modality")
    if modality not in ("CT", "MR", "PT"):
        return Quantity()
    unit = UNSPECIFIED  # that of PET is found where it is read
    if modality != "PT":
        frame_type = image_type_of(first, places)
        unit = unit_of_frame(first, macro(first, places, "PixelValueTransformationSequence"), frame_type, places)
    signs = signs_of(series, modality)
    # Protocol Name is shared by the images and the maps that were made of them.
    description = text(first, "SeriesDescription")
    flat = [value for values in signs.types for value in values]
    is_mapped = modality == "MR" and bool(mapped_unit(first, places))
    sign = "" if signs.is_mixed else _sign_of_unit(unit, modality, is_mapped=is_mapped)
    sign, suspicion = sign or signs.sign, signs.suspicion
    if not sign:
        sign, in_words = _sign_of_words((description, *signs.derivations), modality, signs.types)
        suspicion = suspicion or in_words
    is_mono = modality == "CT" and not sign and is_monoenergetic(flat, [description])
    return Quantity(
        unit=unit,
        sign=sign,
        suspicion="" if sign else suspicion,
        is_mono=is_mono,
        energy_kev=_energy(first, places, [description, *flat]) if is_mono else None,
        is_mixed=signs.is_mixed,
        is_mosaic=any(kind_of_value(value, modality) == MOSAIC for value in flat),
    )


def unmet_quantity(
    channel: Channel, quantity: Quantity, modality: str, image_type: Sequence[str], description: str
) -> list[str]:
    """List why a series' values are not those that a channel takes, as parts of a sentence.

    Parameters
    ----------
    channel
        Its unit and its rule.
    quantity
        What the values of the series are.
    modality, image_type, description
        Of the series: Modality, values of Image Type in capitals, and its own description. Protocol Name, which images
        share with the maps that were made of them, names none.
    """
    rule = channel.series
    if quantity.is_mosaic:
        return [f"it is {MOSAIC}, and no volume"]
    if quantity.is_mixed:
        return [f"it is {quantity.sign}"]
    if rule.energy_kev is not None and (why := _unmet_energy(rule.energy_kev, quantity)):
        return [why]
    unit = None if modality == "PT" else channel.unit
    wanted = unit or default_unit(rule.modality)
    if not quantity.sign:
        fits = unit is None or same_unit(unit, quantity.unit) or _is_taken_as_hu(wanted, quantity)
        return [] if fits else [f"unit is {quantity.shown_unit}, not {unit}"]
    if unit is not None and not _is_taken_as_hu(wanted, quantity):
        if not same_unit(unit, quantity.unit):
            return [f"unit is {quantity.shown_unit}, not {unit}: it is {quantity.sign}"]
        if quantity.unit not in (HU, UNSPECIFIED):
            return []
    if _is_named(channel, modality, image_type, description):
        return []
    if wanted is not None and quantity.unit not in (HU, UNSPECIFIED) and not same_unit(wanted, quantity.unit):
        return [f"unit is {quantity.shown_unit}, not {wanted}: it is {quantity.sign}"]
    return [f"it is {quantity.sign}, which the rule does not name by unit, image_type or description"]


def warnings_of(channel: Channel, quantity: Quantity) -> list[StudyWarning]:
    """Return what a person should know of the values of a series that feeds a channel."""
    found = []
    if quantity.is_mono and channel.series.energy_kev is None:
        energy = "an energy that is not stated" if quantity.energy_kev is None else f"{quantity.energy_kev:g} keV"
        detail = (
            f"Channel {channel.name} is fed by an image computed for {energy}; energy_kev in model.yaml chooses one."
        )
        found.append(StudyWarning(WarningCode.MONO_ENERGETIC, detail))
    if quantity.suspicion:
        detail = (
            f"Channel {channel.name} is fed by a series that is {quantity.suspicion}, and by nothing that proves it."
        )
        found.append(StudyWarning(WarningCode.MAP_SUSPECTED, detail))
    wanted = default_unit(channel.series.modality)
    if channel.unit is None and wanted is not None and quantity.unit not in (wanted, UNSPECIFIED):
        detail = (
            f"Channel {channel.name} is fed by values whose unit is {quantity.shown_unit}, since its rule names the "
            "map; state its unit in model.yaml."
        )
        found.append(StudyWarning(WarningCode.UNIT_OF_MAP, detail))
    return found


def order_of(quantity: Quantity, *, energy_is_named: bool) -> int:
    """Return the place of a series among those that fit: ordinary images, then those of one energy, then maps."""
    if quantity.sign:
        return 2
    return int(quantity.is_mono and not energy_is_named)


def _is_taken_as_hu(wanted: str | None, quantity: Quantity) -> bool:
    return wanted is not None and same_unit(wanted, HU) and quantity.unit in (HU, UNSPECIFIED)


def _unmet_energy(wanted: float, quantity: Quantity) -> str:
    if not quantity.is_mono:
        return f"it is not a mono-energetic image, of {wanted:g} keV"
    if quantity.energy_kev is None:
        return f"its energy is not stated, not {wanted:g} keV"
    if abs(quantity.energy_kev - wanted) > ENERGY_TOLERANCE_KEV:
        return f"its energy is {quantity.energy_kev:g} keV, not {wanted:g} keV"
    return ""


def _is_named(channel: Channel, modality: str, image_type: Sequence[str], description: str) -> bool:
    """Tell whether a rule asks for the map: by a value of Image Type that makes it one, or by its words."""
    rule = channel.series
    asked = [value.upper() for value in rule.image_type]
    if any(value in image_type and is_sign(value, image_type, modality) for value in asked):
        return True
    # Of "ADC liver", /adc/ names the map, and /liver/ an image of the liver. A text without a word of maps names none.
    rest = without_map_words(description, modality)
    return rest != description and any(
        re.search(pattern, description, re.IGNORECASE) and not re.search(pattern, rest, re.IGNORECASE)
        for pattern in rule.description
    )


def _sign_of_unit(unit: str, modality: str, *, is_mapped: bool) -> str:
    if unit in (HU, UNSPECIFIED) or (modality == "MR" and not is_mapped and not is_physical(unit)):
        return ""
    return "a map, by its Rescale Type, Real World Value Mapping or Image Type"


def _sign_of_words(words: Sequence[str], modality: str, types: Iterable[Sequence[str]]) -> tuple[str, str]:
    """Return the sign that words are, and the suspicion where they prove nothing; at most one is not empty."""
    types = tuple(types)
    is_derived = any(value.upper() == "DERIVED" for values in types for value in values[:1])
    of_material = any(names_material(one, modality) for one in words)
    if of_material and not any(map(is_of_attenuation, types)):
        where = "Image Type DERIVED, and the words of its description" if is_derived else "the words of its description"
        return f"a map ({where})", ""
    of_map = any(names_map(one, modality) for one in words)
    if of_map and is_derived:
        return "a map (Image Type DERIVED, and the words of its description)", ""
    if of_material or of_map or any(hints_at_map(one, modality, is_derived=is_derived) for one in words):
        return "", "a map by the words of its description"
    return "", ""


def _energy(header: Dataset, places: tuple[Dataset, ...], words: Iterable[str]) -> float | None:
    for place in (*places, header):
        for item in items(place, "MultienergyCTCharacteristicsSequence"):
            if (stated := number(item, "MonoenergeticEnergyEquivalent")) is not None:
                return stated
        for step in items(place, "MultienergyCTProcessingSequence"):
            for item in items(step, "MultienergyCTCharacteristicsSequence"):
                if (stated := number(item, "MonoenergeticEnergyEquivalent")) is not None:
                    return stated
    return energy_in_words(words)
