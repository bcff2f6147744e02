"""``node.yaml``: what is read, and what a person is told who got it wrong."""

from pathlib import Path

import pytest
import yaml

from app.routing import matching_routes
from app.settings import Route, Rules, load_settings
from core.errors import ConfigInvalid
from dicom_io.facts import SeriesFacts

EXAMPLE = Path(__file__).parents[2] / "manifests" / "node.example.yaml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The example with one text replaced."""
    text = EXAMPLE.read_text()
    assert old in text
    path = tmp_path / "node.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_the_example_is_valid_and_its_paths_are_beside_it() -> None:
    settings = load_settings(EXAMPLE)
    assert settings.spool == EXAMPLE.parent / "spool"
    assert settings.models == EXAMPLE.parent / "models"
    assert settings.database == f"sqlite:///{EXAMPLE.parent / 'workflow.sqlite'}"
    assert settings.called_aes == {"SEGNODE"}
    assert settings.destinations["pacs"].port == 4242
    assert settings.routes[0].rules.modality == ("CT",)


def test_the_example_names_every_key() -> None:
    content = yaml.safe_load(EXAMPLE.read_text())
    assert set(content) == {
        "ae_title",
        "host",
        "port",
        "spool",
        "database",
        "models",
        "quiet_seconds",
        "routes",
        "destinations",
    }
    assert set(content["routes"][0]) == {"called_ae", "rules", "models", "destinations"}
    assert set(content["destinations"]["pacs"]) == {"kind", "ae_title", "host", "port"}


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "remedy"),
    [
        ("port: 11112", "port: 111120", 6, "port", "less than or equal to 65535"),
        ("quiet_seconds: 60", "quiet_second: 60", 11, "quiet_second", "did you mean quiet_seconds?"),
        ("quiet_seconds: 60", "quiet_seconds: 0", 11, "quiet_seconds", "greater than 0"),
        ("    kind: dicom", "    kind: ftp", 27, "destinations.pacs.kind", "'dicom'"),
        ("    port: 4242", "    prt: 4242", 26, "destinations.pacs.port", "add it"),
        ("modality: [CT]", "modality: [CT]\n      body_part: ['(']", 19, "routes.0.rules.body_part.0", "expression"),
        ("ae_title: SEGNODE", "ae_title: LONGER_THAN_SIXTEEN", 4, "ae_title", "1 to 16"),
        ("  pacs:\n", "  ../pacs:\n", 26, "destinations.../pacs", "pattern"),
        ("destinations: [pacs]", "destinations: [vna]", 23, "routes.0.destinations.0", "not below destinations: pacs"),
        ("database: workflow.sqlite", "database: mysql://host/x", 9, "database", "neither sqlite nor postgresql"),
    ],
)
def test_an_error_names_file_line_key_and_remedy(
    tmp_path: Path, old: str, new: str, line: int, key: str, remedy: str
) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(ConfigInvalid) as caught:
        load_settings(path)
    message = next(text for text in str(caught.value).splitlines() if f": {key}: " in text)
    assert message.startswith(f"{path}:{line}: {key}: ")
    assert remedy in message


@pytest.mark.parametrize("text", ["", "- a list", "a: [", "\tx"])
def test_what_is_no_settings_file_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(text)
    with pytest.raises(ConfigInvalid, match=r"node\.yaml"):
        load_settings(path)


def test_a_missing_file_points_to_the_example(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"node\.example\.yaml"):
        load_settings(tmp_path / "none.yaml")


def test_a_postgresql_url_is_kept(tmp_path: Path) -> None:
    path = changed(tmp_path, "database: workflow.sqlite", "database: postgresql://user@host/name")
    assert load_settings(path).database == "postgresql://user@host/name"


CT = SeriesFacts("CT", "ABDOMEN", "CT Abdomen", "portal venous 1.5")
MR = SeriesFacts("MR", "", "MR Head", "T1")


@pytest.mark.parametrize(
    ("rules", "takes_ct", "takes_mr"),
    [
        (Rules(), True, True),
        (Rules(modality=("CT",)), True, False),
        (Rules(body_part=("abdomen",)), True, True),
        (Rules(body_part=("head",)), False, True),
        (Rules(study_description=("abd", "head")), True, True),
        (Rules(series_description=("^T1$",)), False, True),
        (Rules(modality=("CT",), series_description=("T1",)), False, False),
    ],
)
def test_rules(rules: Rules, takes_ct: bool, takes_mr: bool) -> None:
    route = Route(called_ae="LIVER", rules=rules, models=("a",), destinations=("pacs",))
    assert bool(matching_routes([route], "LIVER", [CT])) is takes_ct
    assert bool(matching_routes([route], "LIVER", [MR])) is takes_mr
    assert matching_routes([route], "OTHER", [CT, MR]) == []


def test_all_conditions_about_series_must_hold_for_one_series() -> None:
    rules = Rules(modality=("CT",), series_description=("T1",))
    route = Route(called_ae="LIVER", rules=rules, models=("a",), destinations=("pacs",))
    assert matching_routes([route], "LIVER", [CT, MR]) == []
