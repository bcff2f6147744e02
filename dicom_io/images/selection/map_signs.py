"""Signs that an image's values are not those of an ordinary one of its modality, and the words that name such maps.

A map has the form of an image: an iodine map is a CT Image, an ADC map an MR Image. Headers tell by Image Type and
Frame Type (the standard's terms and vendors' words), Derivation Code, the kind of projection, the complex component.
Words of a description alone prove nothing; with Image Type DERIVED they do.

References
----------
PS3.3 C.8.2.1.1.1, C.8.3.1.1.1, C.8.15.2.1.1, C.8.16.1, C.8.16.2; PS3.16 CID 7203.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

_PROJECTION = "a projection"
_SUBTRACTION = "a subtraction"
_MAP = "a map"
_PHASE = "a phase image"
MOSAIC = "a mosaic of slices"

_VALUES: Mapping[str, str] = MappingProxyType(
    {
        "PROJECTION IMAGE": _PROJECTION,
        "MAX_IP": _PROJECTION,
        "MIN_IP": _PROJECTION,
        "MAXIMUM": _PROJECTION,
        "MINIMUM": _PROJECTION,
        "VOLUME_RENDER": _PROJECTION,
        "SURFACE_RENDER": _PROJECTION,
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
"""Whole values of Image Type, Frame Type, and Volume Based Calculation Technique."""

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
            **dict.fromkeys(("IAUGC", "IAUC", "WASHIN", "WASHOUT", "PEI", "R2STAR"), _MAP),
            "IMAGINARY": _PHASE,
            "MOSAIC": MOSAIC,
        },
    }
)
"""Words within values of Image Type, by modality."""

_PHASE_VALUE = re.compile(r"P(_\w+)?|PHASE([ _](MAP|SUBTRACT))?|VELOCITY[ _]MAP")

DERIVATIONS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("113048", "113051", "113074", "113075", "113078", "113079"), _PROJECTION),
        "113073": "a curved reformat",
        "113062": _SUBTRACTION,
        **dict.fromkeys(("113041", "113044", "113046", "113050", "113052", "113053", "113054", "113055"), _MAP),
        **dict.fromkeys(("113056", "113057", "113059", "113060", "113061", "113063", "113064", "113065"), _MAP),
        **dict.fromkeys(("113067", "113068", "113069", "113071", "113084", "129104", "129105", "129106"), _MAP),
        "113076": "a segmentation",
    }
)
"""Codes of scheme DCM in Derivation Code Sequence."""

GENERIC_VALUES = frozenset(
    {
        *("ORIGINAL", "DERIVED", "MIXED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "OTHER", "NONE", "VOLUME"),
        *("MPR", "REFORMATTED", "PROCESSED", "RESAMPLED", "MEAN", "ADDITION", "MASKED", "FILTERED", "AVERAGE"),
        *("M", "ND", "NORM", "DIS2D", "DIS3D", "FM", "DIFFUSION", "DIXON", "M_FFE", "M_SE", "FFE", "SE", "IR"),
        *("REST", "STRESS", "ANGIO", "CARDIAC", "PRE_CONTRAST", "POST_CONTRAST", "MOTION", "DYNAMIC"),
    }
)
"""Values of Image Type that ordinary images have too, so that a rule that asks for them names no map."""

_EDGE, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
_SPOKEN_OF_ALL = (
    r"mips?|min[ _-]?ip|max[ _-]?ip|mnip|sub|subtract\w*|r?cbf|r?cbv|r?mtt|ttp|t[ _-]?max|ttd|k[ _-]?trans"
    r"|perfusion|perf[ _-]?maps?|permeability|maps?"
)
_SPOKEN = {
    "CT": re.compile(
        f"{_EDGE}({_SPOKEN_OF_ALL}|iodine(?! *(contrast|agent|enhanc))|vnc|vnca|virtual[ _-]?(non|un)[ _-]?[a-z]*"
        r"|true[ _-]?non[ _-]?contrast[ _-]?virtual|z[ _-]?eff\w*|effective[ _-]?z|eff\w*[ _-]?atomic[ _-]?num\w*"
        rf"|electron[ _-]?density|e(lectron)?[ _-]?dens|rho[ _/-]?z|uric[ _-]?acid|calcium[ _-]?supp\w*){_END}",
        re.IGNORECASE,
    ),
    "MR": re.compile(
        f"{_EDGE}({_SPOKEN_OF_ALL}|[de]?adc|apparent[ _-]?diff\\w*|fa(?![ _=-]*[0-9])|fractional[ _-]?aniso\\w*"
        rf"|t[12](\*|[ _-]?star)?[ _-]?maps?|r2(\*|[ _-]?star)?[ _-]?maps?|tensor|iau?gc|pdff|fat[ _-]?fraction){_END}",
        re.IGNORECASE,
    ),
}
_MONO_WORDS = frozenset({"VMI", "MONO", "MONOE", "MONOENERGETIC", "MONOCHROMATIC", "MONOPLUS"})
_MONO_SPOKEN = re.compile(
    rf"{_EDGE}(vmi|monoe|mono[ _-]?energ\w*|mono[ _-]?chrom\w*|mono[a-z]*[ _+-]*[0-9]{{2,3}}"
    rf"|[0-9]{{2,3}}[ _-]?kev){_END}",
    re.IGNORECASE,
)
_KEV = re.compile(r"([0-9]{2,3}(?:\.[0-9]+)?)[ _-]?kev|mono\w*[ _+-]*([0-9]{2,3})(?![0-9])", re.IGNORECASE)
_PHYSICAL = re.compile(r"/(s|ms|min|ml|mL|cm3|kg)\b|^(ms|s|Hz|1/s|rad|mrad|deg|%|10.*|mm2/s|um2/s)$", re.IGNORECASE)


def kind_of_value(value: str, modality: str) -> str | None:
    """Return what a value of Image Type says of an image that is not ordinary; ``None`` where it says nothing."""
    plain = " ".join(value.upper().split())
    if plain in _VALUES:
        return _VALUES[plain]
    if modality == "MR" and _PHASE_VALUE.fullmatch(plain):
        return _PHASE
    words = re.findall(r"[A-Z0-9]+", plain)
    known = _WORDS.get(modality, _WORDS_OF_ALL)
    return next((known[word] for word in words if word in known), None)


def kind_in_words(description: str, modality: str) -> str | None:
    """Return the words of a description that name a map; ``None`` where there are none."""
    spoken = _SPOKEN.get(modality)
    found = spoken.search(description) if spoken is not None else None
    return found.group(0) if found is not None else None


def without_map_words(description: str, modality: str) -> str:
    """Return a description without the words that name a map."""
    spoken = _SPOKEN.get(modality)
    return spoken.sub(" ", description) if spoken is not None else description


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


def is_physical(unit: str) -> bool:
    """Return whether an MR image's unit is one of a quantity, and not a word of the device's own scale."""
    return _PHYSICAL.search(unit) is not None
