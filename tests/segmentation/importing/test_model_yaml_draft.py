"""The template of ``model.yaml`` is valid whatever texts the data set's author wrote."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.dicom_text import LONGEST
from core.model_config import Output, parse_model_config
from segmentation.importing.add import add_package
from segmentation.importing.model_yaml_draft import _channels
from segmentation.package.network_spec import PackageManifest
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


def test_a_new_package_takes_every_geometry_once_a_person_agrees(package: Package) -> None:
    text = (package.folder / "model.yaml").read_text()
    assert package.config.geometry == "any"
    (question,) = [one for one in package.questions if one.key == "geometry"]
    for words in ("`any` also takes series under a tilted gantry", "`regular` refuses them", "docs/geometry.md"):
        assert words in question.text
    without = "".join(line for line in text.splitlines(True) if not line.startswith("geometry:"))
    assert parse_model_config(without.encode(), Path("model.yaml")).geometry == "regular"


@pytest.mark.parametrize(
    ("name", "scheme", "modality", "is_decided"),
    [
        ("CT", "CTNormalization", "CT", True),
        ("ct_venous", "ZScoreNormalization", "CT", True),
        ("PET", "CTNormalization", "PT", True),
        ("SUV", "ZScoreNormalization", "PT", True),
        ("FDG_PET", "NoNormalization", "PT", True),
        ("PET-CT", "CTNormalization", "PT", False),
        ("T2", "ZScoreNormalization", "MR", True),
        ("T2", "CTNormalization", "MR", False),
        ("image", "CTNormalization", "CT", False),
        ("image", "ZScoreNormalization", "MR", False),
    ],
)
def test_a_channel_gets_its_modality_by_its_name_first(
    name: str, scheme: str, modality: str, is_decided: bool, package: Package
) -> None:
    lines = _channels(_with_channel(package.manifest, name, scheme), {})
    written = yaml.safe_load("\n".join(lines))["channels"][0]
    assert written["series"]["modality"] == [modality]
    (line,) = [line for line in lines if "modality: " in line]
    assert ("DECIDE" not in line) == is_decided
    # The unit of PET is a decision whatever its name: no file of nnU-Net states it.
    units = [line for line in lines if line.strip().startswith("unit: ")]
    assert [written.get("unit"), *("DECIDE" in line for line in units)] == (
        ["SUVbw", True] if modality == "PT" else [None]
    )


def _with_channel(network: PackageManifest, name: str, scheme: str) -> PackageManifest:
    configurations = tuple(
        one.model_copy(update={"normalisation": (one.normalisation[0].model_copy(update={"scheme": scheme}),)})
        for one in network.configurations
    )
    return network.model_copy(update={"channels": (name,), "configurations": configurations})
