"""A label's name gets a code for sure only where the whole name says it."""

import re
from pathlib import Path

import pytest

from segmentation.importing.add import add_package
from segmentation.importing.snomed_codes import PAIRED, SINGLE, TISSUE, meaning_of
from tests.support.trained_folders import edit_json

# Names of TotalSegmentator's task "total". Its own table agrees, but for the subclavian arteries, where it gives both
# sides the code of the right one, and for the iliac vessels and the atrial appendage, where it is narrower or wider.
TOTAL = {
    "spleen": "Spleen",
    "kidney_right": "Kidney, Right",
    "kidney_left": "Kidney, Left",
    "gallbladder": "Gallbladder",
    "liver": "Liver",
    "stomach": "Stomach",
    "pancreas": "Pancreas",
    "adrenal_gland_right": "Adrenal gland, Right",
    "lung_upper_lobe_left": "Upper lobe of lung, Left",
    "lung_lower_lobe_right": "Lower lobe of lung, Right",
    "lung_middle_lobe_right": "Middle lobe of right lung",
    "esophagus": "Esophagus",
    "trachea": "Trachea",
    "thyroid_gland": "Thyroid",
    "small_bowel": "Small intestine",
    "duodenum": "Duodenum",
    "colon": "Colon",
    "urinary_bladder": "Bladder",
    "prostate": "Prostate",
    "kidney_cyst_left": "Cyst, Left",
    "sacrum": "Sacrum",
    "vertebrae_L5": "L5 vertebra",
    "vertebrae_T10": "T10 vertebra",
    "vertebrae_C1": "C1 vertebra",
    "heart": "Heart",
    "heart_atrium_left": "Left atrium",
    "aorta": "Aorta",
    "pulmonary_vein": "Pulmonary vein",
    "brachiocephalic_trunk": "brachiocephalic trunk",
    "subclavian_artery_left": "Subclavian artery, Left",
    "common_carotid_artery_right": "Common carotid artery, Right",
    "brachiocephalic_vein_left": "Brachiocephalic vein, Left",
    "atrial_appendage_left": "Left auricular appendage",
    "superior_vena_cava": "Superior vena cava",
    "inferior_vena_cava": "Inferior vena cava",
    "iliac_artery_left": "Iliac artery, Left",
    "iliac_vena_right": "Iliac vein, Right",
    "humerus_left": "Humerus, Left",
    "scapula_right": "Scapula, Right",
    "clavicula_left": "Clavicle, Left",
    "femur_right": "Femur, Right",
    "hip_left": "Hip, Left",
    "spinal_cord": "Spinal cord",
    "brain": "Brain",
    "skull": "Skull",
    "sternum": "Sternum",
    "costal_cartilages": "Costal Cartilage",
}
OTHERS = {
    "Left Kidney": "Kidney, Left",
    "R-Lung": "Lung, Right",
    "tumour": "Neoplasm",
    "kidney tumor": "Neoplasm",
    "brainstem": "Brain Stem",
    "kidney_artery": "Renal artery",
    "Portal Vein": "Portal vein",
    "vessel": "Blood Vessel",
}
OPEN = [
    "liver_vessels",
    "portal vein thrombus",
    "non-tumour",
    "left liver",
    "left lobe of the liver",
    "left_right_kidney",
    "liver/spleen",
    "peritumoural edema",
    "whole tumor",
    "T1",
    "body",
    "colon cancer primaries",
    "간 liver",
    "portal_vein_and_splenic_vein",
    "rib_left_1",
    "vertebrae_S1",
    "autochthon_left",
    "gluteus_maximus_right",
    "iliopsoas_left",
    "",
]


@pytest.mark.parametrize(("name", "expected"), [*TOTAL.items(), *OTHERS.items()])
def test_whole_names_are_certain(name: str, expected: str) -> None:
    found = meaning_of(name)
    side = f", {found.laterality.meaning}" if found.laterality else ""
    assert found.certain
    assert found.type.meaning + side == expected


@pytest.mark.parametrize("name", OPEN)
def test_a_part_of_a_name_decides_nothing(name: str) -> None:
    found = meaning_of(name)
    assert not found.certain
    assert (found.category, found.type) == (TISSUE, TISSUE)


def test_no_name_fits_two_rows() -> None:
    names = [*TOTAL, *OTHERS]
    plain = ["_".join(re.findall(r"[a-z0-9]+", name.casefold())) for name in names]
    assert all(sum(bool(re.fullmatch(row[0], name)) for row in (*SINGLE, *PAIRED)) <= 1 for name in plain)


def test_an_open_name_asks_a_person(results: Path, tmp_path: Path) -> None:
    labels = {"background": 0, "liver": 1, "liver_vessels": 2, "tumour": 3}
    edit_json(results / "dataset.json", lambda dataset: dataset.update({"labels": labels}))
    text = (add_package(results, "vessels", tmp_path / "models").folder / "model.yaml").read_text()
    types = [line for line in text.splitlines() if line.startswith("    type:")]
    assert ["DECIDE" in line for line in types] == [False, True, False]
