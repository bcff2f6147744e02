"""Destinations of audit messages, and the content of those that no running node writes in a test of its own."""

import logging
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from dicom_io.audit import sinks
from dicom_io.audit.sinks import SENDING, AuditFile, AuditSyslog
from dicom_io.audit.trail import AuditTrail, Party, Transfer
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.records import State
from dicom_io.spool.retention import delete_delivered
from dicom_io.spool.spool import Spool
from dicom_io.tls import TlsFiles
from tests.support.arriving import Sent, put
from tests.support.certificates import make_authority, make_certificate
from tests.support.node_process import ROOT, make_image, wait_until

HEADER = re.compile(
    rb"<85>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 \S+ segnode \d+ DICOM\+RFC3881 - \xef\xbb\xbf(<.+>)"
)
TCP_ESTABLISHED = 1
"""Of Linux's ``enum`` of states, which has no name in Python."""
STUDY = Transfer("1.2.3", "ID-7", "Some^One", {"1.2.840.10008.5.1.4.1.1.2": 2})


def trail(sink: AuditFile | AuditSyslog) -> AuditTrail:
    return AuditTrail([sink], "SEGNODE")


def sending() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == SENDING]


def sent() -> None:
    """Wait until nothing is on its way to a repository."""
    for thread in sending():
        thread.join(60)
        assert not thread.is_alive()


def check(datagram: bytes) -> None:
    found = HEADER.fullmatch(datagram)
    assert found, datagram
    assert fromstring(found[1]).tag == "AuditMessage"  # noqa: S314 - our own message


def test_over_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as repository:
        repository.bind(("127.0.0.1", 0))
        repository.settimeout(60)
        sink = AuditSyslog(f"syslog://127.0.0.1:{repository.getsockname()[1]}", TlsFiles())
        trail(sink).application("start")
        check(repository.recv(65536))


def test_to_the_machine_s_own(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as repository:
        repository.bind(str(tmp_path / "log"))
        repository.settimeout(60)
        trail(AuditSyslog(f"syslog+unix://{tmp_path}/log", TlsFiles())).application("stop")
        check(repository.recv(65536))


class TlsRepository:
    """Takes messages in octet-counted frames (RFC 5425), and ends each connection after as many as it is told."""

    def __init__(self, context: ssl.SSLContext, counts: list[int]) -> None:
        self.messages: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(60)
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._take, args=(context, counts))
        self._thread.start()

    def _take(self, context: ssl.SSLContext, counts: list[int]) -> None:
        with self._listening:
            for count in counts:
                accepted, _ = self._listening.accept()
                with context.wrap_socket(accepted, server_side=True) as connection, connection.makefile("rb") as stream:
                    for _ in range(count):
                        length = b""
                        while (digit := stream.read(1)) != b" ":
                            length += digit
                        self.messages.append(stream.read(int(length)))

    def join(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()


def has_ended(sink: AuditSyslog) -> bool:
    """Tell whether the kernel knows that the repository has closed the connection."""
    assert sink._connection is not None
    (state,) = sink._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return state != TCP_ESTABLISHED


def test_over_tls_and_again_after_the_repository_closed(peer: Callable[[str], str], tmp_path: Path) -> None:
    authority = make_authority(peer("openssl"), tmp_path)
    own = make_certificate(peer("openssl"), tmp_path, "repository", authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    repository = TlsRepository(context, [2, 1])
    sink = AuditSyslog(f"syslog+tls://127.0.0.1:{repository.port}", TlsFiles(authority.certificate, verify_host=False))
    for number in range(3):
        if number == 2:
            sent()
            wait_until(lambda: has_ended(sink))
        trail(sink).application("start")
    repository.join()
    sent()
    assert len(repository.messages) == 3
    for message in repository.messages:
        check(message)
    if sink._connection is not None:
        sink._connection.close()


@pytest.mark.parametrize(
    "url", ["syslog+tls://127.0.0.1:1", "syslog+unix:///no/such/socket", f"syslog://{'x' * 64}.example"]
)
def test_an_unreachable_repository_is_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        trail(AuditSyslog(url, TlsFiles())).application("start")
        sent()
    assert [record.message for record in caplog.records] == ["audit_not_written"]


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A repository that takes connections and never says a word: a handshake with it takes as long as it may."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def url_of(repository: socket.socket) -> str:
    return f"syslog+tls://127.0.0.1:{repository.getsockname()[1]}"


def test_a_repository_that_is_silent_holds_nothing_up(
    silent: socket.socket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "TIMEOUT_S", 3.0)
    written = trail(AuditSyslog(url_of(silent), TlsFiles()))
    for _ in range(5):
        written.application("start")
    assert sending()  # the first still waits, and nobody for it
    sent()
    # What waited behind the first is given up with it, so that a process that ends waits once.
    silent.accept()[0].close()
    with pytest.raises(BlockingIOError):
        silent.accept()
    assert sum(record.__dict__["lost"] for record in caplog.records) == 5


def test_no_more_wait_than_there_is_room_for(
    silent: socket.socket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "TIMEOUT_S", 2.0)
    monkeypatch.setattr(sinks, "MAX_WAITING", 2)
    written = trail(AuditSyslog(url_of(silent), TlsFiles()))
    for _ in range(10):
        written.application("start")
    refused = [record for record in caplog.records if "too many" in record.__dict__["problem"]]
    assert len(refused) >= 7
    sent()


def test_last_message_arrives_before_the_process_ends() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as repository:
        repository.bind(("127.0.0.1", 0))
        repository.settimeout(60)
        url = f"syslog://127.0.0.1:{repository.getsockname()[1]}"
        program = (
            "import sys; from dicom_io.audit.trail import AuditTrail\n"
            "from dicom_io.audit.sinks import AuditSyslog; from dicom_io.tls import TlsFiles\n"
            "trail = AuditTrail([AuditSyslog(sys.argv[1], TlsFiles())], 'SEGNODE')\n"
            "for _ in range(20): trail.application('stop')"
        )
        subprocess.run([sys.executable, "-c", program, url], check=True, cwd=ROOT)  # noqa: S603 - our own interpreter
        for _ in range(20):
            check(repository.recv(65536))


@pytest.mark.parametrize(("action", "event"), [("R", "110103"), ("U", "110103"), ("D", "110105")])
def test_action_of_a_person_names_person_study_and_patient(tmp_path: Path, action: str, event: str) -> None:
    trail(AuditFile(tmp_path / "audit")).handled("alice", action, STUDY)  # type: ignore[arg-type]
    message = fromstring((tmp_path / "audit").read_text())  # noqa: S314 - our own file
    assert message.find("EventIdentification/EventID").get("csd-code") == event  # type: ignore[union-attr]
    assert message[0].get("EventActionCode") == action
    assert [one.get("UserID") for one in message.iter("ActiveParticipant")] == ["alice", "SEGNODE"]
    ids = [one.get("ParticipantObjectID") for one in message.iter("ParticipantObjectIdentification")]
    assert ids == ["1.2.3", "ID-7"]


def test_a_study_that_is_deleted_by_age_is_in_the_trail(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    image = BytesIO()
    made = make_image("1.2.3", 1)
    made.save_as(image, enforce_file_format=True)
    put(Ingest(spool), Sent("SEGNODE", "1.2.3", str(made.SOPInstanceUID), True, image.getvalue()))
    (key,) = spool.study_keys()
    revision = spool.revision(key, 0)
    assert spool.close(revision, revision.arrival_stamp())
    revision.write_state(state=State.DELIVERED)
    spool.unmark(key)
    assert delete_delivered(spool, 1.0, 4e9, trail=trail(AuditFile(tmp_path / "audit"))) == [key]
    message = fromstring((tmp_path / "audit").read_text())  # noqa: S314 - our own file
    assert message[0].get("EventActionCode") == "D"
    ids = [one.get("ParticipantObjectID") for one in message.iter("ParticipantObjectIdentification")]
    assert ids == ["1.2.3", made.PatientID]


def test_a_transfer_that_failed_says_so(tmp_path: Path) -> None:
    trail(AuditFile(tmp_path / "audit")).transferred(Party("A"), Party("B"), STUDY, complete=False)
    message = fromstring((tmp_path / "audit").read_text())  # noqa: S314 - our own file
    assert message[0].get("EventOutcomeIndicator") == "8"


def test_without_anywhere_to_go_nothing_is_written() -> None:
    assert not AuditTrail([], "SEGNODE").is_on
    AuditTrail([], "SEGNODE").application("start")
