"""Notices about a study without a segmentation, on a whole node with a stand-in for the models."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from app.workflow.notices import notice_kind, notice_text
from app.workflow.outcome import make_outcome
from dicom_io.spool.records import RecordedWarning, RevisionState, State
from tests.support.node_process import NodeProcess, write_study
from tests.support.peers import StorageServer, store


@pytest.mark.parametrize(
    ("models", "outcome", "kind"),
    [
        (["a"], make_outcome("refused", "no_position", "words"), "refused"),
        (["a"], make_outcome("failed", "worker_died", "words"), "failed"),
        (["a"], make_outcome("nothing_found"), "nothing_found"),
        (["a"], make_outcome("nothing_found", files={"a": ["a.seg.dcm"]}), "nothing_found"),
        (["a"], make_outcome("segmented", files={"a": ["a.seg.dcm"]}), None),
        (["a", "b"], make_outcome("segmented", "no_position", "b: words", files={"a": ["a.seg.dcm"]}), "refused"),
        (["a"], make_outcome("segmented", "no_position", "b: words", files={"a": ["a.seg.dcm"]}), None),
        (["b"], make_outcome("segmented", files={"a": ["a.seg.dcm"], "b": []}), "nothing_found"),
    ],
)
def test_sentences_of_a_notice(models: list[str], outcome: dict[str, Any], kind: str | None) -> None:
    assert notice_kind(models, outcome) == kind


def test_notice_of_nothing_found_names_images_that_were_not_looked_at() -> None:
    aside = RecordedWarning("images_set_aside", "Images were set aside. Image 1.2 has another orientation.")
    state = RevisionState(State.RUNNING, notes=("a note",), warnings=(aside,))
    assert notice_text("nothing_found", "", state) == f"{aside.message} a note"
    unread = RecordedWarning("files_unreadable", "1 image could not be read.")
    other = RecordedWarning("images_repeated", "Images of the series came more than once.")
    state = RevisionState(State.RUNNING, notes=("a note",), warnings=(unread, other, unread))
    assert notice_text("nothing_found", "", state) == "1 image could not be read. a note"
    refusal = "A slice is missing inside the series. 1 image could not be read."
    assert notice_text("refused", refusal, state) == f"{refusal} a note"


@pytest.fixture(scope="module")
def pacs(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    server = StorageServer(peer("storescp"), tmp_path_factory.mktemp("pacs")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def node(pacs: StorageServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    process = NodeProcess(
        tmp_path_factory.mktemp("node"),
        {"pacs": (pacs.port, "PACS")},
        routes={"SEGNODE": ("stub",), "QUIET": ("stub",)},
    )
    settings = yaml.safe_load(process.config.read_text())
    settings["routes"][0]["notices"] = ["refused", "nothing_found", "failed"]
    process.config.write_text(yaml.safe_dump(settings))
    process.start()
    yield process
    process.stop()


def received(pacs: StorageServer, study: str) -> list[FileDataset]:
    headers = [dcmread(path) for path in pacs.received()]
    return [header for header in headers if header.StudyInstanceUID == study]


@pytest.mark.parametrize(
    ("wish", "state", "words"),
    [
        ("refuse gantry_tilt", "refused", "gantry tilt"),
        ("empty", "nothing_found", "found none of the structures"),
        ("break", "failed", "ZeroDivisionError at stub_worker.py:"),
    ],
)
def test_a_notice_comes_back(
    node: NodeProcess,
    pacs: StorageServer,
    peer: Callable[[str], str],
    tmp_path: Path,
    wish: str,
    state: str,
    words: str,
) -> None:
    study = generate_uid()
    assert store(peer("storescu"), node.port, "SEGNODE", write_study(tmp_path, study, description=wish)) == 0
    end = node.wait_for_end(study)
    assert end["state"] == state
    assert (end["reason"] is not None) == (state != "nothing_found")
    (notice,) = received(pacs, study)
    assert notice.SOPClassUID == SecondaryCaptureImageStorage
    assert words in notice.ImageComments.replace("\r", "").replace("\n", " ")
    assert notice.PatientID == "CANARY-ID"


def test_a_route_that_asks_for_none_sends_none(
    node: NodeProcess, pacs: StorageServer, peer: Callable[[str], str], tmp_path: Path
) -> None:
    study = generate_uid()
    store(peer("storescu"), node.port, "QUIET", write_study(tmp_path, study, description="empty"))
    assert node.wait_for_end(study)["state"] == "nothing_found"
    assert received(pacs, study) == []


def test_a_retry_sends_what_it_makes_anew(
    node: NodeProcess, pacs: StorageServer, peer: Callable[[str], str], tmp_path: Path
) -> None:
    study = generate_uid()
    store(peer("storescu"), node.port, "SEGNODE", write_study(tmp_path, study, description="refuse no_position"))
    node.wait_for_end(study)
    latest = node.latest(study)
    assert latest is not None
    node.studies("retry", latest.key)
    assert node.wait_for_end(study)["run"] == 1
    assert len(received(pacs, study)) == 2
    assert len({notice.SOPInstanceUID for notice in received(pacs, study)}) == 2
