"""SNOMED CT codes of common label names, so that a new ``model.yaml`` starts with more than "Tissue".

The codes are those of DICOM PS3.16 (CID 7150 categories, CID 7151 properties, CID 244 laterality). Only a whole name
counts: "liver vessels" are not the liver, and a wrong code looks as sure to the archive as a right one. Any other name
gets "Tissue", and ``model.yaml`` asks a person to decide.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from core.model_config import Code


def _sct(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="SCT", meaning=meaning)


ANATOMY = _sct("91723000", "Anatomical Structure")
TISSUE = _sct("85756007", "Tissue")
ABNORMAL = _sct("49755003", "Morphologically Abnormal Structure")
LEFT = _sct("7771000", "Left")
RIGHT = _sct("24028007", "Right")
_SIDES = {"left": LEFT, "l": LEFT, "right": RIGHT, "r": RIGHT}


@dataclass(frozen=True)
class Meaning:
    """Coded meaning of a label; ``certain`` is false if the name was not in the table."""

    category: Code
    type: Code
    laterality: Code | None
    certain: bool


Row = tuple[str, Code, Code]
_ORGANS = "adrenal|bladder|bone|brain|breast|colon|hepatic|kidney|liver|lung|pancreas|pancreatic|prostate|renal|thyroid"
_VERTEBRAE = {
    "C1": "14806007", "C2": "39976000", "C3": "113205007", "C4": "5329002", "C5": "36978003", "C6": "36054005",
    "C7": "87391001", "T1": "64864005", "T2": "53733008", "T3": "1626008", "T4": "73071006", "T5": "56401006",
    "T6": "45296009", "T7": "62487009", "T8": "11068009", "T9": "82687006", "T10": "7610001", "T11": "12989004",
    "T12": "23215003", "L1": "66794005", "L2": "14293000", "L3": "36470004", "L4": "11994002", "L5": "49668003",
}  # fmt: skip


def _pattern_of_vertebra(name: str) -> str:
    return rf"vertebrae?_{name.casefold()}|{name.casefold()}_vertebra"


# What has no side, or has it in its code. "Left liver" is a part of the liver, and no row of the table.
SINGLE: tuple[Row, ...] = (
    (r"(enhancing_)?tumou?rs?|neoplasms?|cancers?", ABNORMAL, _sct("108369006", "Neoplasm")),
    (r"o?edema", ABNORMAL, _sct("79654002", "Edema")),
    (r"necrosis", ABNORMAL, _sct("6574001", "Necrosis")),
    (r"thromb(us|i)", ABNORMAL, _sct("396339007", "Thrombus")),
    (r"lymph_?nodes?", ANATOMY, _sct("59441001", "Lymph Node")),
    (r"gall_?bladder", ANATOMY, _sct("28231008", "Gallbladder")),
    (r"(urinary_)?bladder", ANATOMY, _sct("89837001", "Bladder")),
    (r"liver", ANATOMY, _sct("10200004", "Liver")),
    (r"spleen", ANATOMY, _sct("78961009", "Spleen")),
    (r"pancreas", ANATOMY, _sct("15776009", "Pancreas")),
    (r"stomach", ANATOMY, _sct("69695003", "Stomach")),
    (r"duodenum", ANATOMY, _sct("38848004", "Duodenum")),
    (r"small_?(bowel|intestine)", ANATOMY, _sct("30315005", "Small intestine")),
    (r"colon", ANATOMY, _sct("71854001", "Colon")),
    (r"rectum", ANATOMY, _sct("34402009", "Rectum")),
    (r"o?esophagus", ANATOMY, _sct("32849002", "Esophagus")),
    (r"trachea", ANATOMY, _sct("44567001", "Trachea")),
    (r"lung_middle_lobe_right|right_lung_middle_lobe", ANATOMY, _sct("72481006", "Middle lobe of right lung")),
    (r"heart", ANATOMY, _sct("80891009", "Heart")),
    (r"heart_atrium_left|left_atrium", ANATOMY, _sct("82471001", "Left atrium")),
    (r"heart_atrium_right|right_atrium", ANATOMY, _sct("73829009", "Right atrium")),
    (r"heart_ventricle_left", ANATOMY, _sct("87878005", "Left ventricle")),
    (r"heart_ventricle_right", ANATOMY, _sct("53085002", "Right ventricle")),
    (r"atrial_appendage_left|left_atrial_appendage", ANATOMY, _sct("33626005", "Left auricular appendage")),
    (r"aorta", ANATOMY, _sct("15825003", "Aorta")),
    (r"inferior_?vena_?cava|ivc|postcava", ANATOMY, _sct("64131007", "Inferior vena cava")),
    (r"superior_?vena_?cava|svc", ANATOMY, _sct("48345005", "Superior vena cava")),
    (r"portal_?vein", ANATOMY, _sct("32764006", "Portal vein")),
    (r"brachiocephalic_trunk", ANATOMY, _sct("12691009", "brachiocephalic trunk")),
    (r"arter(y|ies)", ANATOMY, _sct("51114001", "Artery")),
    (r"veins?", ANATOMY, _sct("29092000", "Vein")),
    (r"(blood_)?vessels?", ANATOMY, _sct("59820001", "Blood Vessel")),
    (r"prostate", ANATOMY, _sct("41216001", "Prostate")),
    (r"uterus", ANATOMY, _sct("35039007", "Uterus")),
    (r"thyroid(_gland)?", ANATOMY, _sct("69748006", "Thyroid")),
    (r"brain", ANATOMY, _sct("12738006", "Brain")),
    (r"brain_?stem", ANATOMY, _sct("119238007", "Brain Stem")),
    (r"spinal_?cord", ANATOMY, _sct("2748008", "Spinal cord")),
    (r"skull", ANATOMY, _sct("89546000", "Skull")),
    (r"sternum", ANATOMY, _sct("56873002", "Sternum")),
    (r"sacrum", ANATOMY, _sct("54735007", "Sacrum")),
    (r"costal_cartilages?", ANATOMY, _sct("50016007", "Costal Cartilage")),
    (r"vertebrae?", ANATOMY, _sct("51282000", "Vertebra")),
    *((_pattern_of_vertebra(name), ANATOMY, _sct(code, f"{name} vertebra")) for name, code in _VERTEBRAE.items()),
    (r"bones?", ANATOMY, _sct("272673000", "Bone")),
    (r"muscles?", TISSUE, _sct("71616004", "Muscle")),
    (r"soft_?tissues?", TISSUE, _sct("87784001", "Soft tissue")),
)
# What exists on both sides: a side in the name is its laterality.
PAIRED: tuple[Row, ...] = (
    (rf"({_ORGANS})_(tumou?r|cancer)s?", ABNORMAL, _sct("108369006", "Neoplasm")),
    (rf"(({_ORGANS})_)?cysts?", ABNORMAL, _sct("367643001", "Cyst")),
    (rf"(({_ORGANS})_)?nodules?", ABNORMAL, _sct("27925004", "Nodule")),
    (rf"(({_ORGANS})_)?lesions?", ABNORMAL, _sct("52988006", "Lesion")),
    (r"adrenals?(_glands?)?", ANATOMY, _sct("23451007", "Adrenal gland")),
    (r"kidneys?", ANATOMY, _sct("64033007", "Kidney")),
    (r"ureters?", ANATOMY, _sct("87953007", "Ureter")),
    (r"lungs?", ANATOMY, _sct("39607008", "Lung")),
    (r"lung_upper_lobe|upper_lobe_lung", ANATOMY, _sct("45653009", "Upper lobe of lung")),
    (r"lung_lower_lobe|lower_lobe_lung", ANATOMY, _sct("90572001", "Lower lobe of lung")),
    (r"pulmonary_veins?", ANATOMY, _sct("122972007", "Pulmonary vein")),
    (r"brachiocephalic_vein", ANATOMY, _sct("8887007", "Brachiocephalic vein")),
    (r"subclavian_artery", ANATOMY, _sct("36765005", "Subclavian artery")),
    (r"common_carotid_artery", ANATOMY, _sct("32062004", "Common carotid artery")),
    (r"renal_artery|kidney_artery", ANATOMY, _sct("2841007", "Renal artery")),
    (r"renal_vein|kidney_vein", ANATOMY, _sct("56400007", "Renal vein")),
    (r"iliac_artery", ANATOMY, _sct("10293006", "Iliac artery")),
    (r"iliac_(vein|vena)", ANATOMY, _sct("244411005", "Iliac vein")),
    (r"hippocampus", ANATOMY, _sct("5366008", "Hippocampus")),
    (r"clavic(le|ula)", ANATOMY, _sct("51299004", "Clavicle")),
    (r"scapula", ANATOMY, _sct("79601000", "Scapula")),
    (r"humerus", ANATOMY, _sct("85050009", "Humerus")),
    (r"ribs?", ANATOMY, _sct("113197003", "Rib")),
    (r"hip", ANATOMY, _sct("29836001", "Hip")),
    (r"femur", ANATOMY, _sct("71341001", "Femur")),
)


def meaning_of(name: str) -> Meaning:
    """Look up a label's name; case, blanks and hyphens do not matter."""
    words = re.findall(r"[^\W_]+", name.casefold())
    sides = {_SIDES[word] for word in words if word in _SIDES}
    laterality = next(iter(sides)) if len(sides) == 1 else None
    if row := _find("_".join(words), (*SINGLE, *PAIRED)):
        return Meaning(row[1], row[2], None, certain=True)
    if laterality and (row := _find("_".join(word for word in words if word not in _SIDES), PAIRED)):
        return Meaning(row[1], row[2], laterality, certain=True)
    return Meaning(TISSUE, TISSUE, laterality, certain=False)


def _find(plain: str, rows: Iterable[Row]) -> Row | None:
    return next((row for row in rows if re.fullmatch(row[0], plain)), None)
