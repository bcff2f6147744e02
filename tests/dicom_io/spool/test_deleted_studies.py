"""Studies that are deleted while they come again: no lock is held twice, and what is acknowledged stays."""

from pathlib import Path

import pytest

import dicom_io.spool.spool
from core.files import replace_file, sync_folder
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.received import study_key
from dicom_io.spool.spool import Spool
from tests.support.arriving import Sent, put

KEY = study_key("SEGNODE", "1.2")
IMAGE = Sent("SEGNODE", "1.2", "1.2.3", True, b"image")


@pytest.mark.parametrize("deleted_before", ["create_study", "locked"])
def test_an_image_whose_study_is_deleted_meanwhile_makes_it_anew(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, deleted_before: str
) -> None:
    put(Ingest(spool), IMAGE)
    original = getattr(Spool, deleted_before)
    deleted: list[bool] = []

    def delete_first(self: Spool, key: str, *rest: str) -> object:
        if not deleted:
            deleted.append(True)
            spool.folder(key).rename(spool.root / "trash" / key)
        return original(self, key, *rest)

    monkeypatch.setattr(Spool, deleted_before, delete_first)
    assert put(Ingest(spool), IMAGE) == "new_revision"
    assert deleted == [True]
    assert [path.read_bytes() for path in spool.revision(KEY, 0).images.iterdir()] == [b"image"]


def test_a_spool_that_is_gone_takes_nothing(spool: Spool) -> None:
    """As where its disk is not mounted any more."""
    (spool.root / "studies").rename(spool.root / "away")
    with pytest.raises(FileNotFoundError):
        put(Ingest(spool), IMAGE)


def test_a_study_is_seen_only_when_its_folder_survives_a_power_cut(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that sees study.json makes nothing durable but what lies below."""
    steps: list[str] = []

    def sync(folder: Path) -> None:
        sync_folder(folder)
        steps.append(folder.name)

    def replace(path: Path, data: bytes) -> None:
        assert (path.parent / "others").is_dir()
        replace_file(path, data)
        steps.append(path.name)

    monkeypatch.setattr(dicom_io.spool.spool, "sync_folder", sync)
    monkeypatch.setattr(dicom_io.spool.spool, "replace_file", replace)
    spool.create_study(KEY, "SEGNODE", "1.2")
    assert steps == ["studies", KEY, "study.json"]


def test_a_study_that_was_deleted_and_comes_again_is_another_incarnation(spool: Spool) -> None:
    put(Ingest(spool), IMAGE)
    first = spool.incarnation(KEY)
    put(Ingest(spool), IMAGE)
    assert spool.incarnation(KEY) == first
    (spool.root / "open" / KEY).unlink()
    assert spool.delete(KEY, lambda revisions: True)
    assert not spool.delete(KEY, lambda revisions: True)
    put(Ingest(spool), IMAGE)
    assert spool.incarnation(KEY) not in ("", first)


def test_a_record_of_before_there_were_incarnations_has_none(spool: Spool) -> None:
    put(Ingest(spool), IMAGE)
    (spool.folder(KEY) / "study.json").write_text('{"called_ae": "SEGNODE", "study": "1.2"}')
    assert spool.incarnation(KEY) == ""
