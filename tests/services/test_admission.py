"""Admission to a service: callers by certificate and token, and jobs until its queue is full."""

import ssl
from collections.abc import Callable
from pathlib import Path

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from segnode_client import CallFailed, Client, Tls
from segnode_client.v1 import segmentation_pb2, segmentation_pb2_grpc
from tests.support.certificates import make_authority, make_certificate
from tests.support.service_cases import ALIASES, make_models, write_case
from tests.support.service_process import ServiceProcess


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("volume")


def test_a_full_queue_says_when_to_come_again(volume: Path, models: Path, tmp_path: Path) -> None:
    write_case(volume / "full")
    service = ServiceProcess(tmp_path, volume, models, ALIASES, queue={"longest": 1, "retry_after_seconds": 7}).start()
    try:
        content = {"task": "tumor", "image_path": "/mnt/cases/full/A.nii.gz", "force": True}
        with service.held("cases:full/mask/tumor_A.nii.gz"):
            answers = [httpx.post(f"{service.rest}/v1/jobs", json=content, timeout=60) for _ in range(4)]
            full = answers[-1]
            assert (full.status_code, full.headers["Retry-After"], full.json()["code"]) == (429, "7", "queue_full")
            request = segmentation_pb2.UreterRequest(image_D_path="cases:x")
            with grpc.insecure_channel(service.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
                segmentation_pb2_grpc.SegmentationStub(channel).Ureter(request)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        retry = RetryInfo()
        assert rpc_status.from_call(caught.value).details[1].Unpack(retry)
        assert retry.retry_delay.seconds == 7
    finally:
        service.stop()


def test_callers_show_certificate_and_token(
    volume: Path, models: Path, tmp_path: Path, peer: Callable[[str], str]
) -> None:
    write_case(volume / "tls")
    openssl = peer("openssl")
    authority = make_authority(openssl, tmp_path / "ca")
    server, caller = (make_certificate(openssl, tmp_path / "ca", name, authority) for name in ("service", "caller"))
    tls = {"certificate": str(server.certificate), "key": str(server.key), "ca": str(authority.certificate)}
    (tmp_path / "tokens").write_text("# of the back end\nfirst-token-of-this-test\n\nsecond-token-of-this-test\n")
    ports = ServiceProcess(tmp_path, volume, models, ALIASES)
    service = ServiceProcess(
        tmp_path,
        volume,
        models,
        ALIASES,
        tokens_file="tokens",
        grpc={"port": ports.grpc_port, "tls": tls},
        rest={"port": ports.rest_port, "tls": tls},
    ).start()
    try:
        shown = Tls(authority.certificate, caller.certificate, caller.key)
        address = f"localhost:{ports.grpc_port}"
        with Client(address, tls=shown, token="second-token-of-this-test", timeout_s=60) as client:  # noqa: S106 - of this test
            assert client.tumor("cases:tls/A.nii.gz").path
        with Client(address, tls=shown, token="wrong", timeout_s=60) as client, pytest.raises(CallFailed) as caught:  # noqa: S106 - of this test
            client.tumor("cases:tls/A.nii.gz")
        assert caught.value.code == "unauthenticated"
        url = f"https://localhost:{ports.rest_port}/v1/jobs/1"
        context = ssl.create_default_context(cafile=authority.certificate)
        stranger = ssl.create_default_context(cafile=authority.certificate)
        context.load_cert_chain(caller.certificate, caller.key)

        def status(**headers: str) -> int:
            return httpx.get(url, verify=context, headers=headers, timeout=60).status_code

        assert status() == 401
        assert status(Authorization="Bearer #") == 401
        assert status(Authorization="Bearer first-token-of-this-test") == 404
        with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
            httpx.get(url, verify=stranger, timeout=60)
    finally:
        service.stop()
