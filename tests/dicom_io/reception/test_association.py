"""The upper layer of an association alone, over a pair of sockets: whatever bytes come, and however they are cut."""

import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_io.reception.association import Answered, Caller, Context, Request, ServedAssociation
from dicom_io.reception.dimse import C_ECHO_RQ, C_STORE_RQ, Command
from dicom_io.reception.limits import Limits
from dicom_io.reception.pdu_stream import ABORT, BUFFER_BYTES, PduStream
from tests.faults.objects import store_command
from tests.support.upper_layer import ECHO, p_data, pdu, pdv

LIMITS = Limits(pdu_seconds=60, idle_seconds=60, object_bytes=1 << 20)
SOON_S = 30.0
"""A test that takes less has not waited for these limits."""
RELEASE = pdu(5, bytes(4))
RELEASED = pdu(6, bytes(4))


@dataclass
class Receiver:
    """Serves C-STORE into memory."""

    objects: list[bytes] = field(default_factory=list)
    discarded: int = 0
    _content: bytearray = field(default_factory=bytearray)

    def begin(self, caller: Caller, context: Context, command: Command) -> Request:
        self._content = bytearray()
        return self

    def write(self, piece: memoryview) -> None:
        self._content += piece

    def finish(self) -> int:
        self.objects.append(bytes(self._content))
        return 0

    def discard(self) -> None:
        self.discarded += 1


def serve(
    sent: list[bytes], *, max_length: int = 0, limits: Limits = LIMITS, receiver: Receiver | None = None
) -> tuple[Receiver, bytes]:
    """Serve what a peer sends before it closes its end; what was received, and what was answered."""
    near, far = socket.socketpair()
    receiver = receiver or Receiver()
    services = {C_STORE_RQ: receiver.begin, C_ECHO_RQ: lambda *_: Answered(0)}
    contexts = {1: Context("1.2.840.10008.1.1", "1.2.840.10008.1.2"), 3: Context("1.2.3", "1.2.840.10008.1.2.1")}
    association = ServedAssociation(
        PduStream(near, limits), Caller("A", "B", "address"), contexts, max_length, limits, services
    )

    def send() -> None:
        try:
            for part in sent:
                far.sendall(part)
            far.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was aborted

    thread = threading.Thread(target=send)
    with far:
        with near, pytest.MonkeyPatch.context() as patched:
            patched.setattr(
                "dicom_io.reception.pdu_stream.LINGER_S", SOON_S
            )  # the thread may be long in coming to its turn
            thread.start()
            association.serve()
        thread.join()
        far.settimeout(SOON_S)
        answer = b""
        while part := far.recv(65536):
            answer += part
    return receiver, answer


def message(data: bytes, cuts: list[int], values_in_pdu: int) -> bytes:
    """A C-STORE whose data set is cut into values, several of them in one PDU."""
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)] or [b""]
    values = [pdv(3, 3, store_command("1.2.3"))]
    values += [pdv(3, 2 if number == len(pieces) - 1 else 0, piece) for number, piece in enumerate(pieces)]
    groups = [values[start : start + values_in_pdu] for start in range(0, len(values), values_in_pdu)]
    return b"".join(p_data(*group) for group in groups)


@settings(max_examples=60, deadline=None)
@given(
    data=st.binary(max_size=300),
    repeat=st.integers(1, 3000),
    cuts=st.lists(st.integers(0, 900_000), max_size=20),
    values_in_pdu=st.integers(1, 5),
    sends=st.lists(st.integers(1, 300_000), max_size=8),
)
def test_however_it_is_cut_the_same_bytes_arrive(
    data: bytes, repeat: int, cuts: list[int], values_in_pdu: int, sends: list[int]
) -> None:
    content = data * repeat
    stream = message(content, cuts, values_in_pdu) + ECHO + RELEASE
    parts = []
    for size in sends:
        parts.append(stream[:size])
        stream = stream[size:]
    receiver, answer = serve([*parts, stream])
    assert receiver.objects == [content]
    assert answer.count(struct.pack("<HHLH", 0, 0x0900, 2, 0)) == 2
    assert answer.endswith(RELEASED)


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
    length=st.integers(0, 2000),
    tail=st.binary(max_size=40),
)
def test_damage_ends_it_and_no_part_of_an_object_is_taken_for_a_whole(
    changes: list[tuple[int, int]], length: int, tail: bytes
) -> None:
    data = bytes(range(256)) * 4
    damaged = bytearray(message(data, [100, 700], 1) + ECHO)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    receiver, answer = serve([bytes(damaged[:length]) + tail])
    assert len(receiver.objects) <= 1
    assert receiver.discarded <= 1
    if not changes:
        assert all(found == data for found in receiver.objects)
    assert answer == b"" or answer[0] in (4, 6, 7)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    receiver, answer = serve([content])
    assert receiver.objects == []
    assert answer in (b"", ABORT, RELEASED)


@pytest.mark.parametrize("max_length", [0, 7, 20, 16384])
def test_an_answer_fits_into_what_the_peer_receives(max_length: int) -> None:
    _, answer = serve([message(b"data", [], 5) + RELEASE], max_length=max_length)
    status, at = b"", 0
    while answer[at] == 4:
        (size,) = struct.unpack_from(">L", answer, at + 2)
        assert max_length == 0 or size <= max(max_length, 7)
        status += answer[at + 12 : at + 6 + size]
        at += 6 + size
    assert struct.pack("<HHLH", 0, 0x0900, 2, 0) in status
    assert answer[at:] == RELEASED


def test_an_object_beyond_the_limit_is_discarded() -> None:
    receiver, answer = serve([message(bytes((1 << 20) + 1), [500_000], 1)])
    assert (receiver.objects, receiver.discarded, answer) == ([], 1, ABORT)


@pytest.mark.parametrize(("sent", "limits"), [(b"", {"idle_seconds": 0.2}), (ECHO[:9], {"pdu_seconds": 0.2})])
def test_silence_has_an_end(sent: bytes, limits: dict[str, float]) -> None:
    near, far = socket.socketpair()
    wire_limits = LIMITS.model_copy(update=limits)
    with near, far:
        far.sendall(sent)
        begun = time.monotonic()
        contexts = {1: Context("1.2.840.10008.1.1", "1.2.840.10008.1.2")}
        ServedAssociation(
            PduStream(near, wire_limits), Caller("A", "B", "address"), contexts, 0, wire_limits, {}
        ).serve()
        assert time.monotonic() - begun < SOON_S
        assert far.recv(100) == ABORT


@dataclass
class SlowReceiver(Receiver):
    """A disk that takes longer over a piece than a peer may over a PDU."""

    def write(self, piece: memoryview) -> None:
        if not self._content:
            time.sleep(3.5)
        super().write(piece)


def test_a_slow_disk_is_no_slow_peer() -> None:
    content = bytes(3 * BUFFER_BYTES)
    limits = LIMITS.model_copy(update={"pdu_seconds": 3.0})
    # The whole object is one PDU, of which most has still to be read when the disk is done with its beginning.
    receiver, answer = serve([message(content, [], 2) + RELEASE], limits=limits, receiver=SlowReceiver())
    assert receiver.objects == [content]
    assert answer.endswith(RELEASED)


def test_a_peer_that_never_stops_sending_is_left() -> None:
    near, far = socket.socketpair()
    stop = threading.Event()

    def flood() -> None:
        try:
            while not stop.is_set():
                far.sendall(pdu(0x99, bytes(4)) + bytes(100_000))
        except OSError:
            pass  # it was left

    thread = threading.Thread(target=flood)
    with far:
        with near:
            thread.start()
            ServedAssociation(PduStream(near, LIMITS), Caller("A", "B", "address"), {}, 0, LIMITS, {}).serve()
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("end", "how"), [(b"", "connection_ended"), (pdu(7, bytes(4)), "aborted"), (RELEASE, "released")]
)
def test_a_truncated_object_is_logged(end: bytes, how: str, caplog: pytest.LogCaptureFixture) -> None:
    whole = message(b"data", [], 1)
    serve([whole + ECHO + end])
    assert caplog.records == []
    beginning = p_data(pdv(3, 3, store_command("1.2.3"))) + p_data(pdv(3, 0, bytes(1000)))
    receiver, _ = serve([beginning + end])
    assert (receiver.objects, receiver.discarded) == ([], 1)
    (record,) = caplog.records
    said = {"reason": how, "bytes": 1000, "address": "address"}
    assert (record.message, said) == ("object_truncated", {name: record.__dict__[name] for name in said})


def test_an_association_can_be_ended_from_another_thread() -> None:
    near, far = socket.socketpair()
    with near, far:
        wire = PduStream(near, LIMITS)
        timer = threading.Timer(0.1, wire.hang_up)
        timer.start()
        begun = time.monotonic()
        ServedAssociation(wire, Caller("A", "B", "address"), {}, 0, LIMITS, {}).serve()
        timer.join()
        assert time.monotonic() - begun < SOON_S
        assert far.recv(100) == ABORT
