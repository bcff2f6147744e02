"""Claims: whoever claims later voids all that was claimed before, and a worker without a lease claims nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.settings.node import load_settings
from app.workflow.delivery_step import DeliveryStep
from app.workflow.outcome import make_outcome
from app.workflow.segment_step import publish
from core.errors import Superseded
from dicom_io.spool.claims import Claim, take
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.records import Delivery, RecordedClaim, State
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from runtime.storage_id import spool_id
from tests.support.arriving import Sent, put

EXAMPLE = Path(__file__).parents[3] / "manifests" / "node.example.yaml"


class FixedLease:
    """A lease that holds as the script says, and then for ever."""

    def __init__(self, executor: str = "ct-1", *script: bool) -> None:
        self.executor = executor
        self.confirmed = 0
        self._script: Iterator[bool] = iter(script)

    def confirm(self) -> None:
        self.confirmed += 1

    def holds(self) -> bool:
        return next(self._script, True)


@pytest.fixture
def revision(spool: Spool) -> Revision:
    """A revision that waits for its work, and has one delivery."""
    put(Ingest(spool), Sent("SEGNODE", "1.2", "1.2.3", True, b"image"))
    (key,) = spool.study_keys()
    revision = spool.revision(key, 0)
    assert spool.close(revision, revision.arrival_stamp())
    revision.write_delivery("pacs", Delivery(("a.dcm",)))
    return revision


def files(revision: Revision) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in revision.path.rglob("*") if path.is_file()}


def claimed(spool: Spool, revision: Revision, executor: str = "ct-1", destination: str | None = None) -> Claim:
    return take(spool, FixedLease(executor), revision, 0, destination)


@pytest.mark.parametrize("destination", [None, "pacs"])
def test_a_later_claim_voids_an_earlier_one(spool: Spool, revision: Revision, destination: str | None) -> None:
    late = claimed(spool, revision, "ct-1", destination)
    with late.held():
        pass
    now = claimed(spool, revision, "mr-1", destination)
    assert now.number > late.number
    before = files(revision)
    with pytest.raises(Superseded, match="taken over"), late.held():
        raise AssertionError("never reached")
    with pytest.raises(Superseded):
        late.confirm()
    assert files(revision) == before
    with now.held():
        pass


def test_a_claim_says_whose_it_is_and_keeps_the_state(spool: Spool, revision: Revision) -> None:
    revision.write_state(state=State.RUNNING, overtimes=2)
    claimed(spool, revision, "ct-1")
    state = revision.read_state()
    assert state.claim == RecordedClaim("ct-1", 1)
    assert (state.state, state.overtimes) == ("running", 2)


def test_deliveries_are_claimed_one_by_one(spool: Spool, revision: Revision) -> None:
    revision.write_delivery("other", Delivery(("a.dcm",)))
    first = claimed(spool, revision, "ct-1", "pacs")
    claimed(spool, revision, "mr-1", "other")
    claimed(spool, revision, "mr-1")
    first.write_delivery(replace(Delivery(("a.dcm",)), state="delivered"))
    delivery = revision.read_delivery("pacs")
    assert delivery is not None
    assert (delivery.state, delivery.claim) == ("delivered", RecordedClaim("ct-1", 1))
    claimed(spool, revision, "mr-1", "pacs")
    with pytest.raises(Superseded):
        first.write_delivery(Delivery(()))


def test_work_of_an_earlier_run_claims_nothing(spool: Spool, revision: Revision) -> None:
    revision.write_state(run=1)
    before = files(revision)
    with pytest.raises(Superseded, match="queued anew"):
        take(spool, FixedLease(), revision, 0)
    assert files(revision) == before
    take(spool, FixedLease(), revision, 1)


def test_a_delivery_that_is_gone_is_claimed_by_nobody(spool: Spool, revision: Revision) -> None:
    revision.forget_deliveries()
    with pytest.raises(Superseded):
        claimed(spool, revision, "ct-1", "pacs")


def test_step_that_waited_too_long_for_the_lock_asks_again(spool: Spool, revision: Revision) -> None:
    lease = FixedLease("ct-1", False, False, True)
    assert take(spool, lease, revision, 0).number == 1
    assert lease.confirmed == 3


def write_result(claim: Claim, content: bytes) -> None:
    claim.results.mkdir()
    (claim.results / "a.seg.dcm").write_bytes(content)


def test_results_that_come_too_late_leave_the_others_as_they_are(spool: Spool, revision: Revision) -> None:
    late = claimed(spool, revision, "ct-1")
    write_result(late, b"late")
    now = claimed(spool, revision, "mr-1")
    write_result(now, b"result")
    publish(now, make_outcome("segmented", files={"a": ["a.seg.dcm"]}))
    before = files(revision)
    with pytest.raises(Superseded):
        publish(late, make_outcome("nothing_found"))
    assert files(revision) == before
    assert (revision.results / "a.seg.dcm").read_bytes() == b"result"
    assert revision.read_outcome() == make_outcome("segmented", files={"a": ["a.seg.dcm"]})


def test_a_delivery_that_was_taken_over_is_not_sent(spool: Spool, revision: Revision, tmp_path: Path) -> None:
    """Not even tried: the destination is not there, which would be noted."""
    late = claimed(spool, revision, "ct-1", "pacs")
    claimed(spool, revision, "mr-1", "pacs")
    before = files(revision)
    with pytest.raises(Superseded):
        DeliveryStep(load_settings(EXAMPLE)).advance(late, "pacs")
    assert files(revision) == before


def test_a_spool_keeps_its_name(tmp_path: Path) -> None:
    first = spool_id(tmp_path)
    assert len(first) == 32
    assert spool_id(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["spool-id"]
    (tmp_path / "other").mkdir()
    assert spool_id(tmp_path / "other") != first
