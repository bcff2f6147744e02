"""An object that comes again: what changes nothing, what opens a revision, and what a person has to decide on."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from dicom_io.spool.free_space import KeptFree, NoRoomError
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.received import study_key
from dicom_io.spool.records import State
from dicom_io.spool.retention import delete_delivered
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from dicom_io.spool.study_actions import release
from tests.support.arriving import Sent, put
from tests.support.node_process import make_image

STUDY = "1.2.826.0.1"
KEY = study_key("SEGNODE", STUDY)
DAY_S = 86400.0


def made(number: int = 1) -> Dataset:
    image = make_image(STUDY, number)
    image.ImagePositionPatient = [0, 0, number]
    image.PixelData = bytes(range(256)) * 2
    return image


def encoded(image: Dataset, syntax: UID | None = None) -> Sent:
    if syntax is not None and syntax.is_compressed:
        image.compress(syntax, generate_instance_uid=False)
    elif syntax is not None:
        implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        if not little:
            image.PixelData = swapped(image.PixelData)
        image.file_meta.TransferSyntaxUID = syntax
        again = Dataset()
        again.update({element.tag: element for element in image})
        again.file_meta = image.file_meta
        image = again
        buffer = BytesIO()
        image.save_as(buffer, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
        return received(image, buffer.getvalue())
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return received(image, buffer.getvalue())


def swapped(pixels: bytes) -> bytes:
    return bytes(byte for pair in zip(pixels[1::2], pixels[::2], strict=True) for byte in pair)


def received(image: Dataset, data: bytes) -> Sent:
    starts_work = image.SOPClassUID != BasicTextSRStorage
    return Sent("SEGNODE", STUDY, str(image.SOPInstanceUID), starts_work, data)


def changed(**attributes: object) -> Dataset:
    image = made()
    for keyword, value in attributes.items():
        setattr(image, keyword, value)
    return image


def described(image: Dataset, name: str = "OTHER") -> Dataset:
    image.PatientName = name
    return image


def contents(revision: Revision) -> list[bytes]:
    return sorted(path.read_bytes() for path in revision.images.iterdir())


def latest(spool: Spool) -> Revision:
    revision = spool.latest_revision(KEY)
    assert revision is not None
    return revision


def end(spool: Spool, state: State = State.DELIVERED) -> Revision:
    revision = latest(spool)
    assert spool.close(revision, revision.arrival_stamp())
    revision.write_state(state=state)
    spool.unmark(KEY)
    return revision


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGLSLossless])
def test_the_same_image_however_encoded_changes_nothing(spool: Spool, syntax: UID | None, ended: bool) -> None:
    put(Ingest(spool), encoded(made()))
    if ended:
        end(spool)
    before = {path: path.stat().st_mtime_ns for path in latest(spool).path.rglob("*")}
    assert put(Ingest(spool), encoded(made(), syntax)) == "repeated"
    assert {path: path.stat().st_mtime_ns for path in latest(spool).path.rglob("*")} == before
    assert spool.quarantined(KEY) == 0


def test_an_image_received_by_an_earlier_version_is_the_same_when_it_comes_again(spool: Spool) -> None:
    first, again = made(), made()
    again.file_meta.ImplementationClassUID, again.file_meta.ImplementationVersionName = "2.25.1", "SEGNODE_NEXT"
    older, newer = encoded(first), encoded(again)
    assert older.data != newer.data
    put(Ingest(spool), older)
    end(spool)
    assert put(Ingest(spool), newer) == "repeated"
    assert latest(spool).number == 0
    other = made()
    other.ImagePositionPatient, other.file_meta = [0, 0, 9], first.file_meta
    assert put(Ingest(spool), encoded(other)) == "quarantined"
    other.file_meta = again.file_meta
    assert put(Ingest(spool), encoded(other)) == "repeated"
    assert spool.quarantined(KEY) == 1


@pytest.mark.parametrize("attributes", [{"PatientName": "OTHER"}, {"StudyDescription": "late"}, {"PatientSex": "O"}])
def test_another_description_after_the_end_opens_a_revision(spool: Spool, attributes: dict[str, object]) -> None:
    for number in (1, 2):
        put(Ingest(spool), encoded(made(number)))
    first = end(spool)
    before = sorted(path.read_bytes() for path in first.images.iterdir())
    correction = encoded(changed(**attributes))
    assert put(Ingest(spool), correction) == "new_revision"
    assert latest(spool).number == 1
    assert correction.data in [path.read_bytes() for path in latest(spool).images.iterdir()]
    assert latest(spool).image_count() == 2
    assert sorted(path.read_bytes() for path in first.images.iterdir()) == before


def test_another_description_while_receiving_opens_one_revision_for_all_that_are_corrected(spool: Spool) -> None:
    older = [encoded(made(number)) for number in (1, 2, 3)]
    newer = [encoded(described(made(number))) for number in (1, 2, 3)]
    for image in older:
        put(Ingest(spool), image)
    assert [put(Ingest(spool), image) for image in newer] == ["new_revision", "replaced", "replaced"]
    assert put(Ingest(spool), newer[1]) == "repeated"
    first, second = spool.revisions(KEY)
    assert (first.state, first.read_state().reason.code) == (State.REFUSED, "superseded")
    assert second.state is State.RECEIVING
    assert contents(first) == sorted(image.data for image in older)
    assert contents(second) == sorted(image.data for image in newer)


def test_a_second_correction_while_receiving_opens_the_next(spool: Spool) -> None:
    versions = [encoded(described(made(), name)) for name in ("A", "B", "C")]
    assert [put(Ingest(spool), image) for image in versions] == ["new_revision"] * 3
    assert [contents(revision) for revision in spool.revisions(KEY)] == [[image.data] for image in versions]
    assert [revision.state for revision in spool.revisions(KEY)] == [State.REFUSED, State.REFUSED, State.RECEIVING]


def test_a_revision_says_which_words_of_its_images_changed(spool: Spool) -> None:
    for number in (1, 2):
        put(Ingest(spool), encoded(made(number)))
    for number in (1, 2):
        put(Ingest(spool), encoded(described(made(number))))
    put(Ingest(spool), encoded(changed(PatientName="OTHER", StudyDescription="late")))
    messages = [warning.message for warning in latest(spool).read_state().warnings]
    assert [message.partition("They differ in: ")[2] for message in messages] == ["PatientName.", "StudyDescription."]
    assert {warning.code for warning in latest(spool).read_state().of_reception} == {"description_changed"}
    assert "OTHER" not in "".join(messages)


@pytest.mark.parametrize("ended", [False, True])
def test_a_description_that_was_written_before_changes_nothing(spool: Spool, ended: bool) -> None:
    kept = encoded(changed(InstanceCreationDate="20260301", InstanceCreationTime="101500.5", InstitutionName="A"))
    put(Ingest(spool), kept)
    if ended:
        end(spool)
    for date, time in (("20260228", "235959"), ("20260301", "1015"), ("20260301", "101500.49")):
        earlier = changed(InstanceCreationDate=date, InstanceCreationTime=time, InstitutionName="B")
        assert put(Ingest(spool), encoded(earlier)) == "repeated"
    assert contents(latest(spool)) == [kept.data]
    assert latest(spool).number == 0
    warnings = latest(spool).read_state().warnings
    assert len(warnings) == (0 if ended else 2)
    for date, time in (("20260301", "101500.5"), ("20260301", "101501"), ("20260302", ""), ("", ""), ("yesterday", "")):
        later = changed(InstanceCreationDate=date, InstanceCreationTime=time, InstitutionName=f"C{date}{time}")
        assert put(Ingest(spool), encoded(later)) == "new_revision"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGLSLossless])
def test_another_description_in_another_encoding_is_no_other_image(spool: Spool, syntax: UID) -> None:
    put(Ingest(spool), encoded(made()))
    assert put(Ingest(spool), encoded(changed(InstitutionName="B"), syntax)) == "new_revision"
    assert spool.quarantined(KEY) == 0
    assert latest(spool).read_state().warnings[0].message.endswith("They differ in: InstitutionName.")


def test_superseded_image_is_deleted_with_its_study(spool: Spool) -> None:
    put(Ingest(spool), encoded(made()))
    put(Ingest(spool), encoded(described(made())))
    end(spool)
    now = (latest(spool).path / "state.json").stat().st_mtime + 2 * DAY_S
    assert delete_delivered(spool, DAY_S, now) == [KEY]


OTHER_IMAGES: dict[str, Callable[[], Dataset]] = {
    "pixels": lambda: changed(PixelData=bytes(512)),
    "position": lambda: changed(ImagePositionPatient=[0, 0, 99]),
    "slope": lambda: changed(RescaleSlope=2),
    "series": lambda: changed(SeriesInstanceUID="1.2.3"),
    "less pixels": lambda: changed(PixelData=bytes(range(256))),
}


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("kind", OTHER_IMAGES)
def test_another_image_under_one_uid_is_quarantined_and_can_be_released(spool: Spool, kind: str, ended: bool) -> None:
    older, newer = encoded(made()), encoded(OTHER_IMAGES[kind]())
    put(Ingest(spool), older)
    if ended:
        end(spool)
    assert put(Ingest(spool), newer) == "quarantined"
    assert put(Ingest(spool), newer) == "repeated"
    assert spool.quarantined(KEY) == 1
    assert [path.read_bytes() for path in latest(spool).images.iterdir()] == [older.data]
    assert latest(spool).number == 0
    if not ended:
        with pytest.raises(ValueError, match="still receiving"):
            release(spool, KEY)
        end(spool)
    revision = release(spool, KEY)
    assert (revision.number, revision.state) == (1, State.RECEIVING)
    assert [path.read_bytes() for path in revision.images.iterdir()] == [newer.data]
    assert [path.read_bytes() for path in spool.revision(KEY, 0).images.iterdir()] == [older.data]
    assert spool.quarantined(KEY) == 0
    with pytest.raises(ValueError, match="no quarantined images"):
        release(spool, KEY)


def test_of_several_quarantined_the_newest_is_released_and_the_others_stay(spool: Spool) -> None:
    put(Ingest(spool), encoded(made()))
    end(spool)
    contents = [encoded(changed(ImagePositionPatient=[0, 0, n])) for n in (7, 8)]
    for content in contents:
        assert put(Ingest(spool), content) == "quarantined"
    revision = release(spool, KEY)
    assert [path.read_bytes() for path in revision.images.iterdir()] == [contents[1].data]
    assert [path.read_bytes() for path in spool.quarantine(KEY).iterdir()] == [contents[0].data]


def test_unreadable_file_is_another_image(spool: Spool) -> None:
    put(Ingest(spool), encoded(made()))
    damaged = encoded(made())
    damaged = Sent("SEGNODE", STUDY, damaged.sop_instance_uid, True, damaged.data[:200])
    assert put(Ingest(spool), damaged) == "quarantined"


def test_image_that_is_set_aside_loses_nothing_either(spool: Spool) -> None:
    report = make_image(STUDY, sop_class=BasicTextSRStorage)
    first, second = encoded(report), encoded(make_image(STUDY, sop_class=BasicTextSRStorage, description="second"))
    assert first.sop_instance_uid == second.sop_instance_uid
    assert [put(Ingest(spool), one) for one in (first, second, first)] == ["set_aside", "set_aside", "repeated"]
    others = spool.root / "studies" / KEY / "others"
    assert sorted(path.read_bytes() for path in others.iterdir()) == sorted([first.data, second.data])


@pytest.mark.parametrize("state", [State.DELIVERED, State.NOTHING_FOUND])
def test_a_delivered_study_that_comes_again_runs_again_where_that_is_configured(tmp_path: Path, state: State) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    for number in (1, 2):
        put(Ingest(spool, rerun_repeated=True), encoded(made(number)))
    assert put(Ingest(spool, rerun_repeated=True), encoded(made(1))) == "repeated"
    end(spool, state)
    assert put(Ingest(spool, rerun_repeated=True), encoded(made(1))) == "new_revision"
    stamp = latest(spool).arrival_stamp()
    assert put(Ingest(spool, rerun_repeated=True), encoded(made(2))) == "repeated"
    assert latest(spool).arrival_stamp() != stamp
    assert (latest(spool).number, latest(spool).image_count()) == (1, 2)


def test_failed_study_is_not_run_again_by_coming_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    put(Ingest(spool, rerun_repeated=True), encoded(made()))
    end(spool, State.FAILED)
    assert put(Ingest(spool, rerun_repeated=True), encoded(made())) == "repeated"
    assert latest(spool).number == 0


@pytest.mark.parametrize("kept", [KeptFree(1 << 60), KeptFree(percent=99.9999)])
def test_object_that_would_take_the_reserved_space_is_refused(tmp_path: Path, kept: KeptFree) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    with pytest.raises(NoRoomError):
        put(Ingest(spool, kept_free=kept), encoded(made()))
    assert list((tmp_path / "incoming").iterdir()) == []
    assert put(Ingest(spool), encoded(made())) == "new_revision"


def test_delivered_studies_are_deleted_by_age(spool: Spool) -> None:
    put(Ingest(spool), encoded(made()))
    end(spool)
    assert delete_delivered(spool, DAY_S) == []
    now = (latest(spool).path / "state.json").stat().st_mtime + 2 * DAY_S
    assert delete_delivered(spool, 3 * DAY_S, now) == []
    assert delete_delivered(spool, DAY_S, now) == [KEY]
    assert spool.study_keys() == []
    assert list((spool.root / "trash").iterdir()) == []
    assert put(Ingest(spool), encoded(made())) == "new_revision"


@pytest.mark.parametrize("state", [State.FAILED, State.REFUSED, State.RUNNING, "quarantined", "receiving"])
def test_nothing_else_is_deleted_by_age(spool: Spool, state: str) -> None:
    put(Ingest(spool), encoded(made()))
    if state == "quarantined":
        put(Ingest(spool), encoded(changed(PixelData=bytes(512))))
        end(spool)
    elif state != "receiving":
        end(spool, State(state))
    assert delete_delivered(spool, 1.0, 4e9) == []
    assert spool.study_keys() == [KEY]
