import stat
from pathlib import Path

import pytest

from core.errors import PackageInvalid
from core.model_config import LabelSpec
from tests.support.dataset_locks import locked_case
from training.datasets.lock import (
    DatasetLock,
    LockedChannel,
    LockedFile,
    RefusedCase,
    Split,
    read_lock,
    write_lock,
)
from training.datasets.store import aside, guarded, publish

CASE = locked_case("liver")


def make_lock(**changes: object) -> DatasetLock:
    draft = DatasetLock(
        name="LIVER",
        number=101,
        version="0" * 64,
        segnode_version="0.1.0",
        channels=(LockedChannel(name="CT", nnunet_name="CT", unit="HU"),),
        labels=(LabelSpec(value=1, name="liver"),),
        cases={"LIVER_0123456789ab": CASE},
        splits=(Split(train=("LIVER_0123456789ab",), val=()),),
    ).model_copy(update=changes)
    return draft.model_copy(update={"version": draft.content_version()})


def test_lock_is_read_as_written_with_nnunets_splits(tmp_path: Path) -> None:
    lock = make_lock()
    write_lock(tmp_path, lock)
    assert read_lock(tmp_path) == lock
    assert '"train"' in (tmp_path / "splits_final.json").read_text(encoding="utf-8")


REFUSED = RefusedCase(source="0" * 12, code="no_mask", detail="There is no mask for the image.")
NOTED = {"LIVER_0123456789ab": CASE.model_copy(update={"notes": ("spacing_outlier",)})}


@pytest.mark.parametrize(
    "change", [{"number": 102}, {"segnode_version": "9"}, {"refused": (REFUSED,)}, {"cases": NOTED}]
)
def test_version_is_that_of_the_content_alone(change: dict[str, object]) -> None:
    assert make_lock(**change).version == make_lock().version


def test_another_compressor_gives_the_same_version() -> None:
    packed = CASE.model_copy(update={"images": (LockedFile(sha256="c" * 64, content="b" * 64),)})
    assert make_lock(cases={"LIVER_0123456789ab": packed}).version == make_lock().version


@pytest.mark.parametrize(
    "change",
    [
        {"images": (LockedFile(sha256="a" * 64, content="c" * 64),)},
        {"label": LockedFile(sha256="a" * 64, content="c" * 64)},
        {"patient": "0" * 12},
        {"looked_for": ()},
        {"labelled_by": "somebody else"},
        {"spacing": (4.0, 1.0, 1.0)},
    ],
)
def test_other_content_is_another_version(change: dict[str, object]) -> None:
    changed = make_lock(cases={"LIVER_0123456789ab": CASE.model_copy(update=change)})
    assert changed.version != make_lock().version


def test_lock_that_was_edited_is_refused(tmp_path: Path) -> None:
    write_lock(tmp_path, make_lock())
    path = tmp_path / "dataset.lock"
    path.write_text(path.read_text(encoding="utf-8").replace("ba9876543210", "000000000000"), encoding="utf-8")
    with pytest.raises(PackageInvalid, match="it was changed"):
        read_lock(tmp_path)


def test_folder_without_a_lock_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(PackageInvalid, match="no data set of segnode"):
        read_lock(tmp_path)


def test_version_of_a_first_lock_stays() -> None:
    """Locks are read again in later years: a new key at its default, or another order, may not change a version."""
    assert make_lock().version == "9cc9e600a0eb77f7627a2b5f377671d8e9eb094eedf02d8bb22973f6da8d373d"


def test_folder_of_a_shared_group_keeps_its_bit(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    with aside(tmp_path) as work, guarded(tmp_path):
        folder = publish(work, tmp_path, make_lock())
    assert folder.stat().st_mode & stat.S_ISGID
    assert folder.name == "Dataset101_LIVER"
