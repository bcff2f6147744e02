"""Objects that are no images: kept beside a study, quickly however many they are, and not for ever."""

import pytest

from dicom_io.spool import ingest
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.received import study_key
from dicom_io.spool.retention import delete_delivered
from dicom_io.spool.spool import Spool
from tests.support.arriving import Sent, put

KEY = study_key("SEGNODE", "1.2")
DAY_S = 86400.0


def report(number: int, data: bytes = b"report") -> Sent:
    return Sent("SEGNODE", "1.2", f"1.2.3.{number}", False, data)


def test_the_folder_is_listed_only_for_an_object_that_comes_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, is_among = [], ingest._is_among
    monkeypatch.setattr(ingest, "_is_among", lambda file, others: looks.append(file) or is_among(file, others))
    assert [put(Ingest(spool), report(number)) for number in range(3)] == ["set_aside"] * 3
    assert looks == []
    assert put(Ingest(spool), report(1)) == "repeated"
    assert put(Ingest(spool), report(1, b"another")) == "set_aside"
    assert put(Ingest(spool), report(1, b"another")) == "repeated"
    assert len(looks) == 3
    assert len(list((spool.folder(KEY) / "others").iterdir())) == 4


def test_a_study_without_an_image_is_deleted_by_age(spool: Spool) -> None:
    put(Ingest(spool), report(1))
    came = (spool.folder(KEY) / "others").stat().st_mtime
    assert delete_delivered(spool, 2 * DAY_S, came + DAY_S) == []
    assert delete_delivered(spool, 2 * DAY_S, came + 3 * DAY_S) == [KEY]
    assert spool.study_keys() == []
    assert put(Ingest(spool), report(1)) == "set_aside"
