"""``SEGNODE_NODE__…``: keys of ``node.yaml`` from the environment, and what a person is told who got one wrong."""

from pathlib import Path

import pytest

from app.settings.destination import WebDestination
from app.settings.node import ENVIRONMENT, NodeSettings, load_settings
from core.errors import ConfigInvalid
from runtime.settings_environment import keys_from_environment

EXAMPLE = Path(__file__).parents[3] / "manifests" / "node.example.yaml"
SECRET = "hunter2-of-the-hospital"  # noqa: S105 - made up


def load(monkeypatch: pytest.MonkeyPatch, path: Path = EXAMPLE, **variables: str) -> NodeSettings:
    for name, value in variables.items():
        monkeypatch.setenv(ENVIRONMENT + name, value)
    return load_settings(path)


def told(monkeypatch: pytest.MonkeyPatch, path: Path = EXAMPLE, **variables: str) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load(monkeypatch, path, **variables)
    return str(caught.value)


def test_a_key_counts_more_than_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, PORT="11113", QUIET_SECONDS="2.5", AE_TITLE="123").port == 11113
    assert load(monkeypatch).quiet_seconds == 2.5
    assert load(monkeypatch).ae_title == "123"


def test_small_letters_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, port="11113").port == 11113


def test_nested_keys_leave_their_neighbours_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, RECEPTION__KEEP_FREE__GIB="7", DESTINATIONS__PACS__HOST="pacs.example")
    assert (settings.reception.keep_free.gib, settings.reception.keep_free.percent) == (7, 5)
    pacs = settings.destinations["pacs"]
    assert (pacs.host, pacs.port) == ("pacs.example", 4242)  # type: ignore[union-attr]  # of kind dicom


def test_a_persons_own_name_is_taken_as_the_file_spells_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(EXAMPLE.read_text().replace("  pacs:", "  Main_PACS:").replace("[pacs]", "[Main_PACS]"))
    settings = load(monkeypatch, path, DESTINATIONS__MAIN_PACS__PORT="104")
    assert {name: one.port for name, one in settings.destinations.items()} == {"Main_PACS": 104}  # type: ignore[union-attr]  # of kind dicom


def test_a_destination_may_come_whole_from_single_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, DESTINATIONS__VNA__KIND="dicomweb", DESTINATIONS__VNA__URL="https://vna.example/rs")
    assert settings.destinations["vna"] == WebDestination(kind="dicomweb", url="https://vna.example/rs")


def test_lists_and_maps_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = '[{"called_ae": "OTHER", "models": ["demo"], "destinations": ["pacs"]}]'
    settings = load(monkeypatch, ROUTES=routes, WORK='{"tries": 5}', WORK__STUDY_MINUTES="7", WORKERS="2")
    assert settings.routes[0].called_ae == "OTHER"
    assert (settings.work.tries, settings.work.study_minutes) == (5, 7)
    assert settings.workers == (None, None)
    assert load(monkeypatch, WORKERS='["cpu"]').workers == ("cpu",)


def test_a_word_in_place_of_a_list_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, PEERS="any").peers is None


def test_paths_are_read_from_the_files_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, SPOOL="other").spool == EXAMPLE.parent / "other"
    assert load(monkeypatch, DATABASE="other.sqlite").database == f"sqlite:///{EXAMPLE.parent / 'other.sqlite'}"


def test_one_map_at_two_places_of_the_file_is_changed_at_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("  pacs:", "  pacs: &one").replace("[pacs]", "[pacs, second]")
    path = tmp_path / "node.yaml"
    path.write_text(text + "\n  second: *one\n")
    settings = load(monkeypatch, path, DESTINATIONS__SECOND__PORT="104")
    assert [settings.destinations[name].port for name in ("pacs", "second")] == [4242, 104]  # type: ignore[union-attr]  # of kind dicom


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("QUIET_SECOND", "there is no key quiet_second; did you mean quiet_seconds?"),
        ("RECEPTION__KEEP_FREE__GB", "there is no key reception.keep_free.gb; did you mean reception.keep_free.gib?"),
        ("DESTINATIONS__PACS__PASSPHRASE", "there is no key destinations.pacs.passphrase; unset it"),
        ("PORT__NUMBER", "there is no key port.number; unset it"),
        ("", "there is no key ; unset it"),
        ("ROUTES__0__CALLED_AE", "routes is a list; give it whole, as JSON, in SEGNODE_NODE__ROUTES"),
    ],
)
def test_an_unknown_key_is_named_and_its_value_is_not(
    monkeypatch: pytest.MonkeyPatch, variable: str, said: str
) -> None:
    assert told(monkeypatch, **{variable: SECRET}) == f"{ENVIRONMENT}{variable}: {said}"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PORT", SECRET, "port: Input should be a valid integer"),
        ("DATABASE", f"mysql://segnode:{SECRET}@db", "database: the URL is neither sqlite nor postgresql"),
        ("DESTINATIONS__PACS__KIND", SECRET, "destinations.pacs.kind: Input tag '…' found"),
        ("DESTINATIONS__VNA__HOST", SECRET, "destinations.vna.kind: Unable to extract tag"),
        ("ROUTES", "[" + SECRET, "not JSON; give a list or a map as JSON"),
        ("ROUTES", SECRET, "routes: Input should be a valid tuple"),
        (
            "ROUTES",
            f'[{{"called_ae": "A", "models": ["demo"], "destinations": ["{SECRET}"]}}]',
            "routes.0.destinations.0: … is not below destinations: pacs",
        ),
        ("HTTP__HOST", SECRET, "http.port: Field required"),
        ("DESTINATIONS__PACS__KIND", f" {SECRET}'s", "destinations.pacs.kind: Input tag "),
        ("QUIET_SECONDS", "0", "quiet_seconds: Input should be greater than 0"),
    ],
)
def test_wrong_value_is_reported_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    text = told(monkeypatch, **{variable: value})
    assert text.startswith(f"{ENVIRONMENT}{variable}: {said}")
    assert SECRET not in text


def test_fault_of_the_file_is_still_reported_in_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(EXAMPLE.read_text().replace("port: 11112", "port: soon"))
    text = told(monkeypatch, path, QUIET_SECONDS="5")
    assert text.startswith(f"{path}:6: port: ")
    assert load(monkeypatch, path, PORT="11112").port == 11112


def test_every_problem_is_told_at_once_and_a_key_that_is_given_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told(monkeypatch, PORT="1", port="2", NOBODY="3").splitlines()
    assert lines == [
        f"{ENVIRONMENT}NOBODY: there is no key nobody; unset it",
        f"{ENVIRONMENT}port: {ENVIRONMENT}PORT gives this key, too; unset one of them",
    ]


def test_keys_are_listed_without_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT + "RECEPTION__ON_REPEAT", SECRET)
    monkeypatch.setenv(ENVIRONMENT + "DATABASE", SECRET)
    assert keys_from_environment(ENVIRONMENT) == ["database", "reception.on_repeat"]
