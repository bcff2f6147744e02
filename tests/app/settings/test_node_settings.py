"""``node.yaml``: what is read, and what a person is told who got it wrong."""

import re
from pathlib import Path

import pytest
import yaml

from app.settings.destination import Retry
from app.settings.node import load_settings
from app.settings.route import Route, Rules
from app.workflow.routing import matching_routes
from core.errors import ConfigInvalid
from dicom_io.images.headers.facts import SeriesFacts

EXAMPLE = Path(__file__).parents[3] / "manifests" / "node.example.yaml"


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
    assert settings.models is None  # those that came along, whatever folder it was copied to
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
        "quiet_seconds",
        "peers",
        "routes",
        "destinations",
    }
    assert set(content["routes"][0]) == {"called_ae", "rules", "models", "destinations"}
    assert set(content["destinations"]["pacs"]) == {"kind", "ae_title", "host", "port"}


def test_a_key_that_is_given_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = changed(tmp_path, "ae_title: SEGNODE", "ae_title: SEGNODE\nae_title: OTHER")
    lines = path.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if text.startswith("ae_title: OTHER"))
    with pytest.raises(ConfigInvalid) as told:
        load_settings(path)
    twice = f"the key ae_title is given twice, first on line {line - 1}; delete one"
    assert str(told.value).startswith(f"{path}:{line}: not YAML: {twice}; give a file like ")


@pytest.mark.parametrize(
    ("old", "new", "at", "key", "remedy"),
    [
        ("port: 11112", "port: 111120", "port: 111120", "port", "less than or equal to 65535"),
        ("quiet_seconds: 60", "quiet_second: 60", "quiet_second: 60", "quiet_second", "did you mean quiet_seconds?"),
        ("quiet_seconds: 60", "quiet_seconds: 0", "quiet_seconds: 0", "quiet_seconds", "greater than 0"),
        ("    kind: dicom", "    kind: ftp", "kind: ftp", "destinations.pacs.kind", "'dicom'"),
        ("    port: 4242", "    prt: 4242", "  pacs:", "destinations.pacs.port", "add it"),
        (
            "modality: [CT]",
            "modality: [CT]\n      body_part: ['(']",
            "body_part: ['(']",
            "routes.0.rules.body_part.0",
            "expression",
        ),
        ("ae_title: SEGNODE", "ae_title: LONGER_THAN_SIXTEEN", "ae_title: LONGER", "ae_title", "1 to 16"),
        ("  pacs:\n", "  ../pacs:\n", "../pacs:", "destinations.../pacs", "pattern"),
        (
            "destinations: [pacs]",
            "destinations: [vna]",
            "destinations: [vna]",
            "routes.0.destinations.0",
            "not below destinations: pacs",
        ),
        (
            "models: [demo]",
            "models: [demo]\n    complete_when: {counted_by: vna}",
            "counted_by: vna",
            "routes.0.complete_when.counted_by",
            "vna is not below destinations with kind: dicom",
        ),
        (
            "models: [demo]",
            "models: [demo]\n    complete_when: {images_in: PatientID}",
            "images_in: PatientID",
            "routes.0.complete_when.images_in",
            "ImagesInAcquisition",
        ),
        (
            "database: workflow.sqlite",
            "database: mysql://host/x",
            "database: mysql",
            "database",
            "neither sqlite nor postgresql",
        ),
    ],
)
def test_an_error_names_file_line_key_and_remedy(
    tmp_path: Path, old: str, new: str, at: str, key: str, remedy: str
) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(ConfigInvalid) as caught:
        load_settings(path)
    message = next(text for text in str(caught.value).splitlines() if f": {key}: " in text)
    line = int(message.removeprefix(f"{path}:").split(":")[0])
    assert message.startswith(f"{path}:{line}: {key}: ")
    assert at in path.read_text().splitlines()[line - 1]
    assert remedy in message


@pytest.mark.parametrize("text", ["", "- a list", "a: [", "\tx"])
def test_file_without_settings_is_reported(tmp_path: Path, text: str) -> None:
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


WEB = "kind: dicomweb\n    url: https://pacs.example/dicom-web"


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        (WEB.replace("https", "ftp"), "destinations.web.url", "without /studies"),
        (WEB.replace("//", "//user:word@"), "destinations.web.url", "token_file"),
        (WEB.replace("https", "http") + "\n    token_env: TOKEN", "destinations.web", "https only"),
        (WEB + "\n    token_env: TOKEN\n    token_file: t", "destinations.web", "either"),
        (WEB + "\n    ae_title: A", "destinations.web.ae_title", "remove it"),
        (WEB + "\n    tls: {key: k.pem}", "destinations.web.tls", "go together"),
        (WEB + "\n    retry: {longest_second: 3}", "destinations.web.retry.longest_second", "longest_seconds?"),
    ],
)
def test_faults_of_a_web_destination_are_named(tmp_path: Path, text: str, key: str, remedy: str) -> None:
    path = changed(tmp_path, "  pacs:\n", f"  web:\n    {text}\n  pacs:\n")
    with pytest.raises(ConfigInvalid) as caught:
        load_settings(path)
    assert f": {key}: " in str(caught.value)
    assert remedy in str(caught.value)


def test_waits_grow_to_hours_and_end() -> None:
    retry = Retry(first_seconds=2, longest_seconds=7200, give_up_after_hours=72)
    waits = [retry.wait_s(attempt) for attempt in range(60)]
    assert waits[:3] == [2.0, 4.0, 8.0]
    assert waits == sorted(waits)
    assert waits[-1] == 7200
    last = next(attempt for attempt in range(1000) if retry.is_last(attempt))
    assert sum(waits[:last]) <= 72 * 3600 < sum(waits[: last + 1])


RECEPTION = """
peers:
  - {ae_title: CT1, addresses: [10.1.0.0/16], certificate: ct1}
tls: {certificate: node.pem, key: node.key, ca: ca.pem}
reception: {sop_classes: [CTImageStorage], transfer_syntaxes: [1.2.840.10008.1.2.1]}
limits: {associations: 7}
"""


def without_peers() -> str:
    """The example without its key ``peers``, which RECEPTION has."""
    text, count = re.subn(r"^peers:\n(?:  .*\n)+", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    assert count == 1
    return text


def test_reception_is_read_with_its_files_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(without_peers() + RECEPTION)
    settings = load_settings(path)
    assert settings.tls is not None
    assert settings.tls.key == tmp_path / "node.key"
    assert settings.reception.sop_classes == ("1.2.840.10008.5.1.4.1.1.2",)
    assert settings.limits.associations == 7
    (peer,) = settings.allowed_peers or ()
    assert peer.ae_title == "CT1"


@pytest.mark.parametrize(
    ("old", "new", "key", "remedy"),
    [
        ("10.1.0.0/16", "10.1.0.0/33", "peers.0.addresses.0", "10.1.0.0/16"),
        (", certificate: ct1", "", "peers.0", "certificate"),
        ("tls: {certificate: node.pem, key: node.key, ca: ca.pem}", "", "peers.0.certificate", "without tls"),
        ("CTImageStorage", "CTStorage", "reception.sop_classes.0", "keyword"),
        ("1.2.840.10008.1.2.1]", "CTImageStorage]", "reception.transfer_syntaxes.0", "transfer syntax"),
        ("associations: 7", "association: 7", "limits.association", "did you mean associations?"),
    ],
)
def test_wrong_reception_is_named_with_its_remedy(tmp_path: Path, old: str, new: str, key: str, remedy: str) -> None:
    assert old in RECEPTION
    path = tmp_path / "node.yaml"
    path.write_text(without_peers() + RECEPTION.replace(old, new, 1))
    with pytest.raises(ConfigInvalid) as caught:
        load_settings(path)
    assert key in str(caught.value)
    assert remedy in str(caught.value)
