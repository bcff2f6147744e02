"""The rules for a complete study: silence, what its images say, what an archive has, and a longest wait."""

import socket
from collections.abc import Callable
from concurrent import futures
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage, CTImageStorage, generate_uid
from pynetdicom import AE

from app.settings.node import NodeSettings
from app.workflow.archive_check import MAX_UNANSWERED, short_id
from app.workflow.completion import SERIES_SETTLE_S, Completion
from app.workflow.intake import IMAGES_MISSING, Intake
from app.workflow.notices import write_notices
from app.workflow.outcome import make_outcome
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.received import study_key
from dicom_io.spool.records import Plan, PlannedDelivery, State
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from tests.support.arriving import Sent, put
from tests.support.node_process import NodeProcess, free_port, make_image, wait_until, write_study
from tests.support.peers import Orthanc, StorageServer, store
from tests.support.seen_revision import SeenRevision

STUDY = "1.2.826.0.1.7"
CT_ONLY, MR_ONLY = {"modality": ["CT"]}, {"modality": ["MR"]}
QUIET_S = 10.0
LONGEST_S = 100.0


class Work:
    """Keeps what is handed on."""

    def __init__(self) -> None:
        self.revisions: list[Revision] = []

    def enqueue(self, revision: Revision) -> None:
        self.revisions.append(revision)

    def drop(self, revision: Revision) -> None:
        """Nothing is queued."""

    def is_under_way(self, revision: Revision) -> bool:
        return revision in self.revisions


class Watched:
    """A spool, and an intake whose clock the test turns."""

    def __init__(self, folder: Path, *routes: dict[str, Any], archive: tuple[str, int] = ("ARCHIVE", 104)) -> None:
        self.spool = Spool(folder / "spool")
        self.spool.prepare()
        self.now = 0.0
        pacs = {"kind": "dicom", "ae_title": archive[0], "host": "127.0.0.1", "port": archive[1]}
        both = {"called_ae": "SEGNODE", "models": ["m"], "destinations": ["pacs"]}
        settings = {"ae_title": "SEGNODE", "host": "127.0.0.1", "port": 104, "spool": "spool", "quiet_seconds": QUIET_S}
        content = settings | {"routes": [both | route for route in routes], "destinations": {"pacs": pacs}}
        self.settings = NodeSettings.model_validate(content, context={"folder": folder})
        self.work = Work()
        self.completion = Completion(self.settings, self.spool)
        self.intake = Intake(self.spool, self.completion, self.work)

    def send(self, *images: Dataset, study: str = STUDY) -> None:
        """Have images come."""
        for image in images:
            data = encoded(image)
            starts_work = image.SOPClassUID == CTImageStorage
            put(Ingest(self.spool), Sent("SEGNODE", study, str(image.SOPInstanceUID), starts_work, data))

    def is_complete_after(self, seconds: float) -> bool:
        """Return whether the study is closed after that number of seconds more."""
        self.now += seconds
        self.intake.look(self.now)
        return bool(self.work.revisions)

    def wait(self, every_s: float = 1.0) -> Revision:
        """The revision that is closed at last; the clock goes on by so much at a time, and waits for archives."""
        wait_until(lambda: self.is_complete_once_answered(every_s), every_s=0.0)
        return self.work.revisions[0]

    def is_complete_once_answered(self, seconds: float) -> bool:
        """Return whether the study is closed after that number of seconds more, of which an archive needs none."""
        questions = self.completion._archive_check._questions.values()
        futures.wait([question.answer for question in questions if question.answer is not None])
        return self.is_complete_after(seconds)

    def state(self, study: str = STUDY) -> dict[str, Any]:
        """State of the newest revision."""
        revision = self.spool.latest_revision(study_key("SEGNODE", study))
        assert revision is not None
        return SeenRevision(revision).read_state()


def encoded(image: Dataset) -> bytes:
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def image(number: int, **attributes: Any) -> Dataset:
    made = make_image(STUDY, number)
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def test_a_study_is_complete_after_silence(tmp_path: Path) -> None:
    node = Watched(tmp_path, {})
    node.send(image(1))
    assert not any(node.is_complete_after(seconds) for seconds in (0, 5, 4.9))
    node.send(image(2))
    assert not any(node.is_complete_after(seconds) for seconds in (0.1, 9.9))
    assert node.is_complete_after(0.1)
    (revision,) = node.work.revisions
    assert (revision.state, revision.read_state().notes) == (State.WAITING, ())
    assert node.spool.open_keys() == []
    assert node.is_complete_after(40)
    assert len(node.work.revisions) == 1


@pytest.mark.parametrize(
    ("routes", "seconds"),
    [
        ([{"quiet_seconds": 3}], 3),
        ([{"quiet_seconds": 3}, {"quiet_seconds": 5}], 5),
        ([{"quiet_seconds": 3}, {}], QUIET_S),
        (
            [{"quiet_seconds": 3, "rules": {"modality": ["CT"]}}, {"quiet_seconds": 30, "rules": {"modality": ["MR"]}}],
            3,
        ),
        ([{"called_ae": "OTHER", "quiet_seconds": 3}], QUIET_S),
    ],
)
def test_silence_is_that_of_the_routes_that_the_study_takes(
    tmp_path: Path, routes: list[dict[str, Any]], seconds: float
) -> None:
    node = Watched(tmp_path, *routes)
    node.send(image(1))
    assert not node.is_complete_after(0)
    assert not node.is_complete_after(seconds - 0.1)
    assert node.is_complete_after(0.1)


@pytest.mark.parametrize(
    "keyword", ["NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances", "ImagesInAcquisition"]
)
def test_a_study_whose_images_say_how_many_there_are_is_complete_with_the_last(tmp_path: Path, keyword: str) -> None:
    node = Watched(tmp_path, {"complete_when": {"images_in": keyword}})
    settle = 0.0 if keyword == "NumberOfStudyRelatedInstances" else SERIES_SETTLE_S
    node.send(*(image(number, **{keyword: 3}) for number in (1, 2)))
    assert not node.is_complete_after(0)
    assert not node.is_complete_after(QUIET_S - 0.1)
    node.send(image(3, **{keyword: 3}))
    assert node.is_complete_after(0) == (not settle)
    assert node.is_complete_after(settle)
    assert node.state()["notes"] == []


def test_acquisitions_and_series_are_counted_each_for_itself(tmp_path: Path) -> None:
    node = Watched(tmp_path, {"complete_when": {"images_in": "ImagesInAcquisition"}})
    first, second = (
        {"AcquisitionNumber": 1, "ImagesInAcquisition": 2},
        {"AcquisitionNumber": 2, "ImagesInAcquisition": 1},
    )
    node.send(image(1, **first), image(2, **second), image(3, SeriesInstanceUID="1.2.3", ImagesInAcquisition=1))
    assert not node.is_complete_after(0)
    assert not node.is_complete_after(SERIES_SETTLE_S)
    node.send(image(4, **first))
    assert not node.is_complete_after(0)
    assert node.is_complete_after(SERIES_SETTLE_S)


def test_object_without_pixels_counts_for_the_study(tmp_path: Path) -> None:
    node = Watched(tmp_path, {"complete_when": {"images_in": "NumberOfStudyRelatedInstances"}})
    node.send(image(1, NumberOfStudyRelatedInstances=2))
    assert not node.is_complete_after(0)
    node.send(make_image(STUDY, 1, sop_class=BasicTextSRStorage))
    assert node.is_complete_after(0)


@pytest.mark.parametrize("said", [None, "", 0, 2, "many"])
def test_where_images_say_nothing_or_too_much_silence_decides(tmp_path: Path, said: Any) -> None:
    node = Watched(tmp_path, {"complete_when": {"images_in": "NumberOfStudyRelatedInstances"}})
    one = image(1)
    if said is not None:
        one.add_new("NumberOfStudyRelatedInstances", "LO" if said == "many" else "IS", said)
    node.send(one)
    assert not node.is_complete_after(0)
    assert node.is_complete_after(QUIET_S)
    assert bool(node.state()["notes"]) == (said == 2)


def test_a_study_that_never_ends_is_run_with_what_is_there(tmp_path: Path) -> None:
    node = Watched(tmp_path, {"longest_wait_seconds": LONGEST_S})
    for number in range(25):
        node.send(image(number))
        if node.is_complete_after(5):
            break
    assert node.now == pytest.approx(LONGEST_S + 5)
    assert "still coming after 100 s" in node.state()["notes"][0]


def test_a_rule_for_one_route_does_not_close_a_study_that_another_takes_too(tmp_path: Path) -> None:
    node = Watched(tmp_path, {"complete_when": {"images_in": "NumberOfStudyRelatedInstances"}}, {})
    node.send(image(1, NumberOfStudyRelatedInstances=1))
    assert not node.is_complete_after(0)
    assert node.is_complete_after(QUIET_S)


COUNTED = {"complete_when": {"counted_by": "pacs"}, "longest_wait_seconds": LONGEST_S}


def archived(orthanc: Orthanc, peer: Callable[[str], str], folder: Path, *images: Dataset) -> None:
    """Have the archive keep images."""
    folder.mkdir()
    for number, one in enumerate(images):
        one.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    assert store(peer("storescu"), orthanc.dicom_port, "ORTHANC", folder, options=("-R",)) == 0


def test_images_of_the_archive_are_named_and_awaited(
    orthanc: Orthanc, peer: Callable[[str], str], tmp_path: Path
) -> None:
    images = [image(number) for number in range(1, 6)]
    report = make_image(STUDY, 1, sop_class=BasicTextSRStorage)
    report.Modality = "SR"
    archived(orthanc, peer, tmp_path / "archived", *images, report)
    node = Watched(tmp_path, COUNTED, archive=("ORTHANC", orthanc.dicom_port))
    node.send(*images[:3])
    reason = wait_until(lambda: not node.is_complete_once_answered(0.2) and node.state()["reason"], every_s=0.0)
    assert reason["code"] == IMAGES_MISSING
    assert f"2 of 5 of series {short_id(images[0].SeriesInstanceUID)}" in reason["message"]
    assert all(short_id(absent.SOPInstanceUID) in reason["message"] for absent in images[3:])
    assert node.state()["state"] == "receiving"
    node.send(*images[3:])
    closed = node.wait()
    assert (closed.image_count(), node.state()["notes"], node.state()["reason"]) == (5, [], None)


def test_a_series_of_which_nothing_has_come_is_awaited_where_that_is_configured(
    orthanc: Orthanc, peer: Callable[[str], str], tmp_path: Path
) -> None:
    other = image(2, SeriesInstanceUID="1.2.3.4")
    archived(orthanc, peer, tmp_path / "archived", image(1), other)
    address = ("ORTHANC", orthanc.dicom_port)
    single = {"complete_when": {"counted_by": "pacs", "series": "received"}, "longest_wait_seconds": LONGEST_S}
    scans_only = COUNTED | {"rules": {"modality": ["MR"]}, "called_ae": "SEGNODE"}
    nodes = [
        Watched(tmp_path / str(n), route, archive=address) for n, route in enumerate((COUNTED, single, scans_only))
    ]
    notes = []
    for node in nodes:
        node.send(image(1))
        node.wait(every_s=0.5)
        notes.append(node.state()["notes"])
    assert f"1 of 1 of series {short_id('1.2.3.4')}" in notes[0][0]
    assert nodes[0].now >= LONGEST_S
    assert notes[1:] == [[], []]
    assert all(node.now < LONGEST_S for node in nodes[1:])


@pytest.mark.parametrize("known", [0, 2])
def test_an_archive_that_has_less_delays_nothing(
    orthanc: Orthanc, peer: Callable[[str], str], tmp_path: Path, known: int
) -> None:
    images = [image(number) for number in (1, 2, 3)]
    if known:
        archived(orthanc, peer, tmp_path / "archived", *images[:known])
    node = Watched(tmp_path, COUNTED, archive=("ORTHANC", orthanc.dicom_port))
    node.send(*images)
    node.wait(every_s=0.2)
    assert node.now < LONGEST_S / 2
    assert node.state()["notes"] == []


def test_an_archive_that_is_down_is_asked_again_and_then_done_without(tmp_path: Path) -> None:
    node = Watched(tmp_path, COUNTED, archive=("ARCHIVE", free_port()))
    node.send(image(1))
    node.wait(every_s=0.2)
    assert QUIET_S + 2 + 4 + 8 <= node.now < LONGEST_S
    assert "pacs could not be queried: 127.0.0.1 port" in node.state()["notes"][0]
    assert MAX_UNANSWERED == 4


def test_an_archive_that_takes_no_questions_is_done_without_at_once(peer: Callable[[str], str], tmp_path: Path) -> None:
    server = StorageServer(peer("storescp"), tmp_path / "pacs").start()
    try:
        node = Watched(tmp_path, COUNTED, archive=("PACS", server.port))
        node.send(image(1))
        node.wait(every_s=0.2)
    finally:
        server.stop()
    assert node.now < LONGEST_S / 2
    assert "does not support C-FIND" in node.state()["notes"][0]


def test_an_archive_that_hangs_holds_up_no_other_study_and_this_one_not_for_ever(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = COUNTED | {"called_ae": "HANGS"}
        node = Watched(tmp_path, {}, hanging, archive=("SILENT", silent.getsockname()[1]))
        put(Ingest(node.spool), Sent("HANGS", STUDY, str(image(1).SOPInstanceUID), True, encoded(image(1))))
        node.send(image(1))
        assert not node.is_complete_after(0)
        assert node.is_complete_after(QUIET_S)
        assert node.is_complete_after(LONGEST_S)
    closed = {revision.key: list(revision.read_state().notes) for revision in node.work.revisions}
    assert closed[study_key("SEGNODE", STUDY)] == []
    assert "did not answer the query in time" in closed[study_key("HANGS", STUDY)][0]


def test_an_association_that_stays_open_holds_nothing_up(peer: Callable[[str], str], tmp_path: Path) -> None:
    pacs = StorageServer(peer("storescp"), tmp_path / "pacs").start()
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS")})
    node.start()
    study = str(generate_uid())
    files = sorted(write_study(tmp_path / "study", study).iterdir())
    ae = AE("SENDER")
    ae.network_timeout = None
    ae.add_requested_context(CTImageStorage)
    try:
        association = ae.associate("127.0.0.1", node.port, ae_title="SEGNODE")
        assert [association.send_c_store(dcmread(file)).Status for file in files] == [0, 0, 0]
        assert node.wait_for_end(study)["state"] == "delivered"
        assert association.is_established
        assert association.send_c_store(make_image(study, 9)).Status == 0
        assert node.wait_for_end(study, revision=1)["state"] == "delivered"
        association.release()
    finally:
        node.stop()
        pacs.stop()


def test_revision_that_a_correction_left_receiving_is_never_run(tmp_path: Path) -> None:
    node = Watched(tmp_path, {})
    node.send(image(1), image(2))
    assert not node.is_complete_after(0)
    node.send(image(1, PatientName="CORRECTED"))
    first, second = node.spool.revisions(study_key("SEGNODE", STUDY))
    # As it is found when the listener died between the two.
    first.write_state(state=State.RECEIVING, reason=None)
    assert not node.is_complete_after(QUIET_S)
    assert (first.state, first.read_state().reason.code) == (State.REFUSED, "superseded")
    assert node.is_complete_after(QUIET_S)
    assert node.work.revisions == [second]


def test_a_notice_says_that_images_were_missing(tmp_path: Path) -> None:
    node = Watched(tmp_path, {"notices": ["nothing_found"], "longest_wait_seconds": 1})
    node.send(image(1))
    assert not node.is_complete_after(0)
    assert node.is_complete_after(1)
    (revision,) = node.work.revisions
    revision.write_outcome(make_outcome("nothing_found"))
    plan = Plan(0, {"pacs": PlannedDelivery(("m",), ("nothing_found",), ())})
    names = write_notices(node.spool, revision, plan)
    comments = dcmread(revision.results / names["pacs"]).ImageComments
    assert "Images were still coming after 1 s." in comments.replace("\r", "").replace("\n", " ")
