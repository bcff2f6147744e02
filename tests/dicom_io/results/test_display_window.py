"""The window in which each label is looked at."""

import pytest

from core.model_config import Code, LabelSpec
from dicom_io.results.display_window import BONE, LUNG, SOFT_TISSUE, DisplayWindow, window_of


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("lung", LUNG),
        ("lung_upper_lobe_left", LUNG),
        ("Left lung", LUNG),
        ("trachea", LUNG),
        ("lung_tumor", LUNG),
        ("lung_vessels", SOFT_TISSUE),
        ("pulmonary_vein", SOFT_TISSUE),
        ("bone", BONE),
        ("vertebrae_L1", BONE),
        ("rib_left_4", BONE),
        ("hip_right", BONE),
        ("costal_cartilages", SOFT_TISSUE),
        ("body", SOFT_TISSUE),
        ("portal_vein_and_splenic_vein", SOFT_TISSUE),
        ("caribou", SOFT_TISSUE),
        ("spinal_cord", SOFT_TISSUE),
    ],
)
def test_a_label_is_looked_at_in_the_window_that_its_name_asks_for(name: str, window: DisplayWindow) -> None:
    assert window_of(LabelSpec(value=1, name=name)) == window


def test_the_coded_meaning_counts_where_the_name_says_nothing() -> None:
    lung = Code(value="39607008", scheme="SCT", meaning="Lung")
    assert window_of(LabelSpec(value=1, name="Pulmo", type=lung)) == LUNG
