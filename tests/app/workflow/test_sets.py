"""The objects of a run as one set for each destination: all of them, or `partial` with the missing one named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import ComprehensiveSRStorage, generate_uid

from app.workflow.study_flow import _files_for
from dicom_io.spool.claims import Claim
from dicom_io.spool.records import Delivery, PlannedDelivery, State
from tests.faults.table import FAULT
from tests.support.delivery_case import NAME, SEG, Case, Pacs, web
from tests.support.node_process import make_image
from tests.support.web_server import WebServer

SR = "1/stub.sr.dcm"


class SetCase(Case):
    """A SEG and an SR of one run on their way to one destination."""

    def __init__(self, folder: Path, destination: dict[str, Any]) -> None:
        super().__init__(folder, destination)
        path = self.revision.results / SR
        make_image(generate_uid(), sop_class=ComprehensiveSRStorage).save_as(path, enforce_file_format=True)
        self.sr_uid = str(dcmread(path).SOPInstanceUID)
        self.revision.write_delivery(NAME, Delivery((SR, SEG)))


def test_a_refused_object_leaves_the_others_of_its_set_and_is_named(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, "one object of a set refused by a destination")
    pacs = Pacs(0x0000)  # it takes SEG alone
    with pacs.running() as destination:
        case = SetCase(tmp_path, destination)
        end = case.until("partial")
    assert pacs.holds == {case.uid}
    assert end.sent == (SEG,)
    assert end.reason.startswith("stub.sr.dcm missing: ")
    assert end.reason.endswith("; if it takes no such object, remove sr from its outputs in node.yaml")
    case.fail()
    state = case.revision.read_state()
    assert state.state is State.FAILED
    assert state.reason is not None
    assert (state.reason.code, state.reason.message) == ("partial", "Delivered in part: pacs lacks stub.sr.dcm.")


def test_a_retry_of_a_part_sends_what_is_missing_alone(tmp_path: Path) -> None:
    pacs = Pacs(0x0000)
    with pacs.running() as destination:
        case = SetCase(tmp_path, destination)
        case.until("partial")
    case.revision.write_delivery(NAME, case.delivery.begun_again())
    again = Pacs(0x0000)
    again.port = pacs.port
    again.take(ComprehensiveSRStorage)
    with again.running():
        assert case.until("delivered").sent == (SEG, SR)
    assert again.holds == {case.sr_uid}


def test_a_crash_between_two_objects_sends_none_twice(
    tmp_path: Path, record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    record_property(FAULT, "a crash between two objects of a set")
    pacs = Pacs(0x0000)
    pacs.take(ComprehensiveSRStorage)
    with pacs.running() as destination:
        case = SetCase(tmp_path, destination)
        confirmed: list[Claim] = []

        def die_before_the_second(claim: Claim) -> None:
            confirmed.append(claim)
            if len(confirmed) > 1:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(Claim, "confirm", die_before_the_second)
            with pytest.raises(KeyboardInterrupt):
                case.advance()
        assert case.delivery.sent == (SR,)
        assert case.until("delivered").sent == (SR, SEG)
    assert pacs.sent == 2


def test_a_set_of_which_nothing_is_taken_is_refused(tmp_path: Path) -> None:
    pacs = Pacs(0xC000)
    pacs.take(ComprehensiveSRStorage)
    with pacs.running() as destination:
        end = SetCase(tmp_path, destination).until("refused")
    assert (end.sent, pacs.sent) == ((), 2)
    assert "missing" not in end.reason


def test_a_web_server_that_refuses_all_ends_refused(tmp_path: Path) -> None:
    with WebServer(409, b"") as server:
        case = SetCase(tmp_path, web(server))
        assert case.until("refused").missing == ("stub.sr.dcm", "seg.dcm")


def test_each_destination_gets_the_forms_that_it_asked_for() -> None:
    files = {"liver": ("1/liver.seg.dcm", "1/liver.sr.dcm"), "lung": ("1/lung.seg.dcm",)}
    assert _files_for(PlannedDelivery(("liver", "lung"), (), ("seg",)), files) == ["1/liver.seg.dcm", "1/lung.seg.dcm"]
    assert _files_for(PlannedDelivery(("liver",), (), ("sr",)), files) == ["1/liver.sr.dcm"]
