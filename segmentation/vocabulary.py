"""SNOMED CT codes of common label names, so that a new ``model.yaml`` starts with more than "Tissue".

The codes are those of DICOM PS3.16 (CID 7150 categories, CID 7151 properties, CID 244 laterality). A name that is not
found gets "Tissue", and ``model.yaml`` asks a person to decide.
"""

import re
from dataclasses import dataclass

from core.model_manifest import Code


def _sct(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="SCT", meaning=meaning)


ANATOMY = _sct("91723000", "Anatomical Structure")
TISSUE = _sct("85756007", "Tissue")
ABNORMAL = _sct("49755003", "Morphologically Abnormal Structure")
LEFT = _sct("7771000", "Left")
RIGHT = _sct("24028007", "Right")


@dataclass(frozen=True)
class Meaning:
    """Coded meaning of a label; ``certain`` is false where the name was not in the table."""

    category: Code
    type: Code
    laterality: Code | None
    certain: bool


# Ordered: the first pattern that a name contains decides, so that "kidney tumour" is a tumour.
_TABLE: tuple[tuple[str, Code, Code], ...] = (
    (r"tumou?r|cancer|neoplasm|metasta|lesion_?tumou?r|enhancing", ABNORMAL, _sct("108369006", "Neoplasm")),
    (r"cyst", ABNORMAL, _sct("367643001", "Cyst")),
    (r"o?edema", ABNORMAL, _sct("79654002", "Edema")),
    (r"necro", ABNORMAL, _sct("6574001", "Necrosis")),
    (r"nodule", ABNORMAL, _sct("27925004", "Nodule")),
    (r"lesion", ABNORMAL, _sct("52988006", "Lesion")),
    (r"lymph", ANATOMY, _sct("59441001", "Lymph Node")),
    (r"adrenal", ANATOMY, _sct("23451007", "Adrenal gland")),
    (r"gall_?bladder", ANATOMY, _sct("28231008", "Gallbladder")),
    (r"bladder", ANATOMY, _sct("89837001", "Bladder")),
    (r"liver", ANATOMY, _sct("10200004", "Liver")),
    (r"kidney", ANATOMY, _sct("64033007", "Kidney")),
    (r"spleen", ANATOMY, _sct("78961009", "Spleen")),
    (r"pancreas", ANATOMY, _sct("15776009", "Pancreas")),
    (r"stomach", ANATOMY, _sct("69695003", "Stomach")),
    (r"duodenum", ANATOMY, _sct("38848004", "Duodenum")),
    (r"small_?bowel|small_?intestine", ANATOMY, _sct("30315005", "Small intestine")),
    (r"colon", ANATOMY, _sct("71854001", "Colon")),
    (r"rectum", ANATOMY, _sct("34402009", "Rectum")),
    (r"o?esophagus", ANATOMY, _sct("32849002", "Esophagus")),
    (r"trachea", ANATOMY, _sct("44567001", "Trachea")),
    (r"lung", ANATOMY, _sct("39607008", "Lung")),
    (r"heart", ANATOMY, _sct("80891009", "Heart")),
    (r"aorta", ANATOMY, _sct("15825003", "Aorta")),
    (r"inferior_?vena_?cava|(^|_)ivc($|_)", ANATOMY, _sct("64131007", "Inferior vena cava")),
    (r"portal_?vein", ANATOMY, _sct("32764006", "Portal vein")),
    (r"arter", ANATOMY, _sct("51114001", "Artery")),
    (r"vein|venous|(^|_)vena", ANATOMY, _sct("29092000", "Vein")),
    (r"vessel", ANATOMY, _sct("59820001", "Blood Vessel")),
    (r"ureter", ANATOMY, _sct("87953007", "Ureter")),
    (r"prostate", ANATOMY, _sct("41216001", "Prostate")),
    (r"uterus", ANATOMY, _sct("35039007", "Uterus")),
    (r"thyroid", ANATOMY, _sct("69748006", "Thyroid")),
    (r"hippocamp", ANATOMY, _sct("5366008", "Hippocampus")),
    (r"brain", ANATOMY, _sct("12738006", "Brain")),
    (r"spinal_?cord", ANATOMY, _sct("2748008", "Spinal cord")),
    (r"vertebra", ANATOMY, _sct("51282000", "Vertebra")),
    (r"(^|_)ribs?($|_)", ANATOMY, _sct("113197003", "Rib")),
    (r"femur", ANATOMY, _sct("71341001", "Femur")),
    (r"bones?($|_)|skelet", ANATOMY, _sct("272673000", "Bone")),
    (r"muscle", TISSUE, _sct("71616004", "Muscle")),
    (r"soft_?tissue|(^|_)body($|_)", TISSUE, _sct("87784001", "Soft tissue")),
)


def meaning_of(name: str) -> Meaning:
    """Look a label's name up; case, blanks and hyphens do not matter."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")
    laterality = None
    if re.search(r"(^|_)(left|l)($|_)", plain):
        laterality = LEFT
    elif re.search(r"(^|_)(right|r)($|_)", plain):
        laterality = RIGHT
    for pattern, category, kind in _TABLE:
        if re.search(pattern, plain):
            return Meaning(category, kind, laterality, certain=True)
    return Meaning(TISSUE, TISSUE, laterality, certain=False)
