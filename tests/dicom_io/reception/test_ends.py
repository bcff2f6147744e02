"""Unforeseen ends of associations: the peer gets an answer, the log a line, all within a time limit."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pynetdicom import AE

from dicom_io.reception.association import Answered, Caller, Context, Request, Service
from dicom_io.reception.dimse import C_ECHO_RQ, Command
from dicom_io.reception.limits import Limits
from dicom_io.reception.server import LINGER_S, Admission, NodeServer, Rejection
from tests.support.node_process import wait_until
from tests.support.upper_layer import ECHO, IMPLICIT_LITTLE, VERIFICATION, Connection, associate_rq

ABORTED = b"\x07"
ECHO_ALONE = associate_rq(contexts=[(1, VERIFICATION, (IMPLICIT_LITTLE,))])


@contextmanager
def server(
    service: Service,
    on_end: Callable[[Caller], None] = lambda caller: None,
    admit: Admission = lambda *_: None,
) -> Iterator[NodeServer]:
    """A server that answers C-ECHO as it is told."""
    ae = AE(ae_title="SEGNODE")
    ae.add_supported_context(VERIFICATION)
    running = NodeServer(
        ae,
        ("127.0.0.1", 0),
        {C_ECHO_RQ: service},
        limits=Limits(),
        admit=admit,
        on_end=on_end,
        on_tls_failed=lambda address: None,
    )
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        running.end_associations(0.0)
        thread.join()


def test_a_flood_of_requests_is_no_flood_of_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    with server(lambda *_: Answered(0), admit=lambda *_: Rejection.CALLING_AE) as running:
        for _ in range(40):
            with Connection(port_of(running)) as connection:
                connection.send(ECHO_ALONE)
                assert connection.receive_pdu()[:1] == b"\x03"
    said = [record for record in caplog.records if record.message == "association_rejected"]
    assert 1 <= len(said) <= 10
    assert said[0].__dict__["before"] == 0


def port_of(running: NodeServer) -> int:
    return int(running.server_address[1])


class Failing(Answered):
    """Fails in a way that nobody foresaw."""

    def finish(self) -> int | None:
        raise KeyError("CANARY")


def failing_at_once(caller: Caller, context: Context, command: Command) -> Request:
    raise MemoryError("CANARY")


def failing_at_the_end(caller: Caller, context: Context, command: Command) -> Request:
    return Failing(0)


@pytest.mark.parametrize(("service", "error"), [(failing_at_once, "MemoryError"), (failing_at_the_end, "KeyError")])
def test_an_unforeseen_error_is_logged_and_ends_only_its_association(
    service: Service, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []
    with (
        server(service, lambda caller: ended.append(caller.calling_ae)) as running,
        Connection(port_of(running)) as connection,
        Connection(port_of(running)) as other,
    ):
        connection.associate(ECHO_ALONE)
        other.associate(ECHO_ALONE)
        connection.send(ECHO)
        assert connection.receive_pdu()[:1] == ABORTED
        assert connection.receive_pdu() == b""
        wait_until(lambda: ended == ["HONEST"])
        other.send(ECHO)
        assert other.receive_pdu()[:1] == ABORTED
    assert [record.message for record in caplog.records] == ["association_failed"] * 2
    assert {record.__dict__["error"] for record in caplog.records} == {error}
    assert all(record.__dict__["at"].startswith("test_ends.py:") for record in caplog.records)
    assert "CANARY" not in str([record.__dict__ for record in caplog.records])


def test_many_that_hang_are_not_waited_for_one_after_the_other() -> None:
    hanging, release = threading.Semaphore(0), threading.Event()

    def hang(caller: Caller, context: Context, command: Command) -> Request:
        hanging.release()
        release.wait(60)
        return Answered(0)

    count = 12
    with server(hang) as running:
        connections = []
        try:
            for _ in range(count):
                connections.append(Connection(port_of(running)).associate(ECHO_ALONE))
                connections[-1].send(ECHO)
            for _ in range(count):
                assert hanging.acquire(timeout=30)
            begun = time.monotonic()
            running.end_associations(0.2)
            taken = time.monotonic() - begun
        finally:
            release.set()
            for connection in connections:
                connection.socket.close()
    assert taken < count * LINGER_S / 2
