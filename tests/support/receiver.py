"""A PACS of the tests' own, that answers as it is told and remembers what it took."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydicom.uid import UID, ExplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from tests.support.node_process import free_port


@dataclass(frozen=True)
class Taken:
    """An object that was answered as stored.

    Attributes
    ----------
    study, instance
        Its UIDs.
    digest
        SHA-256 of its data set as it came.
    """

    study: str
    instance: str
    digest: str


class Receiver:
    """A storage SCP.

    Parameters
    ----------
    port
        Where it listens; a free port if left out.
    answer
        Gives the status of each object; it may take its time.
    classes
        What it takes.
    ae_title
        What it wants to be called; any title if empty.
    """

    def __init__(
        self,
        port: int | None = None,
        *,
        answer: Callable[[], int] = lambda: 0x0000,
        classes: Sequence[UID] = (SegmentationStorage,),
        ae_title: str = "",
    ) -> None:
        self.port = port or free_port()
        self.taken: list[Taken] = []
        self.asked = 0
        self._answer = answer
        self._lock = threading.Lock()
        self._ae = AE(ae_title=ae_title or "PACS")
        self._ae.require_called_aet = bool(ae_title)
        self._ae.maximum_associations = 50
        for sop_class in classes:
            self._ae.add_supported_context(sop_class, ExplicitVRLittleEndian)
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> "Receiver":
        """Listen."""
        self._server = self._ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        return self

    def stop(self) -> None:
        """Stop listening, and end what is under way."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _store(self, event: evt.Event) -> int:
        with self._lock:
            self.asked += 1
        status = self._answer()
        if status != 0x0000 and status & 0xF000 != 0xB000:
            return status
        dataset = event.dataset
        digest = hashlib.sha256(event.encoded_dataset(include_meta=False)).hexdigest()
        with self._lock:
            self.taken.append(Taken(str(dataset.StudyInstanceUID), str(dataset.SOPInstanceUID), digest))
        return status
