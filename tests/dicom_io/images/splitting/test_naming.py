"""The keys of ``volume``: one for each attribute that is read, each with a row in the documentation."""

import re
from pathlib import Path

import pytest

from core.model_config import VolumeRule
from dicom_io.images.grid.frame_attributes import ATTRIBUTES
from dicom_io.images.splitting.naming import unmet_volume, volume_keys, words_of

PAGE = Path(__file__).parents[4] / "docs" / "kinds" / "volumes.md"


def test_each_key_of_a_rule_is_read_and_each_attribute_has_its_key() -> None:
    assert set(volume_keys()) == set(VolumeRule.model_fields)
    assert {attribute.key for attribute in ATTRIBUTES if attribute.is_named} <= set(volume_keys())


def test_each_key_has_a_row_in_the_documentation() -> None:
    rows = [row.split("|")[1] for row in PAGE.read_text(encoding="utf-8").splitlines() if row.startswith("| `")]
    assert {key for row in rows for key in re.findall(r"`(\w+)`", row)} == set(VolumeRule.model_fields)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"b_value": 800}, "b-value 800 s/mm²"),
        ({"echo": 2, "image_type": ("M", "ND")}, "echo 2, image type M ND"),
        ({"direction": (0.0, 0.5, 0.866)}, "direction 0 0.5 0.866"),
        ({"pixel_spacing": (0.7, 0.7)}, "pixel spacing 0.7 0.7 mm"),
    ],
)
def test_words_state_the_unit(named: dict[str, object], words: str) -> None:
    assert words_of(named) == words


def test_a_key_that_is_not_met_is_told_with_the_value_found() -> None:
    values = dict.fromkeys(volume_keys()) | {"echo_time": 4.6, "echo": 2}
    assert unmet_volume(VolumeRule(echo=1, echo_time=2.3, kernel="B30f"), values) == [
        "echo is 2, not 1",
        "echo time is 4.6 ms, not 2.3 ms",
        "kernel is not stated, not B30f",
    ]
