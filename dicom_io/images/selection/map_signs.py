"""Signs in headers that an image's values are not those of an ordinary one of its modality.

A map has the form of an image: an iodine map is a CT Image, an ADC map an MR Image. Headers tell by Image Type and
Frame Type (the standard's terms and vendors' words), Derivation Code, the kind of projection, the complex component.
The words of descriptions are those of `map_words`.

References
----------
PS3.3 C.8.2.1.1.1, C.8.3.1.1.1, C.8.15.2.1.1, C.8.16.1, C.8.16.2; PS3.16 CID 7203.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

_PROJECTION = "a projection"
_SUBTRACTION = "a subtraction"
_MAP = "a map"
_PHASE = "a phase image"
_SCREEN = "a picture of a screen"
_PART = "the real or the imaginary part of an image"
MOSAIC = "a mosaic of slices"

COMPONENTS: Mapping[str, str] = MappingProxyType({"PHASE": _PHASE, "REAL": _PART, "IMAGINARY": _PART})
"""Values of Complex Image Component other than magnitude."""

_VALUES: Mapping[str, str] = MappingProxyType(
    {
        "PROJECTION_IMAGE": _PROJECTION,
        "MAX_IP": _PROJECTION,
        "MIN_IP": _PROJECTION,
        "MAX": _PROJECTION,
        "MIN": _PROJECTION,
        "MAXIMUM": _PROJECTION,
        "MINIMUM": _PROJECTION,
        "VOLUME_RENDER": _PROJECTION,
        "SURFACE_RENDER": _PROJECTION,
        **dict.fromkeys(("SCREEN_SAVE", "SCREENSAVE", "SCREENSHOT", "SCREEN_CAPTURE", "DOSE_INFO"), _SCREEN),
        "CURVED_MPR": "a curved reformat",
        "DIVISION": _MAP,
        "QUANTITY": _MAP,
        "STD_DEVIATION": _MAP,
        "R_COEFFICIENT": _MAP,
        "DIFFUSION_ANISO": _MAP,
        "MAT_SPECIFIC": "a map of a material",
        "MAT_FRACTIONAL": "a map of a material",
        "MAT_VALUE_BASED": "a map of a material",
        "MAT_REMOVED": "an image with a material removed",
        "MAT_MODIFIED": "an image with a material modified",
        "EFF_ATOMIC_NUM": "a map of effective atomic numbers",
        "ELECTRON_DENSITY": "a map of electron density",
    }
)
"""Whole values of Image Type, Frame Type, and Volume Based Calculation Technique, blanks as underscores."""

_VALUES_OF_MR: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("R2", "R2_STAR", "FAT_FRACTION", "FAT_FRAC", "FATFRACTION", "FATFRAC"), _MAP)
)

_WORDS_OF_ALL = {
    **dict.fromkeys(("MIP", "MIPS", "TMIP", "MINIP", "MNIP", "MAXIP", "VRT"), _PROJECTION),
    **dict.fromkeys(("SUB", "SUBTRACT", "SUBTRACTED", "SUBTRACTION"), _SUBTRACTION),
    **dict.fromkeys(("MAP", "MAPS", "CBF", "CBV", "MTT", "TTP", "TMAX", "TTD", "KTRANS", "PERMEABILITY"), _MAP),
    **dict.fromkeys(("RELCBF", "RELCBV", "RELMTT", "RCBF", "RCBV", "RMTT"), _MAP),
}
_WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "CT": {
            **_WORDS_OF_ALL,
            **dict.fromkeys(("IODINE", "VNC", "VNCA", "VNI", "VUE", "ZEFF", "ZEFFECTIVE", "RHOZ"), "a spectral map"),
        },
        "MR": {
            **_WORDS_OF_ALL,
            **dict.fromkeys(("ADC", "EADC", "DADC", "FA", "COLFA", "TENSOR", "ANISOTROPY", "PDFF", "FF", "KEP"), _MAP),
            **dict.fromkeys(("RFA", "QSM", "SUSCEPTIBILITY", "STIFFNESS", "ELASTOGRAM"), _MAP),
            **dict.fromkeys(("IAUGC", "IAUC", "WASHIN", "WASHOUT", "PEI", "R2STAR"), _MAP),
            "IMAGINARY": _PHASE,
            "MOSAIC": MOSAIC,
        },
    }
)
"""Words within values of Image Type, by modality."""

_MAP_AT_END = re.compile(r"[A-Z0-9]{2,}MAPS?")
"""Vendors join the words: FATMAP, IODINEMAP."""
_PHASE_VALUE = re.compile(r"P(_\w+)?|PHASE(_(MAP|SUBTRACT))?|VELOCITY(_MAP)?")
_PART_VALUE = re.compile(r"[IR](_[A-Z]\w*)?")
_MAGNITUDE = re.compile(r"M(_\w+)?")
_THIRD = 2
"""Index of the value in which vendors state the component of an MR image."""

PLAIN_PERFUSION = frozenset({"NONE", "MOCO", "ND", "NORM"})
"""Values 4 of derived perfusion images that are the measured ones, corrected for motion or not at all."""

DERIVATIONS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("113048", "113051", "113074", "113075", "113078", "113079"), _PROJECTION),
        "113073": "a curved reformat",
        "113062": _SUBTRACTION,
        **dict.fromkeys(("113041", "113044", "113050", "113052", "113054", "113055"), _MAP),
        **dict.fromkeys(
            ("113056", "113057", "113058", "113059", "113060", "113061", "113063", "113064", "113065"), _MAP
        ),
        **dict.fromkeys(
            ("113067", "113068", "113069", "113070", "113071", "113084", "129104", "129105", "129106"), _MAP
        ),
        "113076": "a segmentation",
    }
)
"""Codes of scheme DCM in Derivation Code Sequence."""

SUSPECTED_DERIVATIONS = frozenset({"113046", "113053"})
"""Division and multiplication of images, which correct an ordinary image too."""

GENERIC_VALUES = frozenset(
    {
        *("ORIGINAL", "DERIVED", "MIXED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "OTHER", "NONE", "VOLUME"),
        *("MPR", "REFORMATTED", "PROCESSED", "RESAMPLED", "MEAN", "ADDITION", "MASKED", "FILTERED", "AVERAGE"),
        *("M", "ND", "NORM", "DIS2D", "DIS3D", "FM", "DIFFUSION", "DIXON", "M_FFE", "M_SE", "FFE", "SE", "IR"),
        *("REST", "STRESS", "ANGIO", "CARDIAC", "PRE_CONTRAST", "POST_CONTRAST", "MOTION", "DYNAMIC"),
    }
)
"""Values of Image Type that ordinary images have too, so that a rule that asks for them names no map."""

_ORDINARY_ENERGIES = frozenset({"VMI", "ENERGY_PROP_WT"})
"""Values of Image Type that speak against a map of a material: an image of one energy, and a sum of two."""

_MONO_WORDS = frozenset({"VMI", "MONO", "MONOE", "MONOENERGETIC", "MONOCHROMATIC", "MONOPLUS"})
_MONO = r"mono(?:e|plus|\+|[ _-]?energ\w*|[ _-]?chrom\w*)?(?:[ _-]*plus)?[ _+-]*"
_NO_ENERGY = r"(?![0-9]|[ _-]*(?:s|sec\w*|sek\w*|ml|mm|kv)\b)"
"""Ends of a number that is a time, an amount or a voltage."""

_MONO_SPOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:vmi|monoe|mono[ _-]?energ\w*|mono[ _-]?chrom\w*|[0-9]{2,3}[ _-]?kev)(?![A-Za-z0-9])"
    rf"|(?<![A-Za-z0-9]){_MONO}[0-9]{{2,3}}{_NO_ENERGY}",
    re.IGNORECASE,
)
_KEV = re.compile(rf"([0-9]{{2,3}}(?:\.[0-9]+)?)[ _-]?kev|{_MONO}([0-9]{{2,3}}){_NO_ENERGY}", re.IGNORECASE)
_PHYSICAL = re.compile(
    r"/(s|sec|ms|min|ml|mL|cm3|kg)\b|^(ms|s|Hz|1/s|rad|mrad|deg|%|10.*|mm2/s|um2/s|(milli)?radi\w*|degrees?)$",
    re.IGNORECASE,
)


def kind_of_type(values: Sequence[str], modality: str) -> str | None:
    """Return what Image Type or Frame Type says of an image that is not ordinary; ``None`` where it says nothing."""
    plain = [_plain(value) for value in values]
    # After a magnitude, P and R are the vendor's words.
    if modality == "MR" and not any(_MAGNITUDE.fullmatch(value) for value in plain[_THIRD : _THIRD + 1]):
        if any(_PHASE_VALUE.fullmatch(value) for value in plain):
            return _PHASE
        if any(_PART_VALUE.fullmatch(value) and value not in _VALUES for value in plain[_THIRD : _THIRD + 1]):
            return _PART
    return next((found for value in plain if (found := kind_of_value(value, modality))), None)


def kind_of_value(value: str, modality: str) -> str | None:
    """Return what one value says of an image, wherever it stands; ``None`` where it says nothing."""
    plain = _plain(value)
    if plain in _VALUES:
        return _VALUES[plain]
    if modality == "MR" and plain in _VALUES_OF_MR:
        return _VALUES_OF_MR[plain]
    words = re.findall(r"[A-Z0-9]+", plain)
    known = _WORDS.get(modality, _WORDS_OF_ALL)
    if any(_MAP_AT_END.fullmatch(word) for word in words):
        return _MAP
    return next((known[word] for word in words if word in known), None)


def _plain(value: str) -> str:
    return "_".join(value.upper().replace("*", "_STAR").split())


def is_monoenergetic(image_type: Iterable[str], descriptions: Iterable[str]) -> bool:
    """Return whether a CT image is computed for one energy, by its Image Type or the words of its description."""
    words = {word for value in image_type for word in re.findall(r"[A-Z0-9]+", value.upper())}
    if words & _MONO_WORDS or any(re.fullmatch(r"[0-9]{2,3}KEV", word) for word in words):
        return True
    return any(_MONO_SPOKEN.search(description) for description in descriptions)


def energy_in_words(texts: Iterable[str]) -> float | None:
    """Return the energy in keV of which texts speak; ``None`` where they speak of none, or of several."""
    found = {float(match[0] or match[1]) for text in texts for match in _KEV.findall(text)}
    return found.pop() if len(found) == 1 else None


def is_of_attenuation(image_type: Iterable[str]) -> bool:
    """Return whether Image Type itself says that a CT of several energies shows attenuation, and no material."""
    return any(_plain(value) in _ORDINARY_ENERGIES for value in image_type)


def is_physical(unit: str) -> bool:
    """Return whether an MR image's unit is one of a quantity, and not a word of the device's own scale."""
    return _PHYSICAL.search(unit) is not None
