"""OpenVINO's networks against torch's, on tiles of every shape; and that nothing is told to anybody."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from segmentation.backends.converted import conversions_of, load_module
from segmentation.backends.openvino_network import OpenVinoNetwork
from segmentation.backends.torch_network import TorchNetwork
from segmentation.importing.add import add_package
from tests.support.tiny_models import make_results_folder

pytestmark = pytest.mark.usefixtures("openvino")


@pytest.mark.parametrize("kind", ["3d_fullres", "2d", "residual", "two_channels"])
@pytest.mark.parametrize("tiles", [1, 2])
def test_logits_are_those_of_torch(kind: str, tiles: int, tmp_path: Path) -> None:
    package = add_package(make_results_folder(tmp_path, kind), "tiny", tmp_path / "models")
    conversion = next(conversions_of(package))
    module = load_module(package, conversion.configuration, conversion.fold)
    network = OpenVinoNetwork(*conversion.make(), "float32", 1)
    batch = torch.randn((tiles, *conversion.shape[1:]), generator=torch.Generator().manual_seed(1))
    before = batch.clone()
    with torch.inference_mode():
        expected = TorchNetwork(module)(batch)
        found = network(batch)
        assert torch.allclose(found, expected, atol=1e-4, rtol=1e-4)
        assert torch.equal(batch, before)
        kept = found.clone()
        network(batch + 1)
        assert torch.equal(found, kept)  # the caller's own
        transposed = batch.transpose(-1, -2).contiguous().transpose(-1, -2)
        assert torch.equal(network(transposed), kept)  # whatever its order in memory


def test_nothing_is_sent_to_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`openvino.convert_model` would report to its makers; neither that report nor a connection is ever begun."""
    import openvino_telemetry

    def forbidden(name: str) -> Callable[..., Any]:
        def called(*_: Any, **__: Any) -> Any:
            raise AssertionError(f"{name} was called")

        return called

    monkeypatch.setattr(openvino_telemetry.Telemetry, "init", forbidden("Telemetry"))
    monkeypatch.setattr(socket.socket, "connect", forbidden("connect"))
    monkeypatch.setattr(socket, "getaddrinfo", forbidden("getaddrinfo"))
    package = add_package(make_results_folder(tmp_path), "tiny", tmp_path / "models")
    conversion = next(conversions_of(package))
    network = OpenVinoNetwork(*conversion.make(), "float32", 1)
    assert network(torch.zeros(conversion.shape)).isfinite().all()
