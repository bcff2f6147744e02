import re
from pathlib import Path

import pytest

from core.errors import PackageInvalid
from core.model_config import KeepLargest, ModelConfig, parse_model_config

GOOD = """\
schema: 1
name: kidneys
orientation: acquired
channels:
  - name: CT
    series:
      modality: [CT]
      slice_spacing: {max: 5}
labels:
  - {value: 1, name: kidney_left, colour: [200, 30, 30]}
  - {value: 2, name: kidney_right}
postprocessing:
  - {step: keep_largest, labels: [1]}
"""


PATH = Path("model.yaml")


def parse(text: str) -> ModelConfig:
    return parse_model_config(text.encode(), PATH)


def test_a_good_manifest_is_read() -> None:
    config = parse(GOOD)
    assert config.name == "kidneys"
    assert config.postprocessing == (KeepLargest(step="keep_largest", labels=(1,)),)
    rule = config.channels[0].series
    assert rule.slice_spacing is not None
    assert 5.0 in rule.slice_spacing
    assert 5.1 not in rule.slice_spacing


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("name: kidneys", "name: ../kidneys", 2, "name"),
        ("orientation: acquired", "orientation: LAS", 3, "orientation"),
        ("modality: [CT]", "modality: []", 7, "modality"),
        ("slice_spacing: {max: 5}", 'description: ["(abdomen"]', 8, "regular expression"),
        ("kidney_right}", "kidney_right, color: [1, 2, 3]}", 11, "color"),
        ("colour: [200, 30, 30]", "colour: [200, 30, 300]", 10, "colour"),
        ("step: keep_largest", "step: keep_smallest", 13, "keep_smallest"),
        ("labels: [1]}", "labels: [9]}", 13, "no label has the value 9"),
        ("name: kidney_right", "name: kidney_left", 11, "an earlier label has the same name"),
        ("modality: [CT]", "modality: [ct]", 7, "channels.0.series.modality.0: DICOM writes a modality in capitals"),
        ("modality: [CT]", "modality: [CT]\n      modality: [MR]", 8, "modality is given twice, first on line 7"),
    ],
)
def test_an_error_names_file_line_key_and_reason(old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    with pytest.raises(PackageInvalid) as caught:
        parse(GOOD.replace(old, new))
    assert f"{PATH}:{line}:" in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a list",
        "schema: [",
        "!!python/object/apply:os.system [true]",
        "when: 2020-13-45",
        "[" * 5000,
        "name: \x07",
    ],
)
def test_content_that_is_not_a_manifest_is_refused(text: str) -> None:
    with pytest.raises(PackageInvalid, match=r"model\.yaml"):
        parse(text)


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(PackageInvalid, match=r"model\.yaml"):
        parse_model_config(b"name: \xff", PATH)


def test_labels_of_a_step_are_named_as_well_as_numbered() -> None:
    path = Path("model.yaml")
    text = (Path(__file__).parents[2] / "models" / "demo" / "model.yaml").read_text()
    steps = "\npostprocessing:\n  - {{step: keep_largest, labels: [{}]}}\n"
    text = re.sub(r"^postprocessing:.*\n(?:[ -].*\n)*", "", text, flags=re.MULTILINE)
    numbered, named = (parse_model_config((text + steps.format(one)).encode(), path) for one in ("3, 1", "bone, 1"))
    assert numbered == named
    with pytest.raises(PackageInvalid, match=r"labels\.0: no label is called bon; did you mean bone\?"):
        parse_model_config((text + steps.format("bon")).encode(), path)
