"""OpenVINO's networks against torch's, on tiles of every shape; and that nothing is told to anybody."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from segmentation.backends.converted import conversions_of, load_module
from segmentation.backends.openvino_network import OpenVinoNetwork
from segmentation.backends.torch_network import TorchNetwork
from segmentation.importing.add import add_package
from tests.support.node_process import ROOT
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


REPORTS_NOTHING = """
import os, socket, sys
from pathlib import Path
import torch
from segmentation.backends.openvino_network import OpenVinoNetwork, convert, load_openvino

def forbidden(*_, **__):
    os._exit(7)

os.fork = socket.socket.connect = socket.getaddrinfo = forbidden
tile = torch.zeros(1, 1, 8, 8)
graph, numbers = (Path(sys.argv[1]) / name for name in ("network.xml", "network.bin"))
convert(torch.nn.Conv2d(1, 1, 3).eval(), tile.shape, graph, numbers)
assert OpenVinoNetwork(graph.read_bytes(), numbers.read_bytes(), "float32", 1)(tile).shape == (1, 1, 6, 6)
assert load_openvino().convert_model(torch.nn.Conv2d(1, 1, 3), example_input=tile) is not None
assert sys.modules["openvino_telemetry"] is None
"""


def test_nothing_is_sent_to_anybody(tmp_path: Path) -> None:
    """OpenVINO reports to its makers from a process that it forks, when it is imported and when it converts."""
    command = [sys.executable, "-c", REPORTS_NOTHING, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
