"""The DICOM upper layer by hand (PS3.8), for what no well-behaved library would send."""

import socket
import ssl
import struct
import time
from collections.abc import Iterable, Sequence

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

ATTACKER = "127.0.0.1"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
CONTEXTS: tuple[tuple[int, str, Sequence[str]], ...] = (
    (1, VERIFICATION, (IMPLICIT_LITTLE,)),
    (3, CTImageStorage, (ExplicitVRLittleEndian,)),
)


def item(kind: int, content: bytes) -> bytes:
    """An item or sub-item."""
    return struct.pack(">BBH", kind, 0, len(content)) + content


def associate_rq(
    called: str = "SEGNODE",
    calling: str = "HONEST",
    contexts: Iterable[tuple[int, str, Sequence[str]]] = CONTEXTS,
    *,
    version: int = 1,
    extra: bytes = b"",
) -> bytes:
    """A whole A-ASSOCIATE-RQ."""
    body = struct.pack(">HH", version, 0) + f"{called:<16}{calling:<16}".encode() + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, abstract, syntaxes in contexts:
        syntax_items = b"".join(item(0x40, syntax.encode()) for syntax in syntaxes)
        body += item(0x20, bytes([number, 0, 0, 0]) + item(0x30, abstract.encode()) + syntax_items)
    body += item(0x50, item(0x51, struct.pack(">L", 131072)) + item(0x52, b"1.2.3.4"))
    return pdu(1, body + extra)


def pdu(kind: int, body: bytes) -> bytes:
    """A PDU."""
    return struct.pack(">BBL", kind, 0, len(body)) + body


def pdv(context: int, control: int, content: bytes) -> bytes:
    """A presentation data value; control is 1 for a command, and 2 for the last of its kind."""
    return struct.pack(">LBB", len(content) + 2, context, control) + content


def p_data(*values: bytes) -> bytes:
    """A P-DATA-TF of presentation data values."""
    return pdu(4, b"".join(values))


def command(
    field: int, sop_class: str, instance: str | None = None, *, has_data: bool = False, event: int | None = None
) -> bytes:
    """A command set: C-STORE-RQ (1), C-ECHO-RQ (0x30), or with the type of an event N-EVENT-REPORT-RQ (0x100)."""

    def element(number: int, content: bytes) -> bytes:
        content += b"\0" * (len(content) % 2)
        return struct.pack("<HHL", 0, number, len(content)) + content

    elements = element(2, sop_class.encode()) + element(0x100, struct.pack("<H", field))
    elements += element(0x110, struct.pack("<H", 1))
    if instance is not None:
        elements += element(0x700, struct.pack("<H", 0))
    elements += element(0x800, struct.pack("<H", 1 if has_data else 0x0101))
    if instance is not None:
        elements += element(0x1000, instance.encode())
    if event is not None:
        elements += element(0x1002, struct.pack("<H", event))
    return element(0, struct.pack("<L", len(elements))) + elements


ECHO = p_data(pdv(1, 3, command(0x30, VERIFICATION)))


class Connection:
    """A TCP connection to a listener, from an address of the loopback network."""

    def __init__(self, port: int, address: str = ATTACKER, *, tls: ssl.SSLContext | None = None) -> None:
        raw = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(address, 0))
        self.socket: socket.socket = raw if tls is None else tls.wrap_socket(raw)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, content: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(content)

    def receive_pdu(self) -> bytes:
        """The next whole PDU, or nothing where the connection ends."""
        try:
            header = self._receive(6)
            return header + self._receive(struct.unpack(">BBL", header)[2]) if len(header) == 6 else b""
        except ConnectionError:
            return b""

    def associate(self, request: bytes | None = None) -> "Connection":
        """Open the association that the other side has to accept."""
        self.send(request or associate_rq())
        answer = self.receive_pdu()
        assert answer[:1] == b"\x02", answer
        return self

    def status(self) -> int | None:
        """Status of the next response, or None where there is none but an abort or the end."""
        answer = self.receive_pdu()
        if answer[:1] != b"\x04":
            return None
        # (0000,0900) is the status.
        found = answer.find(struct.pack("<HHL", 0, 0x0900, 2))
        return int(struct.unpack_from("<H", answer, found + 8)[0])

    def reset(self) -> None:
        """End the connection by a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _receive(self, count: int) -> bytes:
        received = b""
        while len(received) < count and (part := self.socket.recv(count - len(received))):
            received += part
        return received


def connect(port: int, address: str = ATTACKER) -> Connection:
    """A plain connection."""
    return Connection(port, address)


def echo_from(address: str, port: int, *, tls: ssl.SSLContext | None = None) -> float:
    """Seconds from the connection to the answer of a C-ECHO."""
    begun = time.monotonic()
    with Connection(port, address, tls=tls) as connection:
        connection.associate()
        connection.send(ECHO)
        assert connection.status() == 0
        taken = time.monotonic() - begun
        connection.send(pdu(5, bytes(4)))
        connection.receive_pdu()
    return taken
