r"""The words of descriptions that name a map, by how much they prove.

Material
    Iodine, virtual non-contrast, effective Z, pairs of materials: no ordinary CT is called so.
Map
    Quantities and projections; a sign where Image Type says ``DERIVED``.
Hint
    Words that ordinary images have too ("sub", "perfusion", "map", "FA"): they prove nothing.
"""

import re
from collections.abc import Iterable

_CAMEL = r"(?<=(?-i:[a-z]))(?=(?-i:[A-Z]))"
_EDGE, _END = rf"(?:(?<![A-Za-z0-9])|{_CAMEL})", rf"(?:(?![A-Za-z0-9])|{_CAMEL})"
"""Edges of a word: "LiverIodineMap" has three."""


def _spoken(*words: str) -> re.Pattern[str]:
    return re.compile(f"{_EDGE}(?:{'|'.join(words)}){_END}", re.IGNORECASE)


_SUBSTANCE = r"(?:iodine|iod|water|hap|fat|blood|calcium|ca|uric[ _]?acid|ua|iron|gadolinium|gd|lipid|adipose)"
_STUFF = (
    r"(?:iodine|water|wasser|eau|agua|acqua|hap|fat|fett|graisse|grasa|grasso|blood|blut|calcium|kalzium|calcio|iron|"
    r"eisen|fer|uric[ _-]?acid|urate|harns[aä]ure|gadolinium|gd|gold|bismuth|lipid|collagen|xenon|krypton)"
)
_AS_A_MAP = r"(?:maps?|density|densities|concentrations?|fractions?|quantification|overlay|content)"
_NO_AGENT = "".join(f"(?<!{word})" for word in (r"\+", r"\+ ", "with ", "w/ ", "w/", "mit ", "avec ", "con ", "post "))
"""Words before "iodine" that make it the agent of an ordinary CT."""

_MATERIAL = _spoken(
    r"iod(?:ine)?[ _-]*(?:maps?|overlay|density|concentration|images?|removed|no[ _-]water|water)",
    rf"{_NO_AGENT}iodine(?![ _-]*(?:contrast|agent|enhanc|bolus|inject|cm\b|km\b|[234][0-9]{{2}}(?![0-9])|[0-9]+ ?ml))",
    r"iod(?:karten?|bild(?:er)?|verteilung|overlay)",
    r"(?:cartes?|mapp?as?|images?|imagen)[ _-]*(?:d['e]?|di|del?|dello)?[ _'-]*(?:iode|iodio|yodo|iodo)",
    r"(?:jood|jodium)[ _-]?kaart",
    r"ヨード ?(?:マップ|密度|画像)|요오드 ?(?:맵|지도|밀도|영상)",
    r"vnc|vnca|vni|virtual[ _-]?(?:non(?:[ _-]?(?:contrast|enh\w*|cal\w*|hydro\w*))?|un[ _-]?enh\w*|native?|plain)",
    r"virtual\w*[ _-]*(?:sin|senza|sem|sans)[ _-]+(?:contrast[eo]|mdc|injection)",
    r"(?:sans|sin|senza|sem)[ _-]*contrast[eo][ _-]*virtu\w*",
    r"virtu(?:ell|el|eel)\w*[ _-]*(?:nativ|sans|blanco|zonder)\w*",
    r"true[ _-]?non[ _-]?contrast[ _-]?virtual|gsi[ _-]*vue|vue[ _-]*gsi",
    r"z[ _-]?eff\w*|effective[ _-]?z|eff\w*[ _-]?atomic[ _-]?num\w*",
    r"electron[ _-]?density|e(?:lectron)?[ _-]?dens|rho[ _/-]?z",
    rf"{_SUBSTANCE}[ _-]?\({_SUBSTANCE}\)|water[ _/-](?:iodine|hap|calcium)|hap[ _/-](?:water|iodine)",
    r"(?:calcium|ca)[ _-]?supp\w*",
    rf"{_STUFF}[ _-]*{_AS_A_MAP}|{_STUFF}(?:karten?|kaart)",
    rf"(?:cartes?|mapp?as?)[ _-]*(?:d['e]?|di|del?|dello)?[ _'-]*{_STUFF}",
    r"k[ _-]?edge|xenon|krypton|(?:mass[ _-]?)?stopping[ _-]?power|spr[ _-]?maps?",
)
_MAP_OF_ALL = (
    r"(?:(?<![A-Za-z0-9])t)?mips?[0-9]*|min[ _-]?ip|max[ _-]?ip|mnip",
    r"(?:max|min)[a-z]*[ _-]*intensit\w*([ _-]*proje\w*)?",
    r"subtract(?:ed|ion|ions)?|subtraktion\w*|soustraction|sustracci[oó]n|sottrazione",
    r"r?cbf|r?cbv|r?mtt|ttp|t[ _-]?max|ttd|k[ _-]?trans|permeability",
    r"(?:cerebral|hepatic|arterial|portal)?[ _-]*blood[ _-]?(?:flow|volume)|blut(?:fluss|volumen)|pbv",
    r"(?:d[ée]bit|volume) sanguin|(?:flujo|volumen) sangu[ií]neo|(?:flusso|volume) ematico",
    r"mean[ _-]?transit([ _-]?time)?|time[ _-]?to[ _-]?(?:peak|max\w*|start|drain)",
    r"perf(?:usion)?[ _-]?maps?|parametric[ _-]?maps?",
    r"(?<=_)sub(?=$)",  # as scanners append it
    r"minus|differences?|differenz\w*|diff[ée]rence|diferencia|differenza",
    r"maps?(?=[ _.)\]0-9]*$)|[a-z0-9]+maps?|[a-zäöüé]*(?:karten?|kaart)|cartographie|マップ|맵",
    r"(?:mu|µ|μ|u)[ _-]?maps?|attenuation[ _-]*(?:corr\w*[ _-]*)?maps?",
    r"fused|(?:pet|spect)[ _/-]*(?:ct|mri?)?[ _/-]*fusion|fusion[ _/-]*(?:of[ _-]*)?(?:pet|spect)",
    r"screen[ _-]?(?:saves?|shots?|captures?)|dose[ _-]?(?:report|info|summary)",
)
_PLANE_MIP = re.compile(r"(?:(?<=cor)|(?<=sag)|(?<=tra)|(?<=ax)|(?<=thin)|(?<=thick))mips?[0-9]*" + _END, re.IGNORECASE)
_MAP = {
    "CT": _spoken(
        *_MAP_OF_ALL,
        r"uric[ _-]?acid",
        r"bone[ _-]?marrow[ _-]*(?:de|dect|dual|map|o?edema)[a-z]*|(?:de|dect|dual[ _-]?energy)[ _-]*bone[ _-]?marrow",
    ),
    "MR": _spoken(
        *_MAP_OF_ALL,
        r"[de]?adc|av(?:erage|g)?[ _-]?dc|apparent[ _-]?diff\w*",
        r"fract\w*[ _.-]*an(?:iso|sio|is)\w*|tensor|(?<=_)fa(?=$)",
        r"t[12](?:\*|[ _-]?star)?[ _-]?maps?|r2[ _-]?maps?|r2(?:\*|[ _-]?star)(?:[ _-]?maps?)?",
        r"iau?gc|pdff|fat[ _-]?frac\w*",
        r"qsm|susceptibility[ _-]?(?:maps?|quant\w*)|stiffness|elastograms?|mre[ _-]?(?:waves?|conf\w*)|k[ _-]?pa",
        r"(?:swan|swip?|venobold)[ _-]*pha(?:se)?|pha(?:se)?[ _-]?(?:images?|maps?|bild\w*|diff\w*)",
        r"filt(?:ered)?[ _-]?pha(?:se)?",
    ),
}
_HINT_OF_ALL = (
    r"sub(?![ _-]?(?:mm|acute|akut|milli|sec|optimal|total|phren|hepat|clav|dural|cut))",
    r"perfusion",
    r"maps?(?=[ _.)\]]*$)",
)
_HINT = {
    "CT": _spoken(*_HINT_OF_ALL),
    "MR": _spoken(*_HINT_OF_ALL, r"fa(?![ _=-]*[0-9])", r"mapping|elastography"),
}
_SILENT_AS_ORIGINAL = "perfusion"
"""The images of which such maps are made say so too."""


def names_material(description: str, modality: str) -> bool:
    """Tell whether a description names a map of a material, as no ordinary CT is called."""
    return modality == "CT" and _MATERIAL.search(description) is not None


def names_map(description: str, modality: str) -> bool:
    """Tell whether a description names a map, in words that an ordinary image that was not derived may have too."""
    return any(pattern.search(description) for pattern in _maps(modality))


def hints_at_map(description: str, modality: str, *, is_derived: bool) -> bool:
    """Tell whether a description has a word that a map may have, and many ordinary images have too."""
    hint = _HINT.get(modality)
    found = [match.group(0).casefold() for match in hint.finditer(description)] if hint is not None else []
    return any(is_derived or word != _SILENT_AS_ORIGINAL for word in found)


def without_map_words(description: str, modality: str) -> str:
    """Return a description without the words that name a map, hints included."""
    for pattern in (*_materials(modality), *_maps(modality), *_hints(modality)):
        description = pattern.sub(" ", description)
    return description


def _materials(modality: str) -> Iterable[re.Pattern[str]]:
    return (_MATERIAL,) if modality == "CT" else ()


def _maps(modality: str) -> Iterable[re.Pattern[str]]:
    return (_MAP[modality], _PLANE_MIP) if modality in _MAP else ()


def _hints(modality: str) -> Iterable[re.Pattern[str]]:
    return (_HINT[modality],) if modality in _HINT else ()
