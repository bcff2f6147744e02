"""The durable path with a stand-in for the models: real processes, real sockets."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage, generate_uid

from app.workflow.study_flow import LONGEST_WAIT_S, StepFailed, disk_may_wait, wait_s
from core.errors import ReasonCode
from tests.support.node_process import NodeProcess, wait_until, write_study
from tests.support.peers import StorageServer, store

Push = Callable[[Path], int]


@pytest.fixture(scope="module")
def pacs(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    server = StorageServer(peer("storescp"), tmp_path_factory.mktemp("pacs")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def node(pacs: StorageServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path_factory.mktemp("node"), {"pacs": (pacs.port, "PACS")})
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def push(node: NodeProcess, peer: Callable[[str], str]) -> Push:
    return lambda folder: store(peer("storescu"), node.port, "SEGNODE", folder)


def received(pacs: StorageServer, study: str) -> list[str]:
    """SOP Instance UIDs that the PACS got of a study."""
    headers = [dcmread(path) for path in pacs.received()]
    return [str(header.SOPInstanceUID) for header in headers if header.StudyInstanceUID == study]


def runs(node: NodeProcess, study: str) -> list[str]:
    """``revision images`` of each run of the stand-in on a study."""
    lines = (node.folder / "runs.txt").read_text().splitlines()
    return [line.split(maxsplit=1)[1] for line in lines if line.startswith(study + " ")]


def test_a_study_comes_back(node: NodeProcess, pacs: StorageServer, push: Push, tmp_path: Path) -> None:
    study = generate_uid()
    assert push(write_study(tmp_path, study)) == 0
    assert node.wait_for_end(study)["state"] == "delivered"
    assert len(received(pacs, study)) == 1
    assert runs(node, study) == ["0 3"]


@pytest.mark.parametrize(
    ("wish", "state", "code"),
    [
        ("refuse missing_slice", "refused", "missing_slice"),
        ("empty", "nothing_found", None),
        ("break", "failed", "internal_error"),
    ],
)
def test_study_without_a_result_ends_visibly_and_sends_nothing(
    node: NodeProcess, pacs: StorageServer, push: Push, tmp_path: Path, wish: str, state: str, code: str | None
) -> None:
    study = generate_uid()
    assert push(write_study(tmp_path, study, description=wish)) == 0
    end = node.wait_for_end(study)
    assert end["state"] == state
    assert (end["reason"] or {}).get("code") == code
    assert received(pacs, study) == []
    shown = next(row for row in node.studies("list") if row["id"] == node.latest(study).key)  # type: ignore[union-attr]
    assert shown["state"] == state


def test_no_reason_code_sends_anything(node: NodeProcess, pacs: StorageServer, push: Push, tmp_path: Path) -> None:
    studies = {code: generate_uid() for code in ReasonCode}
    for code, study in studies.items():
        write_study(tmp_path / code, study, images=1, description=f"refuse {code}")
    assert push(tmp_path) == 0
    for code, study in studies.items():
        end = node.wait_for_end(study)
        assert (end["state"], end["reason"]["code"]) == ("refused", code)
        assert received(pacs, study) == []


def test_waiting_study_is_tried_again_and_holds_up_nobody(node: NodeProcess, push: Push, tmp_path: Path) -> None:
    study, other = generate_uid(), generate_uid()
    push(write_study(tmp_path / "later", study, description="later"))
    waiting = wait_until(
        lambda: (found := node.latest(study)) and (state := found.read_state())["reason"] and state, every_s=0.02
    )
    assert (waiting["state"], waiting["reason"]["code"]) == ("waiting", "retry_later")
    push(write_study(tmp_path / "other", other))
    assert node.wait_for_end(other)["state"] == "delivered"
    end = node.wait_for_end(study)
    assert {key: end[key] for key in ("state", "run", "reason")} == {
        "state": "delivered",
        "run": 0,
        "reason": None,
    }
    assert len(runs(node, study)) == 3


def test_late_images_make_a_revision_of_all_images(
    node: NodeProcess, pacs: StorageServer, push: Push, tmp_path: Path
) -> None:
    study = generate_uid()
    push(write_study(tmp_path / "first", study))
    node.wait_for_end(study)
    before = received(pacs, study)
    push(write_study(tmp_path / "late", study, images=1, first=4))
    assert node.wait_for_end(study, revision=1)["state"] == "delivered"
    assert runs(node, study) == ["0 3", "1 4"]
    after = received(pacs, study)
    assert len(after) == 2
    assert set(before) < set(after)


def test_the_same_images_again_change_nothing(
    node: NodeProcess, pacs: StorageServer, push: Push, tmp_path: Path
) -> None:
    study = generate_uid()
    folder = write_study(tmp_path, study)
    push(folder)
    node.wait_for_end(study)
    assert push(folder) == 0
    assert node.latest(study).number == 0  # type: ignore[union-attr]
    assert len(received(pacs, study)) == 1


def test_an_image_with_other_words_counts_once_and_the_result_says_what_differs(
    node: NodeProcess, push: Push, tmp_path: Path
) -> None:
    study = generate_uid()
    push(write_study(tmp_path / "first", study))
    push(write_study(tmp_path / "again", study, images=1, description="sent again"))
    end = node.wait_for_end(study, revision=1)
    assert (end["state"], runs(node, study)) == ("delivered", ["1 3"])
    (warning,) = end["warnings"]
    assert warning["code"] == "description_changed"
    assert warning["message"].endswith("They differ in: StudyDescription.")
    log = node.log.read_text()
    assert log.count(warning["message"]) == 2, "as it came, and as the result was made"
    assert "sent again" not in log


def test_the_node_does_not_run_on_what_it_made(
    node: NodeProcess, pacs: StorageServer, push: Push, peer: Callable[[str], str], tmp_path: Path
) -> None:
    study = generate_uid()
    push(write_study(tmp_path, study))
    node.wait_for_end(study)
    results = [path for path in pacs.received() if dcmread(path).StudyInstanceUID == study]
    assert store(peer("storescu"), node.port, "SEGNODE", *results, options=("-R",)) == 0
    assert node.latest(study).number == 0  # type: ignore[union-attr]
    assert node.log.read_text().count("own_result_ignored") >= 1
    assert runs(node, study) == ["0 3"]


@pytest.mark.parametrize("sop_class", [SecondaryCaptureImageStorage, EncapsulatedPDFStorage])
def test_object_without_pixels_is_kept_and_starts_nothing(
    node: NodeProcess, push: Push, tmp_path: Path, sop_class: str
) -> None:
    study = generate_uid()
    assert push(write_study(tmp_path, study, sop_class=sop_class)) == 0
    assert node.latest(study) is None
    key = next(key for key in node.spool.study_keys() if node.spool.study(key)["study"] == study)
    assert len(list((node.spool.root / "studies" / key / "others").iterdir())) == 3


def test_retry_runs_a_refused_study_again(node: NodeProcess, push: Push, tmp_path: Path) -> None:
    study = generate_uid()
    push(write_study(tmp_path, study, description="refuse missing_slice"))
    node.wait_for_end(study)
    key = node.latest(study).key  # type: ignore[union-attr]
    node.studies("retry", key[:8])
    wait_until(lambda: len(runs(node, study)) == 2)
    assert node.wait_for_end(study)["run"] == 1
    shown = node.studies("show", key)
    assert shown["study"] == study
    assert shown["revisions"][0]["reason"]["code"] == "missing_slice"


def test_no_patient_in_logs_file_names_or_database(node: NodeProcess, push: Push, tmp_path: Path) -> None:
    study = generate_uid()
    push(write_study(tmp_path, study))
    node.wait_for_end(study)
    names = "\n".join(str(path) for path in node.folder.rglob("*"))
    assert "CANARY" not in names + node.log.read_text()
    assert study not in node.log.read_text()
    assert b"CANARY" not in (node.folder / "workflow.sqlite").read_bytes()
    states = [path.read_text() for path in node.spool.root.rglob("*.json")]
    assert "CANARY" not in json.dumps(states)


def test_waits_grow_and_are_bounded() -> None:
    waits = [wait_s(attempt) for attempt in range(500)]
    assert waits[:3] == [2.0, 4.0, 8.0]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_S


@pytest.mark.unit
def test_defect_of_a_step_leaves_its_text_out_of_the_database() -> None:
    """DBOS writes down the exception that leaves a step, and pydicom's errors quote what an element holds."""

    def step(_flow: object, _key: str, _number: int) -> None:
        raise ValueError("MUELLER^ANNA is no date")

    with pytest.raises(StepFailed, match=r"^ValueError at test_study_flow\.py:\d+$") as caught:
        disk_may_wait(step)(None, "key", 1)  # type: ignore[arg-type,type-var]  # the flow is not asked
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
