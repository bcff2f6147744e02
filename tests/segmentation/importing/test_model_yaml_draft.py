"""The template of ``model.yaml`` is valid whatever texts the data set's author wrote."""

import re
from pathlib import Path
from typing import Any

import yaml

from core.dicom_text import LONGEST
from core.model_config import Output
from segmentation.importing.add import add_package
from segmentation.package.package import Package
from tests.support.trained_folders import edit_json


def test_texts_of_the_data_set_are_made_to_fit_dicom(results: Path, tmp_path: Path) -> None:
    def change(dataset: dict[str, Any]) -> None:
        dataset["labels"] = {"background": 0, "one\\two\nthree\x7f": 1, "x" * 70: 2, "x" * 71: 3}
        dataset["description"] = "line\nname: evil \ud800 \x7f"
        dataset["file_ending"] = ".nii\nname: evil"

    edit_json(results / "dataset.json", change)
    config = add_package(results, "tiny", tmp_path / "models").config
    assert config.name == "tiny"
    names = [label.name for label in config.labels]
    assert names == ["one two three", "x" * 64, "x" * 62 + " 3"]
    assert config.content_description == "line name: evil"


def test_a_label_without_a_usable_name_is_numbered(results: Path, tmp_path: Path) -> None:
    labels = {"background": 0, "\\": 1, "a": 2, "a ": 3}
    edit_json(results / "dataset.json", lambda dataset: dataset.update({"labels": labels}))
    config = add_package(results, "tiny", tmp_path / "models").config
    assert [label.name for label in config.labels] == ["label 1", "a", "a 3"]
    assert all(len(label.name) <= LONGEST for label in config.labels)


def test_every_setting_of_the_output_is_shown_with_its_default(package: Package) -> None:
    text = (package.folder / "model.yaml").read_text()
    written = yaml.safe_load(text)["output"]
    commented = set(re.findall(r"^  # (\w+): ", text, re.MULTILINE))
    assert set(written) | commented == set(Output.model_fields)
    assert Output.model_validate(written) == Output()
    assert all("#" in line for line in text[text.index("output:\n") :].splitlines()[1:])
