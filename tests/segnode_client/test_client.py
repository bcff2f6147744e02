"""The client by itself: whom it tells its token, how long it waits, and what it raises."""

import socket
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from app.cli.main import main
from segnode_client import (
    CallEnded,
    CallFailed,
    Client,
    RequestRefused,
    ServiceFailed,
    Tls,
    TryLater,
    Unreachable,
)
from segnode_client.v1 import segmentation_pb2 as messages
from segnode_client.v1 import segmentation_pb2_grpc as stubs
from tests.support.node_process import free_port

RESET = "Received RST_STREAM with error code 2"
TOKEN = "a-token-of-this-test"  # noqa: S105 - of this test


class Scripted(stubs.SegmentationServicer):
    """A service that fails as it is told to, once for each failure, and then answers."""

    def __init__(self) -> None:
        self.failures: list[tuple[grpc.StatusCode, str, bool]] = []
        self.keys: list[str] = []

    def Tumor(self, request: messages.TumorRequest, context: grpc.ServicerContext) -> messages.MaskResponse:  # noqa: N802 - the proto's name
        """A call that waits."""
        self._fail(context)
        return messages.MaskResponse(mask_path=request.image_path)

    def Run(self, request: messages.JobRequest, context: grpc.ServicerContext) -> Iterator[messages.Job]:  # noqa: N802 - the same
        """A stream that breaks after its first message as long as there are failures."""
        for _ in range(2):  # the same again: a beat
            yield messages.Job(id="1", state=messages.Job.STATE_RUNNING, progress=0.5)
        self._fail(context)
        yield messages.Job(id="1", state=messages.Job.STATE_DONE, progress=1.0)

    def _fail(self, context: grpc.ServicerContext) -> None:
        self.keys.append(dict(context.invocation_metadata())["idempotency-key"])
        if not self.failures:
            return
        code, reason, retry = self.failures.pop(0)
        if reason in ("", RESET):
            context.abort(code, reason or "on the way")
        status = Status(code=code.value[0], message="as told")
        status.details.add().Pack(ErrorInfo(reason=reason, domain="segnode", metadata={"retry": str(retry).lower()}))
        status.details.add().Pack(RetryInfo())
        context.abort_with_status(rpc_status.to_status(status))


@pytest.fixture
def scripted() -> Iterator[tuple[Scripted, str]]:
    servicer, port = Scripted(), free_port()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    stubs.add_SegmentationServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(0).wait(30)


@pytest.mark.parametrize("address", ["segmentation.example:50051", "192.0.2.1:50051", "dns:///service:50051", "[::]:1"])
def test_a_token_does_not_leave_the_machine_unencrypted(address: str) -> None:
    with pytest.raises(ValueError, match="not encrypted"):
        Client(address, token=TOKEN)
    for allowed in ({"tls": Tls()}, {"plaintext_token": True}):
        Client(address, token=TOKEN, **allowed).close()
    Client(address).close()


@pytest.mark.parametrize("address", ["localhost:50051", "127.0.0.1:1", "[::1]:50051", "dns:///localhost:1", "unix:/x"])
def test_on_one_machine_a_token_needs_no_tls(address: str) -> None:
    Client(address, token=TOKEN).close()


def test_an_unreachable_address_is_reported_within_seconds() -> None:
    address = f"127.0.0.1:{free_port()}"
    begun = time.monotonic()
    with Client(address, connect_timeout_s=1) as client, pytest.raises(Unreachable) as caught:
        client.tumor("cases:x")
    assert time.monotonic() - begun < 30  # and not the hour that a call may take
    assert address in caught.value.message
    assert "Connection refused" in caught.value.message


def test_a_port_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with Client(address, connect_timeout_s=1) as client, pytest.raises(Unreachable) as caught:
            client.tumor("cases:x")
    assert address in caught.value.message


def test_the_command_says_it_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setattr(sys, "argv", ["segnode", "call", "tumor", "image_path=cases:x", "--address", address])
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr().err
    assert caught.value.code == 5
    assert address in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "reason", "retry", "kind"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, "wrong_phase", False, RequestRefused),
        (grpc.StatusCode.UNAUTHENTICATED, "", False, RequestRefused),
        (grpc.StatusCode.INTERNAL, "worker_died", False, ServiceFailed),
        (grpc.StatusCode.UNKNOWN, "", False, ServiceFailed),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "deadline_exceeded", True, CallEnded),
        (grpc.StatusCode.CANCELLED, "", False, CallEnded),
        (grpc.StatusCode.DEADLINE_EXCEEDED, RESET, False, CallEnded),
    ],
)
def test_a_failure_is_of_its_kind_and_not_asked_for_again(
    scripted: tuple[Scripted, str], code: grpc.StatusCode, reason: str, retry: bool, kind: type[CallFailed]
) -> None:
    servicer, address = scripted
    servicer.failures = [(code, reason, retry)]
    with Client(address) as client, pytest.raises(CallFailed) as caught:
        client.tumor("cases:x")
    assert type(caught.value) is kind
    assert caught.value.code == (code.name.lower() if reason in ("", RESET) else reason)
    assert caught.value.retry == retry
    assert len(servicer.keys) == 1


def test_transient_failure_is_asked_again_with_one_key(scripted: tuple[Scripted, str]) -> None:
    servicer, address = scripted
    servicer.failures = [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "queue_full", True),
        (grpc.StatusCode.UNAVAILABLE, "retry_later", True),
        (grpc.StatusCode.UNAVAILABLE, "", True),
        (grpc.StatusCode.INTERNAL, RESET, True),
    ]
    with Client(address) as client:
        mask = client.tumor("cases:x")
        assert (mask.path, mask.mask_path) == ("cases:x", "cases:x")
        assert client.tumor("cases:y").path == "cases:y"
    first, *again, other = servicer.keys
    assert set(again) == {first}
    assert (len(again), other == first) == (4, False)


def test_patience_has_an_end(scripted: tuple[Scripted, str]) -> None:
    servicer, address = scripted
    servicer.failures = [(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue_full", True)] * 50
    with Client(address, patience_s=1) as client, pytest.raises(TryLater) as caught:
        client.tumor("cases:x")
    assert caught.value.code == "queue_full"
    assert servicer.failures


def test_a_message_that_is_too_large_is_not_sent_again(scripted: tuple[Scripted, str]) -> None:
    with Client(scripted[1], patience_s=1) as client, pytest.raises(RequestRefused) as caught:
        client.tumor("x" * (5 << 20))  # gRPC's own limit is 4 MiB
    assert caught.value.code == "resource_exhausted"


def test_a_stream_that_breaks_goes_on_with_its_key(scripted: tuple[Scripted, str]) -> None:
    servicer, address = scripted
    servicer.failures = [(grpc.StatusCode.UNAVAILABLE, "", True)]
    with Client(address) as client:
        states = [job.state for job in client.run("tumor", image_path="cases:x")]
    assert states == ["running", "done"]
    assert len(servicer.keys) == 2
    assert len(set(servicer.keys)) == 1


def test_a_wrong_argument_is_a_value_error(scripted: tuple[Scripted, str]) -> None:
    with Client(scripted[1]) as client:
        with pytest.raises(ValueError, match="liver"):
            client.submit("liver", image_path="x")
        with pytest.raises(ValueError, match="picture"):
            client.submit("tumor", picture="x")
    with pytest.raises(ValueError, match="belong together"):
        Tls(certificate=Path("certificate.pem"))
    with pytest.raises(FileNotFoundError):
        Client("localhost:1", tls=Tls(ca=Path("/nonexistent/ca.pem")))
