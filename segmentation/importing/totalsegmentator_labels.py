"""The labels of TotalSegmentator's task "total": five networks, 117 structures, their codes and colours.

References
----------
TotalSegmentator 2.18.0 (Wasserthal et al., Radiology: Artificial Intelligence 2023; Apache-2.0): ``class_map_5_parts``,
``class_map["total"]`` and ``map_taskid_to_partname_ct`` of ``map_to_binary.py`` for networks, order and names,
``resources/totalsegmentator_snomed_mapping.csv`` for codes, sides and colours. One misspelt meaning ("Gluteus minius")
is put right, and the category is PS3.16's "Anatomical Structure", 91723000, for 123037004 there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core.model_config import Code
from segmentation.importing.snomed_codes import ABNORMAL, ANATOMY, LEFT, RIGHT

_SIDES = {"": None, "L": LEFT, "R": RIGHT}
_CYST = "367643001"


@dataclass(frozen=True)
class Structure:
    """One structure; ``value`` is its label among all 117, ``own`` its label in the output of its network."""

    value: int
    own: int
    name: str
    category: Code
    type: Code
    laterality: Code | None
    colour: tuple[int, int, int]


# For each data set, in the order of its network's values: name, SNOMED CT code and meaning, side, colour.
_TABLE: Mapping[int, tuple[tuple[str, str, str, str, str], ...]] = {
    291: (
        ("spleen", "78961009", "Spleen", "", "32aa3c"),
        ("kidney_right", "64033007", "Kidney", "R", "226688"),
        ("kidney_left", "64033007", "Kidney", "L", "2e8ab8"),
        ("gallbladder", "28231008", "Gallbladder", "", "36d877"),
        ("liver", "10200004", "Liver", "", "288c28"),
        ("stomach", "69695003", "Stomach", "", "b446a0"),
        ("pancreas", "15776009", "Pancreas", "", "3c9650"),
        ("adrenal_gland_right", "23451007", "Adrenal gland", "R", "b2801a"),
        ("adrenal_gland_left", "23451007", "Adrenal gland", "L", "f1ac22"),
        ("lung_upper_lobe_left", "45653009", "Upper lobe of lung", "L", "47e8f4"),
        ("lung_lower_lobe_left", "90572001", "Lower lobe of lung", "L", "22c3cf"),
        ("lung_upper_lobe_right", "45653009", "Upper lobe of lung", "R", "64dae3"),
        ("lung_middle_lobe_right", "72481006", "Middle lobe of right lung", "", "3fb5be"),
        ("lung_lower_lobe_right", "90572001", "Lower lobe of lung", "R", "1a9099"),
        ("esophagus", "32849002", "Esophagus", "", "be5aaa"),
        ("trachea", "44567001", "Trachea", "", "00b4c8"),
        ("thyroid_gland", "69748006", "Thyroid gland", "", "fad23c"),
        ("small_bowel", "30315005", "Small Intestine", "", "a03cb4"),
        ("duodenum", "38848004", "Duodenum", "", "aa50be"),
        ("colon", "71854001", "Colon", "", "9628aa"),
        ("urinary_bladder", "89837001", "Urinary bladder", "", "365ed8"),
        ("prostate", "41216001", "Prostate", "", "5bfd9c"),
        ("kidney_cyst_left", "367643001", "Cyst", "L", "53afdd"),
        ("kidney_cyst_right", "367643001", "Cyst", "R", "478bad"),
    ),
    292: (
        ("sacrum", "54735007", "Sacrum", "", "64d836"),
        ("vertebrae_S1", "65985001", "S1 vertebra", "", "cdb491"),
        ("vertebrae_L5", "49668003", "L5 vertebra", "", "89704d"),
        ("vertebrae_L4", "11994002", "L4 vertebra", "", "644b28"),
        ("vertebrae_L3", "36470004", "L3 vertebra", "", "3f2603"),
        ("vertebrae_L2", "14293000", "L2 vertebra", "", "1a01de"),
        ("vertebrae_L1", "66794005", "L1 vertebra", "", "f5dcb9"),
        ("vertebrae_T12", "23215003", "T12 vertebra", "", "452c09"),
        ("vertebrae_T11", "12989004", "T11 vertebra", "", "2007e4"),
        ("vertebrae_T10", "7610001", "T10 vertebra", "", "fbe2bf"),
        ("vertebrae_T9", "82687006", "T9 vertebra", "", "d6bd9a"),
        ("vertebrae_T8", "11068009", "T8 vertebra", "", "b19875"),
        ("vertebrae_T7", "62487009", "T7 vertebra", "", "8c7350"),
        ("vertebrae_T6", "45296009", "T6 vertebra", "", "674e2b"),
        ("vertebrae_T5", "56401006", "T5 vertebra", "", "422906"),
        ("vertebrae_T4", "73071006", "T4 vertebra", "", "1d04e1"),
        ("vertebrae_T3", "1626008", "T3 vertebra", "", "f8dfbc"),
        ("vertebrae_T2", "53733008", "T2 vertebra", "", "d3ba97"),
        ("vertebrae_T1", "64864005", "T1 vertebra", "", "ae9572"),
        ("vertebrae_C7", "87391001", "C7 vertebra", "", "d0b794"),
        ("vertebrae_C6", "36054005", "C6 vertebra", "", "ab926f"),
        ("vertebrae_C5", "36978003", "C5 vertebra", "", "866d4a"),
        ("vertebrae_C4", "5329002", "C4 vertebra", "", "614825"),
        ("vertebrae_C3", "113205007", "C3 vertebra", "", "3c2300"),
        ("vertebrae_C2", "39976000", "C2 vertebra", "", "17fedb"),
        ("vertebrae_C1", "14806007", "C1 vertebra", "", "f2d9b6"),
    ),
    293: (
        ("heart", "80891009", "Heart", "", "b40028"),
        ("aorta", "15825003", "Aorta", "", "d86c36"),
        ("pulmonary_vein", "122972007", "Pulmonary vein", "", "256bed"),
        ("brachiocephalic_trunk", "12691009", "Brachiocephalic artery", "", "be0a0a"),
        ("subclavian_artery_right", "29700009", "Subclavian artery", "R", "a21a1a"),
        ("subclavian_artery_left", "29700009", "Subclavian artery", "L", "da2222"),
        ("common_carotid_artery_right", "32062004", "Common carotid artery", "R", "aa1111"),
        ("common_carotid_artery_left", "32062004", "Common carotid artery", "L", "e61717"),
        ("brachiocephalic_vein_left", "8887007", "Brachiocephalic vein", "L", "005cf1"),
        ("brachiocephalic_vein_right", "8887007", "Brachiocephalic vein", "R", "0044b2"),
        ("atrial_appendage_left", "68786006", "Auricular appendage", "L", "44f83e"),
        ("superior_vena_cava", "48345005", "Superior vena cava", "", "4a9012"),
        ("inferior_vena_cava", "64131007", "Inferior vena cava", "", "0046c8"),
        ("portal_vein_and_splenic_vein", "110765007", "Portal vein and splenic vein", "", "005adc"),
        ("iliac_artery_left", "73634005", "Common iliac artery", "L", "da0000"),
        ("iliac_artery_right", "73634005", "Common iliac artery", "R", "a20000"),
        ("iliac_vena_left", "46027005", "Common iliac vein", "L", "005ce6"),
        ("iliac_vena_right", "46027005", "Common iliac vein", "R", "0044aa"),
    ),
    294: (
        ("humerus_left", "85050009", "Humerus", "L", "473ef8"),
        ("humerus_right", "85050009", "Humerus", "R", "732eb8"),
        ("scapula_left", "79601000", "Scapula", "L", "fde6c3"),
        ("scapula_right", "79601000", "Scapula", "R", "bbaa90"),
        ("clavicula_left", "51299004", "Clavicle", "L", "ffecc9"),
        ("clavicula_right", "51299004", "Clavicle", "R", "bfae95"),
        ("femur_left", "71341001", "Femur", "L", "f8d43e"),
        ("femur_right", "71341001", "Femur", "R", "2eb83c"),
        ("hip_left", "29836001", "Hip", "L", "e6f83e"),
        ("hip_right", "29836001", "Hip", "R", "b82eb8"),
        ("spinal_cord", "2748008", "Spinal cord", "", "ffd700"),
        ("gluteus_maximus_left", "181674001", "Gluteus maximus muscle", "L", "fd7322"),
        ("gluteus_maximus_right", "181674001", "Gluteus maximus muscle", "R", "bb551a"),
        ("gluteus_medius_left", "78333006", "Gluteus medius muscle", "L", "ff7e2e"),
        ("gluteus_medius_right", "78333006", "Gluteus medius muscle", "R", "c45e22"),
        ("gluteus_minimus_left", "75297007", "Gluteus minimus muscle", "L", "ff8a39"),
        ("gluteus_minimus_right", "75297007", "Gluteus minimus muscle", "R", "cc662a"),
        ("autochthon_left", "244849004", "Deep muscle of back", "L", "f17e39"),
        ("autochthon_right", "244849004", "Deep muscle of back", "R", "b25e2a"),
        ("iliopsoas_left", "68455001", "Iliopsoas muscle", "L", "e6732e"),
        ("iliopsoas_right", "68455001", "Iliopsoas muscle", "R", "aa5522"),
        ("brain", "12738006", "Brain", "", "d83695"),
        ("skull", "89546000", "Skull", "", "f5e1c8"),
    ),
    295: (
        ("rib_left_1", "48535007", "First rib", "L", "d636d8"),
        ("rib_left_2", "78247007", "Second rib", "L", "b536d8"),
        ("rib_left_3", "25888004", "Third rib", "L", "d836a2"),
        ("rib_left_4", "25523003", "Fourth rib", "L", "3679d8"),
        ("rib_left_5", "15339008", "Fifth rib", "L", "36d892"),
        ("rib_left_6", "59558009", "Sixth rib", "L", "79d836"),
        ("rib_left_7", "24915002", "Seventh rib", "L", "9536d8"),
        ("rib_left_8", "5953002", "Eighth rib", "L", "d85136"),
        ("rib_left_9", "22565002", "Ninth rib", "L", "d836a7"),
        ("rib_left_10", "77644006", "Tenth rib", "L", "3692d8"),
        ("rib_left_11", "58830002", "Eleventh rib", "L", "9efd5b"),
        ("rib_left_12", "43993008", "Twelfth rib", "L", "d83656"),
        ("rib_right_1", "48535007", "First rib", "R", "5b9efd"),
        ("rib_right_2", "78247007", "Second rib", "R", "d3d836"),
        ("rib_right_3", "25888004", "Third rib", "R", "d8363b"),
        ("rib_right_4", "25523003", "Fourth rib", "R", "d83643"),
        ("rib_right_5", "15339008", "Fifth rib", "R", "9dd836"),
        ("rib_right_6", "59558009", "Sixth rib", "R", "d836bd"),
        ("rib_right_7", "24915002", "Seventh rib", "R", "d83684"),
        ("rib_right_8", "5953002", "Eighth rib", "R", "d8cb36"),
        ("rib_right_9", "22565002", "Ninth rib", "R", "d8c536"),
        ("rib_right_10", "77644006", "Tenth rib", "R", "d89f36"),
        ("rib_right_11", "58830002", "Eleventh rib", "R", "3687d8"),
        ("rib_right_12", "43993008", "Twelfth rib", "R", "b5d836"),
        ("sternum", "56873002", "Sternum", "", "d7c3a5"),
        ("costal_cartilages", "50016007", "Costal cartilage", "", "fadcbe"),
    ),
}


def _structures() -> dict[int, tuple[Structure, ...]]:
    found: dict[int, tuple[Structure, ...]] = {}
    before = 0
    for dataset, rows in _TABLE.items():
        found[dataset] = tuple(
            Structure(
                value=before + own,
                own=own,
                name=name,
                category=ABNORMAL if code == _CYST else ANATOMY,
                type=Code(value=code, scheme="SCT", meaning=meaning),
                laterality=_SIDES[side],
                colour=(int(colour[:2], 16), int(colour[2:4], 16), int(colour[4:], 16)),
            )
            for own, (name, code, meaning, side, colour) in enumerate(rows, start=1)
        )
        before += len(rows)
    return found


STRUCTURES: Mapping[int, tuple[Structure, ...]] = _structures()
"""Structures by number of the data set whose network finds them. The networks run and overwrite in this order."""
