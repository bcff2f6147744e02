"""The whole path: a modality sends to a PACS, the PACS routes to the node, and the SEG appears in the study.

Orthanc is the PACS and routes everything it stores, the SEG included; DCMTK's storescu is the modality.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from phantom import make_phantom, trunk_geometry
from phantom.series import write_series
from phantom.tags import StudyTags
from tests.support.node_process import SEGNODE, NodeProcess, free_port, wait_until
from tests.support.peers import Orthanc, store

ROUTE_EVERYTHING = """
function OnStoredInstance(instanceId, tags, metadata)
  SendToModality(instanceId, 'segnode')
end
"""


@pytest.fixture(scope="module")
def pacs_and_node(
    peer: Callable[[str], str], models_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Orthanc, NodeProcess]]:
    folder = tmp_path_factory.mktemp("e2e")
    port = free_port()
    pacs = Orthanc(peer("Orthanc"), folder / "pacs", {"segnode": ("SEGNODE", port)}, ROUTE_EVERYTHING)
    node = NodeProcess(
        folder / "node",
        {"pacs": (pacs.dicom_port, pacs.ae_title)},
        routes={"SEGNODE": ["tiny"]},
        models_folder=models_folder,
        program=SEGNODE,
        quiet_seconds=2.0,
        port=port,
    )
    pacs.start()
    try:
        node.start()
        yield pacs, node
    finally:
        node.stop()
        pacs.stop()


@pytest.fixture
def modality(peer: Callable[[str], str]) -> Callable[[Orthanc, Path], None]:
    def push(pacs: Orthanc, folder: Path) -> None:
        assert store(peer("storescu"), pacs.dicom_port, pacs.ae_title, folder) == 0

    return push


def small_study(folder: Path, name: str) -> str:
    """A made CT of a trunk; its Study Instance UID."""
    phantom = make_phantom(trunk_geometry((15.0, 4.0, 4.0), extent=(300.0, 256.0, 256.0)))
    return write_series(phantom, folder, study=StudyTags(name=name)).study_uid


def seg_in(pacs: Orthanc, study: str) -> Dataset:
    """The only SEG of a study in the PACS."""
    (instance,) = pacs.instances(study, "SEG")
    return dcmread(io.BytesIO(pacs.get_bytes(f"instances/{instance}/file")))


def test_a_real_series_comes_back_as_a_seg_in_its_study(
    pacs_and_node: tuple[Orthanc, NodeProcess],
    modality: Callable[[Orthanc, Path], None],
    real_data: Callable[[str], Path],
) -> None:
    pacs, node = pacs_and_node
    folder = real_data("sts-001-ct/dicom")
    images = [dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
    study = str(images[0].StudyInstanceUID)
    modality(pacs, folder)
    end = node.wait_for_end(study, timeout_s=500)
    assert end["state"] == "delivered", end
    seg = seg_in(pacs, study)
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == images[0].SeriesInstanceUID
    assert seg.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    assert seg.PatientID == images[0].PatientID
    latest = node.latest(study)
    assert latest is not None
    made = dcmread(latest.results / study / "tiny.seg.dcm")
    assert seg.SOPInstanceUID == made.SOPInstanceUID
    assert np.array_equal(seg.pixel_array, made.pixel_array)
    assert seg.pixel_array.any()

    # The PACS has routed the SEG back: the node took it, and did not start again.
    wait_until(lambda: "own_result_ignored" in node.log.read_text())
    jobs = pacs.get("jobs?expand")  # one by one, the oldest may be forgotten before it is asked for
    assert [job["ErrorDescription"] for job in jobs if job["State"] == "Failure"] == []
    assert (latest.number, node.is_idle()) == (0, True)
    assert len(pacs.instances(study, "SEG")) == 1


def test_a_study_with_a_missing_slice_is_refused_and_nothing_is_sent(
    pacs_and_node: tuple[Orthanc, NodeProcess], modality: Callable[[Orthanc, Path], None], tmp_path: Path
) -> None:
    pacs, node = pacs_and_node
    study = small_study(tmp_path, "missing slice")
    sorted(tmp_path.iterdir())[10].unlink()
    modality(pacs, tmp_path)
    end = node.wait_for_end(study)
    assert (end["state"], end["reason"]["code"]) == ("refused", "missing_slice")
    assert node.is_idle()
    assert pacs.instances(study, "SEG") == []
    row = next(row for row in node.studies("list") if row["state"] == "refused")
    assert node.studies("show", row["id"])["revisions"][0]["reason"]["message"].startswith("A slice is missing")


def test_a_worker_killed_in_mid_study_still_gives_one_seg(
    pacs_and_node: tuple[Orthanc, NodeProcess], modality: Callable[[Orthanc, Path], None], tmp_path: Path
) -> None:
    pacs, node = pacs_and_node
    running = node.log.read_text().count("study_started")
    study = small_study(tmp_path, "killed")
    modality(pacs, tmp_path)
    wait_until(lambda: node.log.read_text().count("study_started") > running)
    node.kill_child("worker")
    assert node.wait_for_end(study)["state"] == "delivered"
    assert node.log.read_text().count("study_started") == running + 2
    assert len(pacs.instances(study, "SEG")) == 1


def test_a_result_waits_for_a_pacs_that_is_down(
    pacs_and_node: tuple[Orthanc, NodeProcess], peer: Callable[[str], str], tmp_path: Path
) -> None:
    pacs, node = pacs_and_node
    study = small_study(tmp_path, "pacs down")
    pacs.stop()
    try:
        assert store(peer("storescu"), node.port, "SEGNODE", tmp_path) == 0
        wait_until(lambda: (latest := node.latest(study)) is not None and latest.read_delivery("pacs"))
        wait_until(lambda: "delivery_postponed" in node.log.read_text())
    finally:
        pacs.start()
    assert node.wait_for_end(study)["state"] == "delivered"
    assert len(pacs.instances(study, "SEG")) == 1
