"""The labels table: names of TG-263 and local ones, and what is refused before a case is read."""

from pathlib import Path

import pytest

from core.errors import ConfigInvalid
from training.datasets.table import LabelTable, TableLabel, read_table, table_of_dataset_json, write_table

TABLE = LabelTable(
    labels=(
        TableLabel(value=1, name="kidney_right", names=("Kidney_R", "Niere re"), patterns=("r(ight)? kidney [0-9]+",)),
        TableLabel(value=2, name="lungs", names=("Lungs",)),
    ),
    unused=("PTV.*",),
)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Kidney_R", "kidney_right"),
        ("KIDNEY R", "kidney_right"),
        (" niere_re ", "kidney_right"),
        ("Right Kidney 2", "kidney_right"),
        ("r kidney 12", "kidney_right"),
        ("kidney_right", "kidney_right"),
        ("Kidney_L", None),
        ("Kidney_R_PRV05", None),
        ("Right Kidney 2 old", None),
        ("Lungs-GTV", None),
        ("Lungs~", None),
        ("zLungs", None),
    ],
)
def test_names_become_labels_by_the_whole_name(name: str, label: str | None) -> None:
    found = TABLE.label_of(name)
    assert (found.name if found else None) == label


def test_unused_names_are_known() -> None:
    assert TABLE.is_unused("ptv_60")
    assert not TABLE.is_unused("CTV to PTV")


def test_name_of_two_labels_is_refused() -> None:
    table = LabelTable(
        labels=(TableLabel(value=1, name="a", patterns=("x.*",)), TableLabel(value=2, name="b", names=("x1",)))
    )
    with pytest.raises(ConfigInvalid, match="a and b"):
        table.label_of("X1")


def test_table_is_read_as_written(tmp_path: Path) -> None:
    write_table(tmp_path / "labels.yaml", TABLE)
    assert read_table(tmp_path / "labels.yaml") == TABLE


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("labels: [{value: 2, name: liver}]", "labels.0.value"),
        ("labels: [{value: 1, name: background}]", "labels.0.name"),
        ("labels: [{value: 1, name: a}, {value: 2, name: a}]", "labels.1.name"),
        ("labels: [{value: 1, name: a, values: [0]}]", "labels.0.values"),
        ("labels: [{value: 1, name: a, values: [2, 3]}, {value: 2, name: b}]", "labels.1: the value 2"),
        ("labels: [{value: 1, name: a, patterns: ['(']}]", "labels.0.patterns.0"),
        ("labels: [{value: 1, name: a}]\noverlaps: [b]", "overlaps.0"),
        ("labels: [{value: 1, name: a}]\nregions: [{name: r, labels: [b], value: 1}]", "regions.0.labels"),
        ("labels: [{value: 1, name: a}]\nlables: []", "lables"),
        ("labels: []", "labels"),
        ("- a", "no keys"),
        ("labels: [", "not YAML"),
    ],
)
def test_faulty_table_is_refused_with_its_line(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigInvalid) as refused:
        read_table(path)
    assert problem in str(refused.value)
    assert str(path) in str(refused.value)


def test_decathlons_labels_stand_by_their_values() -> None:
    content = {"labels": {"0": "background", "2": "cancer", "1": "liver"}, "modality": {"0": "CT"}}
    table = table_of_dataset_json(content, "dataset.json")
    assert [(label.value, label.name) for label in table.labels] == [(1, "liver"), (2, "cancer")]
    assert table.channels[0].unit == "HU"


def test_labels_with_gaps_are_numbered_anew() -> None:
    content = {"labels": {"background": 0, "liver": 3, "spleen": 7}, "channel_names": {"0": "T2w"}}
    table = table_of_dataset_json(content, "dataset.json")
    assert table.value_map() == {0: 0, 3: 1, 7: 2}
    assert table.channels[0].unit is None


@pytest.mark.parametrize("content", [{}, {"labels": {"a": 1}}, {"labels": [1], "channel_names": {"0": "CT"}}])
def test_dataset_json_without_labels_or_channels_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ConfigInvalid):
        table_of_dataset_json(content, "dataset.json")


@pytest.mark.parametrize(("order", "problem"), [([1], "has 1 entries"), ([1, 4], "names 4, which is the value of no")])
def test_order_of_regions_that_does_not_fit_is_refused(order: list[int], problem: str) -> None:
    labels = {"background": 0, "whole": [1, 2], "core": [2]}
    content = {"labels": labels, "channel_names": {"0": "T2w"}, "regions_class_order": order}
    with pytest.raises(ConfigInvalid, match=problem):
        table_of_dataset_json(content, "dataset.json")
