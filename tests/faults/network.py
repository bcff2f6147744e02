"""Faults of the upper layer and of messages (PS3.8, PS3.7): what a peer sends that it should not."""

import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from dicom_io.commitment.request import PUSH_MODEL, PUSH_MODEL_INSTANCE
from tests.faults.objects import element, image_bytes, store_command
from tests.faults.table import Fault
from tests.support.listener_process import ListenerProcess
from tests.support.node_process import PATIENCE_S
from tests.support.upper_layer import ECHO, VERIFICATION, Connection, associate_rq, command, item, p_data, pdu, pdv

SYNTAX = (str(ExplicitVRLittleEndian),)
CT, MR = str(CTImageStorage), str(MRImageStorage)


def outcome(connection: Connection) -> str:
    """Return the other side's answer: a status, an abort, a rejection, or the end."""
    try:
        answer = connection.receive_pdu()
    except TimeoutError:
        return "no answer"
    kinds = {b"": "closed", b"\x02": "accepted", b"\x06": "released", b"\x07": "aborted"}
    if answer[:1] == b"\x03":
        return "rejected {}.{}.{}".format(*answer[7:10])
    if answer[:1] == b"\x04":
        at = answer.find(struct.pack("<HHL", 0, 0x0900, 2))
        return f"0x{struct.unpack_from('<H', answer, at + 8)[0]:04X}"
    return kinds.get(answer[:1], answer[:1].hex())


def first(content: bytes) -> Callable[[ListenerProcess], str]:
    """Send this before any association."""

    def inject(listener: ListenerProcess) -> str:
        with Connection(listener.port) as connection:
            connection.send(content)
            return outcome(connection)

    return inject


def then(*contents: bytes) -> Callable[[ListenerProcess], str]:
    """Send this in an association."""

    def inject(listener: ListenerProcess) -> str:
        with Connection(listener.port) as connection:
            connection.associate()
            for content in contents:
                connection.send(content)
            return outcome(connection)

    return inject


def dripping(content: bytes, *, associated: bool) -> Callable[[ListenerProcess], str]:
    """Send a byte now and then, until the other side has enough."""

    def inject(listener: ListenerProcess) -> str:
        with Connection(listener.port) as connection:
            if associated:
                connection.associate()
            connection.socket.settimeout(0.2)
            for byte in content:
                try:
                    connection.send(bytes([byte]))
                    if connection.socket.recv(1):
                        return "aborted"
                    return "closed"
                except TimeoutError:
                    continue
                except OSError:
                    return "closed"
            connection.socket.settimeout(PATIENCE_S)
            return outcome(connection)

    return inject


def ending(end: Callable[[Connection], None], *, whole: bool = False) -> Callable[[ListenerProcess], str]:
    """End the connection in the middle of an object, or right after it."""

    def inject(listener: ListenerProcess) -> str:
        study = generate_uid()
        request, data = store_command(study), image_bytes(study)
        with Connection(listener.port) as connection:
            connection.associate()
            connection.send(p_data(pdv(3, 1 | 2, request)))
            sent = p_data(pdv(3, 2, data))
            connection.send(sent if whole else sent[: len(sent) // 2])
            if whole and outcome(connection) != "0x0000":
                return "not stored"
            end(connection)
        time.sleep(0.3)
        return f"{len(listener.images(study))} stored"

    return inject


def half_close(connection: Connection) -> None:
    connection.socket.shutdown(socket.SHUT_WR)
    connection.receive_pdu()


def one_byte_values(listener: ListenerProcess) -> str:
    study = generate_uid()
    data = image_bytes(study)
    with Connection(listener.port) as connection:
        connection.associate()
        connection.send(p_data(pdv(3, 3, store_command(study))))
        connection.send(b"".join(p_data(pdv(3, 0, data[n : n + 1])) for n in range(len(data))))
        connection.send(p_data(pdv(3, 2, b"")))
        return f"{outcome(connection)}, {len(listener.images(study))} stored"


def pipelined(listener: ListenerProcess) -> str:
    study = generate_uid()
    with Connection(listener.port) as connection:
        connection.associate()
        for number in range(8):
            connection.send(p_data(pdv(3, 3, store_command(study, number))))
            connection.send(p_data(pdv(3, 2, image_bytes(study, number))))
        answers = {outcome(connection) for _ in range(8)}
        return f"{', '.join(answers)}, {len(listener.images(study))} stored"


def endless(listener: ListenerProcess) -> str:
    with Connection(listener.port) as connection:
        connection.associate()
        connection.send(p_data(pdv(3, 3, store_command(generate_uid()))))
        try:
            for _ in range(64):
                connection.send(p_data(pdv(3, 0, bytes(100_000))))
        except OSError:
            return "ended"
        return "ended" if outcome(connection) in ("aborted", "closed") else "taken"


def client_hello() -> bytes:
    """Return the first bytes of a TLS client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def after_another(listener: ListenerProcess) -> str:
    with Connection(listener.port) as connection:
        connection.associate()
        connection.send(p_data(pdv(1, 3, command(0x7777, VERIFICATION, has_data=True))))
        connection.send(p_data(pdv(1, 2, bytes(1000))) + ECHO)
        return f"{outcome(connection)}, {outcome(connection)}"


def storing_in(context: str, sop_class: str) -> Callable[[ListenerProcess], str]:
    """Send an object in a context that is not for it."""

    def inject(listener: ListenerProcess) -> str:
        study = generate_uid()
        with Connection(listener.port) as connection:
            connection.associate(associate_rq(contexts=[(3, context, SYNTAX)]))
            connection.send(p_data(pdv(3, 3, store_command(study, sop_class=sop_class))))
            connection.send(p_data(pdv(3, 2, image_bytes(study))))
            return f"{outcome(connection)}, {len(listener.images(study))} stored"

    return inject


def reporting(listener: ListenerProcess) -> str:
    """Three million bytes of items behind a transaction that nobody knows."""
    start = element(0x00081195, b"UI", b"1.2.3\0") + element(0x00081199, b"SQ", b"", 0xFFFFFFFF)
    with Connection(listener.port) as connection:
        connection.associate(associate_rq(contexts=[(3, PUSH_MODEL, SYNTAX)]))
        connection.send(p_data(pdv(3, 3, command(0x100, PUSH_MODEL, PUSH_MODEL_INSTANCE, has_data=True, event=1))))
        connection.send(p_data(pdv(3, 0, start)))
        for number in range(30):
            items = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 12_500
            connection.send(p_data(pdv(3, 2 if number == 29 else 0, items)))
        return outcome(connection)


def contexts(count: int) -> list[tuple[int, str, tuple[str, ...]]]:
    return [(2 * number % 256 + 1, CT, SYNTAX) for number in range(count)]


def context_ids(*numbers: int) -> bytes:
    return associate_rq(contexts=[(number, CT, SYNTAX) for number in numbers])


REQUEST = associate_rq()
STORE, IMAGE = store_command("1.2.3"), image_bytes("1.2.3")
NETWORK = (
    Fault("request of length 0xFFFFFFFF", "aborted", first(struct.pack(">BBL", 1, 0, 0xFFFFFFFF))),
    Fault("request a byte longer than allowed", "aborted", first(struct.pack(">BBL", 1, 0, (1 << 20) + 1))),
    Fault("unknown PDU first", "aborted", first(pdu(0x99, bytes(4)))),
    Fault("data before association", "aborted", first(ECHO)),
    Fault("release before association", "aborted", first(pdu(5, bytes(4)))),
    Fault("HTTP", "aborted", first(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
    Fault("TLS to the plain port", "aborted", first(client_hello())),
    Fault("request shorter than its fixed part", "aborted", first(pdu(1, bytes(20)))),
    Fault("request of zeros", "aborted", first(pdu(1, bytes(200)))),
    Fault("request with an item cut off", "aborted", first(pdu(1, REQUEST[6:-3]))),
    Fault("request with an item longer than itself", "aborted", first(associate_rq(extra=b"\x50\x00\xff\xff"))),
    Fault("request with an unknown item", "aborted", first(associate_rq(extra=item(0x77, b"x")))),
    Fault("129 contexts", "aborted", first(associate_rq(contexts=contexts(129)))),
    Fault("128 contexts", "accepted", first(associate_rq(contexts=contexts(128)))),
    Fault("no context", "aborted", first(associate_rq(contexts=()))),
    Fault("context with ID 0", "aborted", first(context_ids(0))),
    Fault("context with an even ID", "aborted", first(context_ids(2))),
    Fault("one context ID twice", "aborted", first(context_ids(1, 1))),
    Fault("context without transfer syntax", "aborted", first(associate_rq(contexts=[(1, CT, ())]))),
    Fault("context of an unknown class alone", "accepted", first(associate_rq(contexts=[(1, "1.2.3.4", SYNTAX)]))),
    Fault("context of a class that is no UID", "accepted", first(associate_rq(contexts=[(1, "../x", SYNTAX)]))),
    Fault("protocol version 2", "rejected 1.2.2", first(associate_rq(version=2))),
    Fault("unknown called AE title", "rejected 1.1.7", first(associate_rq("NOBODY"))),
    Fault("empty called AE title", "aborted", first(associate_rq(""))),
    Fault("unknown PDU in an association", "aborted", then(pdu(0x99, bytes(4)))),
    Fault("PDU length 0xFFFFFFFF", "aborted", then(struct.pack(">BBL", 4, 0, 0xFFFFFFFF))),
    Fault("PDU a byte longer than allowed", "aborted", then(struct.pack(">BBL", 4, 0, (16 << 20) + 1))),
    Fault("second request", "aborted", then(REQUEST)),
    Fault("acceptance from who asked", "aborted", then(pdu(2, REQUEST[6:]))),
    Fault("release response unasked", "aborted", then(pdu(6, bytes(4)))),
    Fault("abort", "closed", then(pdu(7, bytes(4)))),
    Fault("P-DATA without value", "0x0000", then(pdu(4, b""), ECHO)),
    Fault("PDV longer than its PDU", "aborted", then(pdu(4, struct.pack(">LBB", 5000, 1, 3) + bytes(100)))),
    Fault("PDV of length 0", "aborted", then(pdu(4, struct.pack(">L", 0)))),
    Fault("PDV without control header", "aborted", then(pdu(4, struct.pack(">LB", 1, 1)))),
    Fault("data set before command", "aborted", then(p_data(pdv(3, 2, b"data")))),
    Fault("command in a data set", "aborted", then(p_data(pdv(3, 3, STORE)), p_data(pdv(3, 0, b"x")), ECHO)),
    Fault("data set in another context", "aborted", then(p_data(pdv(3, 3, STORE)), p_data(pdv(1, 2, b"x")))),
    Fault("context that was not accepted", "aborted", then(p_data(pdv(5, 3, STORE)))),
    Fault("context with an even ID in use", "aborted", then(p_data(pdv(2, 3, STORE)))),
    Fault("unknown command", "0x0211", then(p_data(pdv(1, 3, command(0x7777, VERIFICATION))))),
    Fault("unknown command with a data set, then an echo", "0x0211, 0x0000", after_another),
    Fault("command of garbage", "aborted", then(p_data(pdv(1, 3, b"\xff" * 100)))),
    Fault("empty command", "aborted", then(p_data(pdv(1, 3, b"")))),
    Fault("command without end", "aborted", then(*[p_data(pdv(1, 1, bytes(10_000)))] * 7)),
    Fault("query on a storage context", "0x0211", then(p_data(pdv(3, 3, command(0x20, CT))))),
    Fault("echo on a storage context", "0x0122", then(p_data(pdv(3, 3, command(0x30, CT))))),
    Fault("store without data set", "0xC000", then(p_data(pdv(3, 3, command(1, CT, "1.2.3"))))),
    Fault("store on the context of echo", "0x0122", then(p_data(pdv(1, 3, STORE)), p_data(pdv(1, 2, IMAGE)))),
    Fault("store of the class of echo", "0x0122, 0 stored", storing_in(VERIFICATION, VERIFICATION)),
    Fault("store in the context of commitment", "0x0122, 0 stored", storing_in(PUSH_MODEL, PUSH_MODEL)),
    Fault("store of another class than its context's", "0x0122, 0 stored", storing_in(MR, CT)),
    Fault("report in a storage context", "0x0118", then(p_data(pdv(3, 3, command(0x100, CT))))),
    Fault("report of 3 MiB on what nobody asked", "0x0115", reporting),
    Fault("response unasked, then an echo", "0x0000", then(p_data(pdv(1, 3, command(0x8030, VERIFICATION))), ECHO)),
    Fault("slow request header", "closed", dripping(REQUEST[:6] * 10, associated=False)),
    Fault("slow request body", "closed", dripping(REQUEST, associated=False)),
    Fault("slow PDU header", "aborted", dripping(struct.pack(">BBL", 4, 0, 100), associated=True)),
    Fault("slow PDU body", "aborted", dripping(struct.pack(">BBL", 4, 0, 100) + bytes(90), associated=True)),
    Fault("object of one-byte values", "0x0000, 1 stored", one_byte_values),
    Fault("eight objects at once", "0x0000, 8 stored", pipelined),
    Fault("object without end", "ended", endless),
    Fault("reset in mid-object", "0 stored", ending(lambda connection: connection.reset())),
    Fault("close in mid-object", "0 stored", ending(lambda connection: None)),
    Fault("half-close in mid-object", "0 stored", ending(half_close)),
    Fault("abort in mid-object", "0 stored", ending(lambda connection: connection.send(pdu(7, bytes(4))))),
    Fault("release in mid-object", "0 stored", ending(lambda connection: connection.send(pdu(5, bytes(4))))),
    Fault("reset after store", "1 stored", ending(lambda connection: connection.reset(), whole=True)),
    Fault("abort after store", "1 stored", ending(lambda c: c.send(pdu(7, bytes(4))), whole=True)),
    Fault("half-close after store", "1 stored", ending(half_close, whole=True)),
    Fault("plain to the TLS port", "closed", first(REQUEST), "tls"),
    Fault("slow TLS", "closed", dripping(client_hello(), associated=False), "tls"),
    Fault("TLS without certificate", "closed", first(client_hello()[:40]), "tls"),
)
