"""One result on its way to one destination without a node around it, and a PACS that answers as it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage, generate_uid
from pynetdicom import AE, evt

from app.settings.node import NodeSettings, load_settings
from app.workflow.deliveries import begin_delivery, end_of
from app.workflow.delivery_step import DeliveryStep
from dicom_io.commitment.request import PUSH_MODEL
from dicom_io.delivery.find_scu import STUDY_ROOT_FIND
from dicom_io.spool.claims import take
from dicom_io.spool.records import Delivery, RecordedReason, State
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from tests.dicom_io.spool.test_claims import FixedLease
from tests.support.node_process import free_port, make_image
from tests.support.web_server import WebServer

KEY, NAME = "0123456789abcdef", "pacs"
SEG = "1/seg.dcm"


class Case:
    """One study with one result on its way to one destination, without a node around it."""

    def __init__(self, folder: Path, destination: dict[str, Any], **settings: Any) -> None:
        config = folder / "node.yaml"
        retry = {"first_seconds": 0.01, "longest_seconds": 0.01}
        content = {
            "ae_title": "SEGNODE",
            "host": "127.0.0.1",
            "port": 11112,
            "spool": "spool",
            "peers": "any",
            "routes": [{"called_ae": "SEGNODE", "models": ["stub"], "destinations": [NAME]}],
            "destinations": {NAME: {"retry": retry, **destination}},
        }
        config.write_text(yaml.safe_dump(content | settings))
        self.settings: NodeSettings = load_settings(config)
        self.spool = Spool(self.settings.spool)
        self.spool.prepare()
        self.spool.create_study(KEY, "SEGNODE", "1.2.3")
        with self.spool.locked(KEY):
            self.revision: Revision = self.spool.open_revision(KEY, State.DELIVERING)
        path = self.revision.results / SEG
        path.parent.mkdir(parents=True)
        make_image(generate_uid(), sop_class=SegmentationStorage).save_as(path, enforce_file_format=True)
        self.uid = str(dcmread(path).SOPInstanceUID)
        begin_delivery(self.revision, NAME, [SEG])
        self.step = DeliveryStep(self.settings)

    def advance(self) -> Delivery:
        """Go on with the delivery once."""
        run = self.revision.read_state().run
        self.step.advance(take(self.spool, FixedLease(), self.revision, run, NAME), NAME)
        return self.delivery

    def until(self, *states: str) -> Delivery:
        """Go on until it has one of the states."""
        for _ in range(20):
            if (delivery := self.advance()).state in states:
                return delivery
        raise AssertionError(self.delivery)

    @property
    def delivery(self) -> Delivery:
        """Return the record on disk."""
        found = self.revision.read_delivery(NAME)
        assert found is not None
        return found

    def fail(self) -> None:
        """End the study as the workflow does."""
        end = end_of(self.revision)
        assert end is not None
        self.revision.write_state(state=end[0], reason=RecordedReason(*end[1:]))


def web(server: WebServer) -> dict[str, Any]:
    return {"kind": "dicomweb", "url": server.url}


class Pacs:
    """A storage SCP that answers as it is told, and C-FIND from what it holds."""

    def __init__(self, status: int, *, finds: bool = True, stores: bool = True, names: str = "") -> None:
        self.status, self.comment = status, ""
        self.holds: set[str] = set()
        self.asked: list[str] = []
        self.sent = 0
        self.commits = Dataset()
        """Its answer to a request for commitment; without a status it has no such service."""
        self.port = free_port()
        self._stores, self._names = stores, names
        self._ae = AE("PACS")
        self._ae.add_supported_context(SegmentationStorage)
        if finds:
            self._ae.add_supported_context(STUDY_ROOT_FIND)

    def take(self, sop_class: str) -> None:
        """Take objects of another class, too."""
        self._ae.add_supported_context(sop_class)

    @contextmanager
    def running(self) -> Iterator[dict[str, Any]]:
        """Listen; the settings of the destination."""
        if "Status" in self.commits:
            self._ae.add_supported_context(PUSH_MODEL)
        handlers = [
            (evt.EVT_N_ACTION, lambda event: (self.commits, None)),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_PDU_SENT, lambda event: None),
        ]
        server = self._ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        assert server is not None
        try:
            yield {"kind": "dicom", "ae_title": "PACS", "host": "127.0.0.1", "port": self.port}
        finally:
            server.shutdown()

    def _store(self, event: evt.Event) -> Dataset:
        self.sent += 1
        if self._stores:
            self.holds.add(str(event.request.AffectedSOPInstanceUID))
        answer = Dataset()
        answer.Status = self.status
        if self.comment:
            answer.ErrorComment = self.comment
        if self._names:
            answer.AffectedSOPInstanceUID = self._names
        return answer

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        uid = str(event.identifier.SOPInstanceUID)
        self.asked.append(uid)
        if uid in self.holds:
            match = Dataset()
            match.QueryRetrieveLevel, match.SOPInstanceUID = "IMAGE", uid
            yield 0xFF00, match
        yield 0x0000, None
