"""Thirty kills of a node under load; ``make soak`` does a thousand. And that what it promises would be seen broken."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from dicom_io.spool.received import object_name, study_key
from dicom_io.spool.records import RecordedReason, State
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from tests.faults.kills.ledger import CALLED_AE, Ledger, data_set_of, digest_of
from tests.faults.kills.soak import soak
from tests.faults.table import FAULT
from tests.support.node_process import PATIENCE_S, make_image
from tests.support.receiver import Taken
from tests.support.stub_worker import stub_result

pytestmark = pytest.mark.slow

KILLS = 30
SEED = 3
STUDY = "1.2.3"


def test_kills(
    tmp_path: Path, record_property: Callable[[str, object], None], caplog: pytest.LogCaptureFixture
) -> None:
    record_property(FAULT, f"listener, worker and node killed {KILLS} times")
    caplog.set_level("CRITICAL", "pynetdicom")
    result = soak(tmp_path, KILLS, 1.0, SEED, time_to_end_s=PATIENCE_S)
    assert not result.broken, result.table()
    assert result.kills.total() == KILLS, result.table()
    assert min(result.kills.values()) >= 5, result.table()
    # How many images are acknowledged between thirty kills depends on the machine; without one, nothing was tried.
    assert result.counts["of these found with equal bytes"] == result.counts["instances acknowledged"] > 0
    assert result.states["delivered"] >= 2, result.table()


class Kept:
    """A study that was received, segmented and delivered as promised, made by hand."""

    def __init__(self, folder: Path) -> None:
        spool = Spool(folder)
        key = study_key(CALLED_AE, STUDY)
        self.revision = Revision(folder / "studies" / key / "rev-0", 0, key)
        self.ledger = Ledger(spool)
        image, result = make_image(STUDY), stub_result(STUDY, "1.2.3.4", 0)
        self.image = self.revision.images / f"{object_name(image.SOPInstanceUID)}.dcm"
        self.result = self.revision.results / STUDY / "stub.seg.dcm"
        for dataset, path in ((image, self.image), (result, self.result)):
            path.parent.mkdir(parents=True)
            dataset.save_as(path, enforce_file_format=True)
        self.ledger.sends(STUDY, image.SOPInstanceUID, data_set_of(self.image.read_bytes()))
        self.ledger.acknowledged(STUDY, image.SOPInstanceUID)
        self.revision.begin(State.DELIVERED)
        self.taken = [Taken(STUDY, result.SOPInstanceUID, digest_of(data_set_of(self.result.read_bytes())))]

    def broken(self) -> str:
        self.ledger.look()
        self.ledger.check_nothing_lost()
        self.ledger.check_ends()
        self.ledger.check_results(self.taken)
        return "; ".join(self.ledger.broken)

    def again(self, *, study: str = STUDY, instance: str | None = None, digest: str | None = None) -> None:
        first = self.taken[0]
        self.taken.append(Taken(study, instance or first.instance, digest or first.digest))

    def change_image(self) -> None:
        buffer = BytesIO()
        image = make_image(STUDY)
        image.PixelData = b"\1" * 512
        image.save_as(buffer, enforce_file_format=True)
        self.image.write_bytes(buffer.getvalue())


def test_kept_object_is_found(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.again()
    assert kept.broken() == ""
    assert kept.ledger.check_nothing_lost() == 1


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        (lambda kept: kept.image.unlink(), "acknowledged instance lost"),
        (Kept.change_image, "acknowledged instance changed"),
        (lambda kept: (kept.revision.images / "x.dcm").write_bytes(kept.image.read_bytes()[:-9]), "partial file"),
        (lambda kept: (kept.revision.images / "x.dcm").write_bytes(b"DICM"), "partial file"),
        (lambda kept: kept.revision.write_state(state=State.DELIVERING), "no final state: delivering"),
        (lambda kept: kept.revision.write_state(state=State.FAILED, reason=RecordedReason("x", "")), "failed:"),
        (lambda kept: kept.again(instance="1.2.9"), "received under another UID: 1.2.9"),
        (lambda kept: kept.again(digest="0"), "received with other content"),
        (lambda kept: kept.again(study="1.2.9"), "result of an unknown study"),
        (lambda kept: kept.taken.clear(), "delivered but not received"),
    ],
)
def test_lost_object_is_reported(tmp_path: Path, damage: Callable[[Kept], object], seen: str) -> None:
    kept = Kept(tmp_path)
    damage(kept)
    assert seen in kept.broken()
