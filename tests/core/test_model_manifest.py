from pathlib import Path

import pytest

from core.errors import PackageInvalid
from core.model_manifest import KeepLargest, load_model_manifest

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


def write(folder: Path, text: str) -> Path:
    path = folder / "model.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_manifest_is_read(tmp_path: Path) -> None:
    manifest = load_model_manifest(write(tmp_path, GOOD))
    assert manifest.name == "kidneys"
    assert manifest.postprocessing == (KeepLargest(step="keep_largest", labels=(1,)),)
    rule = manifest.channels[0].series
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
        ("labels: [1]}", "labels: [9]}", 1, "no label has the value [9]"),
        ("name: kidney_right", "name: kidney_left", 1, "share a value or a name"),
    ],
)
def test_an_error_names_file_line_key_and_reason(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(PackageInvalid) as caught:
        load_model_manifest(path)
    assert f"{path}:{line}:" in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a list", "schema: [", "!!python/object/apply:os.system [true]"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PackageInvalid):
        load_model_manifest(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackageInvalid, match=r"model\.yaml"):
        load_model_manifest(tmp_path / "model.yaml")
