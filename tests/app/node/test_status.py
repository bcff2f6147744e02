"""The status of a node, and what it must never show: patients are planted everywhere and looked for."""

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from xml.etree.ElementTree import Element, fromstring

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from app.cli.main import cli
from app.node.presence import Presence, read_processes
from app.node.status import write_model_warnings
from core.study_warning import StudyWarning, WarningCode
from dicom_io.spool.study_actions import forget
from tests.support.node_process import PATIENCE_S, NodeProcess, free_port, make_image, wait_until
from tests.support.peers import StorageServer, store

CANARY = "CANARY"
TEXTS = {
    "LO": "CANARY-LO",
    "SH": "CANARY-SH",
    "PN": "CANARY^PN",
    "LT": "CANARY LT",
    "ST": "CANARY ST",
    "UT": "CANARY UT",
}
GROUPS = (0x0008, 0x0010, 0x0018, 0x0020, 0x0032, 0x0038, 0x0040)


def planted_image(study: str, number: int, description: str) -> Dataset:
    """An image with a canary in every text of the patient, study, equipment, procedure and visit."""
    image = make_image(study, number, description=description)
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        fits = tag >> 16 in GROUPS and vr in TEXTS and keyword and not retired
        if fits and keyword not in ("StudyDescription", "SpecificCharacterSet", "TimezoneOffsetFromUTC"):
            image.add_new(tag, vr, TEXTS[vr])
    return image


@pytest.fixture(scope="module")
def pacs(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    server = StorageServer(peer("storescp"), tmp_path_factory.mktemp("pacs")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def http_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def node(pacs: StorageServer, http_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path_factory.mktemp("node"), {"pacs": (pacs.port, "PACS"), "down": (free_port(), "DOWN")})
    settings = yaml.safe_load(process.config.read_text())
    settings |= {"http": {"port": http_port}, "logs": "json", "audit_file": "audit.xml"}
    settings["routes"][0] |= {"notices": ["refused", "nothing_found", "failed"], "destinations": ["pacs"]}
    settings["routes"].append({"called_ae": "DOWN", "models": ["stub"], "destinations": ["down"]})
    process.config.write_text(yaml.safe_dump(settings))
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def studies(node: NodeProcess, peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Study Instance UIDs by wish, with canaries in every text, all at their ends; ``down`` cannot be delivered."""
    of_the_node = ("", "refuse missing_slice", "empty", "break", "warn")
    wishes = dict.fromkeys(of_the_node, "SEGNODE") | {"down": "DOWN"}
    made: dict[str, str] = {}
    for wish, called_ae in wishes.items():
        study = made[wish] = generate_uid()
        folder = tmp_path_factory.mktemp("study")
        for number in range(2):
            image = planted_image(study, number, wish)
            image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
        assert store(peer("storescu"), node.port, called_ae, folder) == 0
    store(peer("storescu"), node.port, "CANARY-AE", folder)  # is turned away
    for wish, study in made.items():
        if wish != "down":
            node.wait_for_end(study)
    wait_until(lambda: "delivery_postponed" in node.log.read_text())
    return made


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def metrics(port: int) -> dict[tuple[str, str], float]:
    """Value of each sample by its name and its label's value."""
    status, text = get(port, "/metrics")
    assert status == 200
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_log_and_show_count_tries_alike(node: NodeProcess, studies: dict[str, str]) -> None:
    latest = node.latest(studies["down"])
    assert latest is not None

    def shown() -> int:
        result = CliRunner().invoke(cli, ["studies", "show", latest.key, "--config", str(node.config)])
        found = re.search(r"down: waiting, (\d+) attempts?", result.stdout)
        return int(found[1]) if found else 0

    def logged() -> int:
        lines = (json.loads(line) for line in node.log.read_text().splitlines() if "delivery_postponed" in line)
        return max(int(line["attempt"]) for line in lines)

    for number in (2, 3):  # between two tries, both have counted the last one
        wait_until(lambda number=number: logged() == shown() >= number)  # type: ignore[misc]  # bound at once


def test_metrics_count_what_happened(node: NodeProcess, studies: dict[str, str], http_port: int) -> None:
    # Processes write their counts now and then, and the supervisor looks at them now and then.
    counted = {
        ("segnode_studies", "failed"): 1,
        ("segnode_received_instances_total", ""): 12,
        ("segnode_rejected_associations_total", ""): 1,
    }
    seen = wait_until(lambda: seen if counted.items() <= (seen := metrics(http_port)).items() else None)
    images = sum(path.stat().st_size for path in node.spool.root.glob("studies/*/rev-0/images/*"))
    assert seen["segnode_received_bytes_total", ""] == images
    states = {state: value for (name, state), value in seen.items() if name == "segnode_studies" and value}
    assert states == {"delivered": 2, "refused": 1, "nothing_found": 1, "failed": 1, "delivering": 1}
    assert seen["segnode_queue_depth", ""] == 1
    assert seen["segnode_deliveries_pending", "down"] == 1
    assert seen["segnode_process_ready", "listener"] == seen["segnode_process_ready", "worker"] == 1
    assert seen["segnode_spool_free_bytes", ""] > 0


def test_health_and_readiness(node: NodeProcess, http_port: int) -> None:
    assert get(http_port, "/healthz") == (200, "ok\n")
    status, text = get(http_port, "/readyz")
    assert (status, json.loads(text)["ready"]) == (200, True)
    assert get(http_port, "/../../etc/passwd")[0] == 404


def test_status_says_the_same_to_a_script(node: NodeProcess, studies: dict[str, str]) -> None:
    done = CliRunner().invoke(cli, ["status", "--config", str(node.config), "--json"])
    assert done.exit_code == 0
    content = json.loads(done.stdout)
    assert content["ready"]
    assert content["processes"] == {"listener": True, "worker": True}
    assert (content["studies"]["refused"], content["queue_depth"]) == (1, 1)
    text = CliRunner().invoke(cli, ["status", "--config", str(node.config)]).stdout
    assert "node: ready" in text
    assert "down: 1 to deliver" in text


def test_a_warning_is_in_status_studies_and_log(node: NodeProcess, studies: dict[str, str]) -> None:
    latest = node.latest(studies["warn"])
    assert latest is not None
    entry = {"code": "resampled", "message": "A channel was resampled.", "series": None, "model": None}
    assert latest.read_state()["warnings"] == [entry]
    done = CliRunner().invoke(cli, ["status", "--config", str(node.config), "--json"])
    assert json.loads(done.stdout)["warnings"] == {"resampled": 1}
    said = {
        command: CliRunner().invoke(cli, [*command.split(), "--config", str(node.config)]).stdout
        for command in ("status", "studies list", f"studies show {latest.key}")
    }
    assert "1 with the warning resampled" in said["status"]
    assert said["studies list"].count("(warnings: resampled)") == 1
    assert "warning: resampled: A channel was resampled." in said[f"studies show {latest.key}"]
    events = [json.loads(line) for line in node.log.read_text().splitlines()]
    logged = [(event["study"], event["warning"]) for event in events if event["event"] == "study_warning_raised"]
    assert logged == [(latest.key, "resampled")]


def test_warnings_about_models_are_in_status(tmp_path: Path) -> None:
    process = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    process.spool.prepare()
    warning = StudyWarning(WarningCode.FAST_NOT_MEASURED, model="liver")
    write_model_warnings(process.spool.root, [warning])
    done = CliRunner().invoke(cli, ["status", "--config", str(process.config)])
    assert "model liver: fast_not_measured: The loss of profile fast is not known." in done.stdout
    done = CliRunner().invoke(cli, ["status", "--config", str(process.config), "--json"])
    assert json.loads(done.stdout)["model_warnings"][0]["model"] == "liver"
    (path,) = process.spool.root.glob("model-warnings-*.json")
    path.write_text("[1]")
    assert CliRunner().invoke(cli, ["status", "--config", str(process.config)]).exit_code == 6


def test_status_of_a_node_that_does_not_run_ends_with_6(tmp_path: Path) -> None:
    process = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    process.spool.prepare()
    done = CliRunner().invoke(cli, ["status", "--config", str(process.config)])
    assert (done.exit_code, "node: not running" in done.stdout) == (6, True)


def test_a_node_that_died_is_seen_to_be_gone(tmp_path: Path) -> None:
    presence = Presence(tmp_path, "ct", ("listener", "worker"))
    presence.hold()
    assert read_processes(tmp_path) == {"listener": False, "worker": False}
    presence.show({"listener": True, "worker": False})
    assert read_processes(tmp_path) == {"listener": True, "worker": False}
    presence.release()  # as the kernel does when a process dies
    assert read_processes(tmp_path) == {}


def test_the_log_is_json_and_names_short_ids(node: NodeProcess, studies: dict[str, str]) -> None:
    events = [json.loads(line) for line in node.log.read_text().splitlines()]
    assert {"time", "level", "process", "event"} <= set(events[0])
    refused = next(event for event in events if event["event"] == "study_refused")
    latest = node.latest(studies["refuse missing_slice"])
    assert latest is not None
    assert (refused["study"], refused["reason"], refused["process"]) == (latest.key, "missing_slice", "worker")


def test_no_canary_in_log_metrics_names_states_or_database(
    node: NodeProcess, studies: dict[str, str], http_port: int
) -> None:
    said = node.log.read_text() + get(http_port, "/metrics")[1] + get(http_port, "/readyz")[1]
    said += "\n".join(str(path) for path in node.folder.rglob("*"))
    said += "".join(path.read_text() for path in node.spool.root.rglob("*.json"))
    for arguments in (["status"], ["studies", "list"], ["studies", "show", node.spool.study_keys()[0]]):
        said += CliRunner().invoke(cli, [*arguments, "--config", str(node.config)]).stdout
    assert "study_refused" in said
    assert CANARY not in said
    for name in ("workflow.sqlite", "workflow.sqlite-wal"):
        database = node.folder / name
        assert not database.exists() or CANARY.encode() not in database.read_bytes()
    # The test can fail: the images, and the notices made from them, carry what was looked for.
    notices = list(node.spool.root.glob("studies/*/rev-0/results/notice-*.dcm"))
    assert len(notices) == 3
    assert all(CANARY.encode() in path.read_bytes() for path in notices)


def audit_messages(node: NodeProcess) -> list[Element]:
    return [fromstring(line) for line in (node.folder / "audit.xml").read_text().splitlines()]  # noqa: S314 - our own file


def named(messages: list[Element], event: str) -> list[Element]:
    found = [m for m in messages if m.find("EventIdentification/EventID").get("csd-code") == event]  # type: ignore[union-attr]
    assert found, event
    return found


def test_the_audit_trail_names_patients_and_is_protected(node: NodeProcess, studies: dict[str, str]) -> None:
    assert (node.folder / "audit.xml").stat().st_mode & 0o777 == 0o600
    messages = audit_messages(node)
    assert len(named(messages, "110100")) == 1  # the node started
    (alert,) = named(messages, "110113")
    assert "CANARY-AE" not in node.log.read_text()
    assert alert.find("EventIdentification/EventTypeCode").get("csd-code") == "110126"  # type: ignore[union-attr]
    received = [m for m in named(messages, "110104") if participant(m, "110153") != "SEGNODE"]
    sent = [m for m in named(messages, "110104") if participant(m, "110153") == "SEGNODE"]
    assert {objects(message)["study"] for message in received} == set(studies.values())
    assert all(objects(message)["CANARY^PN"] == "CANARY-LO" for message in received)
    counts = [message.find(".//SOPClass").get("NumberOfInstances") for message in received]  # type: ignore[union-attr]
    assert counts == ["2"] * len(studies)
    outcomes = {participant(m, "110152"): m[0].get("EventOutcomeIndicator") for m in sent}
    assert outcomes == {"PACS": "0", "DOWN": "8"}
    assert len(named(messages, "110102")) >= len(sent)


def participant(message: Element, role: str) -> str | None:
    for one in message.iter("ActiveParticipant"):
        code = one.find("RoleIDCode")
        if code is not None and code.get("csd-code") == role:
            return one.get("UserID")
    return None


def objects(message: Element) -> dict[str | None, str | None]:
    return {
        one.findtext("ParticipantObjectName"): one.get("ParticipantObjectID")
        for one in message.iter("ParticipantObjectIdentification")
    }


SCHEMA: dict[str, tuple[set[str], set[str], str]] = {
    # element: required attributes, allowed attributes, pattern of its children (PS3.15 A.5.1, RELAX NG)
    "AuditMessage": (
        set(),
        set(),
        r"EventIdentification (ActiveParticipant )+AuditSourceIdentification "
        r"(ParticipantObjectIdentification )*",
    ),
    "EventIdentification": (
        {"EventDateTime", "EventOutcomeIndicator"},
        {"EventActionCode"},
        r"EventID (EventTypeCode )*(EventOutcomeDescription )?",
    ),
    "ActiveParticipant": (
        {"UserID", "UserIsRequestor"},
        {"AlternativeUserID", "UserName", "NetworkAccessPointID", "NetworkAccessPointTypeCode"},
        r"(RoleIDCode )*",
    ),
    "AuditSourceIdentification": ({"AuditSourceID"}, {"AuditEnterpriseSiteID"}, r"(AuditSourceTypeCode )*"),
    "AuditSourceTypeCode": ({"csd-code"}, set(), ""),
    "ParticipantObjectIdentification": (
        {"ParticipantObjectID"},
        {"ParticipantObjectTypeCode", "ParticipantObjectTypeCodeRole"},
        r"ParticipantObjectIDTypeCode ParticipantObjectName (ParticipantObjectDescription )*",
    ),
    "ParticipantObjectDescription": (set(), set(), r"(SOPClass )*"),
    "SOPClass": ({"NumberOfInstances"}, {"UID"}, ""),
    **{
        name: ({"csd-code", "codeSystemName", "originalText"}, set(), "")
        for name in ("EventID", "EventTypeCode", "RoleIDCode", "ParticipantObjectIDTypeCode")
    },
    **{name: (set(), set(), "") for name in ("EventOutcomeDescription", "ParticipantObjectName")},
}


def test_audit_messages_follow_the_schema(node: NodeProcess, studies: dict[str, str]) -> None:
    messages = audit_messages(node)
    assert messages
    for message in messages:
        for element in message.iter():
            required, allowed, children = SCHEMA[element.tag]
            assert required <= set(element.attrib) <= required | allowed, element.tag
            assert re.fullmatch(children, "".join(f"{child.tag} " for child in element)), element.tag
        head: dict[str, Any] = message[0].attrib
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", head["EventDateTime"])
        assert head["EventOutcomeIndicator"] in ("0", "4", "8", "12")
        assert head["EventActionCode"] in "CRUDE"


def test_a_forgotten_study_is_gone_and_an_active_one_stays(
    node: NodeProcess, studies: dict[str, str], peer: Callable[[str], str]
) -> None:
    latest = node.latest(studies["refuse missing_slice"])
    assert latest is not None
    assert node.studies("forget", latest.key, "--yes")["forgotten"]
    assert latest.key not in node.spool.study_keys()
    assert not latest.path.exists()
    (deleted,) = named(audit_messages(node), "110105")
    assert objects(deleted)["study"] == studies["refuse missing_slice"]
    assert objects(deleted)["CANARY^PN"] == "CANARY-LO"
    active = node.latest(studies["down"])
    assert active is not None
    with pytest.raises(ValueError, match="has not ended"):
        forget(node.spool, active.key)
