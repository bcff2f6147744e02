"""A PACS for the demo: Orthanc where it is installed, else a small storage node of the project's own."""

import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydicom import Dataset, dcmread
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.events import Event

from core.errors import RetryLater
from dicom_io.delivery.find_scu import STUDY_ROOT_FIND
from dicom_io.delivery.store_scu import Destination, send_object
from dicom_io.implementation import introduce, sign

PACS_AE = "PACS"
NODE_AE = "SEGNODE"
STARTUP_S = 30.0


def free_port() -> int:
    """Find a free TCP port on the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DemoPacs(Protocol):
    """The part of a PACS that the demo needs."""

    name: str
    destination: Destination

    def take_in(self, files: Sequence[Path], node: Destination, study_uid: str) -> None:
        """Archive a study and send it on to the node."""

    def seg_count(self, study_uid: str) -> int:
        """Count the SEG series of the archived study."""

    def stop(self) -> None:
        """End it."""


def start_pacs(folder: Path, node: Destination) -> DemoPacs:
    """Start Orthanc if it is installed, else the small storage node; both listen on loopback only."""
    orthanc = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    return OrthancPacs(orthanc, folder, node) if orthanc else StorageNode(folder)


def push(files: Sequence[Path], destination: Destination, calling_ae: str) -> None:
    """Send files by C-STORE.

    Raises
    ------
    RetryLater
        If one is refused: a study that arrived in part proves nothing.
    """
    for number, path in enumerate(files, 1):
        answer = send_object(path, destination, calling_ae)
        if not answer.accepted:
            raise RetryLater(f"{destination.ae_title} refused image {number} of {len(files)}: {answer.reason}")


class OrthancPacs:
    """Orthanc, as it is installed, on a folder and free ports of its own."""

    def __init__(self, program: str, folder: Path, node: Destination) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._http_port = free_port()
        self.destination = Destination("127.0.0.1", free_port(), PACS_AE)
        self.name = f"Orthanc (http://127.0.0.1:{self._http_port})"
        settings = {
            "Name": "segnode demo",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [],
            "HttpPort": self._http_port,
            "RemoteAccessAllowed": False,
            "DicomAet": PACS_AE,
            "DicomPort": self.destination.port,
            "DicomModalities": {"node": [node.ae_title, node.host, node.port]},
        }
        (folder / "orthanc.json").write_text(json.dumps(settings, indent=2))
        self._log = (folder / "orthanc.log").open("wb")
        self._process = subprocess.Popen(  # noqa: S603 - the installed Orthanc with a file of our own
            [program, str(folder / "orthanc.json")], stdout=self._log, stderr=subprocess.STDOUT
        )
        self._wait_until_up()

    def take_in(self, files: Sequence[Path], node: Destination, study_uid: str) -> None:
        """Push the files by C-STORE as a modality would, then let Orthanc send the study to the node."""
        push(files, self.destination, "MODALITY")
        resources = self._find("Study", {"StudyInstanceUID": study_uid})
        self._request("POST", "/modalities/node/store", {"Resources": resources, "Synchronous": True})

    def seg_count(self, study_uid: str) -> int:
        """Count the SEG series that Orthanc has below the study."""
        return len(self._find("Series", {"StudyInstanceUID": study_uid, "Modality": "SEG"}))

    def stop(self) -> None:
        """End Orthanc; its storage stays."""
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + STARTUP_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self._request("GET", "/system")
            except OSError:
                time.sleep(0.1)
            else:
                return
        self.stop()
        raise RetryLater(f"Orthanc did not start; see {self._log.name}")

    def _find(self, level: str, query: dict[str, str]) -> list[str]:
        found: list[str] = self._request("POST", "/tools/find", {"Level": level, "Query": query})
        return found

    def _request(self, method: str, path: str, content: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._http_port, timeout=120)
        try:
            connection.request(method, path, json.dumps(content) if content is not None else None)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise RetryLater(f"Orthanc answered {response.status} to {method} {path}")
        return json.loads(body)


class StorageNode:
    """Stores what it is sent as files, sends a study on, and says what it has: the least that a demo calls a PACS."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.destination = Destination("127.0.0.1", free_port(), PACS_AE)
        self.name = f"a storage node of the demo's own ({folder})"
        ae = AE(ae_title=PACS_AE)
        introduce(ae)
        ae.supported_contexts = AllStoragePresentationContexts
        ae.add_supported_context(STUDY_ROOT_FIND)
        self._stored: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_FIND, self._find)]
        ae.start_server(("127.0.0.1", self.destination.port), block=False, evt_handlers=handlers)
        self._ae = ae

    def take_in(self, files: Sequence[Path], node: Destination, study_uid: str) -> None:
        """Push the files here, then to the node."""
        push(files, self.destination, "MODALITY")
        push(files, node, PACS_AE)

    def seg_count(self, study_uid: str) -> int:
        """Count the stored SEG objects of the study."""
        headers = (dcmread(path, stop_before_pixels=True) for path in self._folder.glob("*.dcm"))
        return sum(1 for h in headers if h.get("Modality") == "SEG" and h.get("StudyInstanceUID") == study_uid)

    def stop(self) -> None:
        """Stop listening; the files stay."""
        self._ae.shutdown()

    def _store(self, event: Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        sign(dataset.file_meta)
        name = hashlib.sha256(str(dataset.SOPInstanceUID).encode()).hexdigest()[:32]
        dataset.save_as(self._folder / f"{name}.dcm", enforce_file_format=True)
        series = (str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.get("Modality", "")))
        self._stored[series].add(str(dataset.SOPInstanceUID))
        return 0x0000

    def _find(self, event: Event) -> Iterator[tuple[int, Dataset]]:
        """Answer C-FIND at the levels SERIES and IMAGE (PS3.4 C.6.2.1), all that the node asks."""
        query = event.identifier
        for (study, series, modality), images in list(self._stored.items()):
            if study != query.StudyInstanceUID or query.get("SeriesInstanceUID") not in (None, "", series):
                continue
            match = Dataset()
            match.QueryRetrieveLevel = query.QueryRetrieveLevel
            match.StudyInstanceUID, match.SeriesInstanceUID = study, series
            if query.QueryRetrieveLevel == "SERIES":
                match.Modality, match.NumberOfSeriesRelatedInstances = modality, len(images)
                yield 0xFF00, match
                continue
            for image in sorted(images):
                match.SOPInstanceUID = image
                yield 0xFF00, match
