"""The disk of a case's masks is full, for real."""

from contextlib import suppress
from pathlib import Path

import grpc
import httpx
import pytest

from segnode_client.v1 import segmentation_pb2, segmentation_pb2_grpc
from tests.support.namespace import in_small_tmpfs
from tests.support.service_cases import ALIASES, make_models, write_case
from tests.support.service_process import ServiceProcess


def ask(service: ServiceProcess) -> httpx.Response:
    return httpx.post(f"{service.rest}/v1/inference/tumor", json={"image_path": "cases:full/A.nii.gz"}, timeout=60)


def test_a_full_disk_is_answered_with_try_again(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    wrapper = in_small_tmpfs(volume, 4)
    service = ServiceProcess(
        tmp_path / "service", volume, make_models(tmp_path / "models"), ALIASES, wrapper=wrapper
    ).start()
    assert service.process is not None
    inside = Path(f"/proc/{service.process.pid}/root{volume}")
    try:
        write_case(inside / "full")
        filler = inside / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(512))
        answer = ask(service)
        assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (503, "retry_later", True)
        assert answer.headers["Retry-After"]
        request = segmentation_pb2.TumorRequest(image_path="cases:full/A.nii.gz")
        with grpc.insecure_channel(service.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
            segmentation_pb2_grpc.SegmentationStub(channel).Tumor(request)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        mask = inside / "full" / "mask"
        assert not mask.exists() or list(mask.iterdir()) == []
        filler.unlink()
        assert ask(service).status_code == 200
        assert sorted(path.name for path in mask.iterdir()) == ["tumor_A.json", "tumor_A.nii.gz"]
    finally:
        service.stop()
