"""Builds the images and tries them: ``make image-test``, as root, with buildah, umoci, skopeo and mmdebstrap.

Not part of the suite: building takes minutes. ``SEGNODE_BASE_IMAGE`` names a base image; without it one is made from
Debian's archive. The table of sizes of docs/images.md is what this prints.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from app.map.image import Build, build_image, fetch_wheels
from core.project_files import PROJECT
from tests.support.container import Container, OciImage, read_image

MB = 1_000_000
MOST_BESIDE_TORCH_MB = 700
MOST_OF_THE_LISTENER_MB = 250
USERS = (54321, 1000)


def tool(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)  # noqa: S603 - tools of this test


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def base(work: Path) -> str:
    given = os.environ.get("SEGNODE_BASE_IMAGE")
    if given:
        return given
    tool(PROJECT / "docker" / "base-image.sh", "localhost/segnode-base")
    return "localhost/segnode-base"


PACKAGE = (sys.executable, "-m", "app.cli", "package", "--model", "demo", "--tag", "demo:1.0.0", "--output")


@pytest.fixture(scope="session")
def context(work: Path) -> Path:
    """The context that ``segnode package`` writes for the demo model."""
    tool(*PACKAGE, work)
    return work / "context"


@pytest.fixture(scope="session")
def map_archive(work: Path, base: str, context: Path) -> Path:
    """The image that ``segnode package --build`` makes of it."""
    tool(*PACKAGE, work, "--build", "--base-image", base)
    return work / "image.tar"


def unpack(archive: Path, name: str, work: Path) -> Container:
    tool("skopeo", "copy", "--quiet", f"oci-archive:{archive}", f"oci:{work / name}:latest")
    tool("umoci", "unpack", "--image", f"{work / name}:latest", work / f"{name}-root")
    work.chmod(0o755)
    for parent in (work.parent, work.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o055)  # the container's user has to get there
    return Container(work / f"{name}-root" / "rootfs", read_image(archive))


@pytest.fixture(scope="session")
def container(map_archive: Path, work: Path) -> Container:
    return unpack(map_archive, "map", work)


@pytest.fixture(scope="session")
def node_image(context: Path, work: Path, base: str) -> Callable[[str, Sequence[str]], Container]:
    """Builds another target from the same context and unpacks it."""

    def build(target: str, lists: Sequence[str]) -> Container:
        fetch_wheels(context, lists)
        archive = work / f"{target}.tar"
        tag = f"segnode-{target}:1.0.0"
        build_image(context, Build(target, tuple(lists), tag, {"BASE_IMAGE": base}), archive)
        return unpack(archive, target, work)

    return build


def table(name: str, image: OciImage) -> float:
    """Print the sizes; gives the MB of all layers but torch's."""
    sys.stdout.write(f"\n{name:<60}{'unpacked':>10}{'packed':>10}\n")
    for layer in image.layers:
        sys.stdout.write(f"{layer.made_by[-58:]:<60}{layer.unpacked / MB:>10.1f}{layer.packed / MB:>10.1f}\n")
    total, packed = (sum(getattr(layer, key) for layer in image.layers) / MB for key in ("unpacked", "packed"))
    torch = max(layer.unpacked for layer in image.layers) / MB if name != "listener" else 0.0
    sys.stdout.write(f"{'all':<60}{total:>10.1f}{packed:>10.1f}\n{'all but torch':<60}{total - torch:>10.1f}\n")
    return total - torch


@pytest.fixture
def output(work: Path, request: pytest.FixtureRequest) -> Path:
    folder = work / f"out-{abs(hash(request.node.name))}"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def test_the_image_says_what_the_specification_asks_for(container: Container) -> None:
    config = container.image.config
    app = json.loads((container.root / "etc/holoscan/app.json").read_text())
    assert config["Labels"]["org.opencontainers.image.title"] == "demo"
    assert config["Labels"]["org.opencontainers.image.version"] == app["version"] == "1.0.0"
    assert container.image.environment.items() >= app["environment"].items()
    assert config["User"] not in ("", "0", "root", "0:0")
    assert config["StopSignal"] == "SIGTERM"
    for place in ("opt/holoscan/app", "opt/holoscan/models/demo", "opt/holoscan/docs", "var/holoscan/input"):
        assert (container.root / place).is_dir()
    assert (container.root / "etc/holoscan/pkg.json").is_file()


def test_sizes(container: Container) -> None:
    assert table("map", container.image) <= MOST_BESIDE_TORCH_MB


def test_the_listener(node_image: Callable[[str, Sequence[str]], Container]) -> None:
    listener = node_image("listener", ("listener",))
    assert table("listener", listener.image) <= MOST_OF_THE_LISTENER_MB
    program = (
        "import app.node.listener, app.node.node, sys; print([m for m in ('torch', 'holoscan') if m in sys.modules])"
    )
    (listener.root / "tmp/try.py").write_text(program)
    done = listener.run(command=["python3", "/tmp/try.py"])  # noqa: S108 - in the container
    assert done.stdout.strip() == "[]", done.stderr
    assert not list(listener.root.glob("opt/venv/lib/python3.11/site-packages/torch*"))


def test_the_worker(node_image: Callable[[str, Sequence[str]], Container]) -> None:
    worker = node_image("worker-cpu", ("run", "worker", "torch-cpu"))
    assert table("worker-cpu", worker.image) <= MOST_BESIDE_TORCH_MB
    (worker.root / "tmp/try.py").write_text(
        "import app.node.worker, app.graph_runner, app.workflow.delivery_step, psycopg; print('ok')"
    )
    done = worker.run(command=["python3", "/tmp/try.py"])  # noqa: S108 - in the container
    assert done.stdout.strip() == "ok", done.stderr


EQUAL = """
from pathlib import Path
import numpy as np
from core.volume import Geometry, Volume
from segmentation.inference.engine import Engine
from segmentation.package.package import load_package

shape = (40, 96, 96)
array = np.random.default_rng(0).normal(-300, 400, (1, *shape)).astype(np.float32)
uids = tuple(f"2.25.{number}" for number in range(1, 41))
geometry = Geometry(shape, (3.0, 1.5, 1.5), (0.0, 0.0, 0.0), np.eye(3))
volume = Volume(array, geometry, uids, (1,) * 40, ("2.25.50",), "2.25.51")
package = load_package(Path("/opt/holoscan/models/demo"))
engines = [Engine(package.in_profile(profile), "cpu") for profile in ("exact", "equal")]
exact, equal = (engine.segment(volume).label_map.array for engine in engines)
print(engines[1].backend, int((exact != equal).sum()), len(np.unique(exact)))
"""


def test_the_worker_with_openvino(node_image: Callable[[str, Sequence[str]], Container]) -> None:
    """Its converted networks came with it, since nothing can be written: profile equal gives the labels of exact."""
    worker = node_image("worker-openvino", ("run", "worker", "torch-cpu", "openvino"))
    table("worker-openvino", worker.image)
    (worker.root / "tmp/try.py").write_text(EQUAL)
    done = worker.run(command=["python3", "/tmp/try.py"])  # noqa: S108 - in the container
    *backend, differ, values = done.stdout.split()
    assert backend[0::2] == ["openvino", "float32"], done.stderr
    assert int(differ) == 0
    assert int(values) > 1
    assert "network_converted" not in done.stderr


def test_holoscan_loads_without_a_gpu(container: Container) -> None:
    (container.root / "tmp/try.py").write_text("import operators, holoscan; print(holoscan.__version__)")
    done = container.run(command=["python3", "/tmp/try.py"])  # noqa: S108 - in the container
    assert done.stdout.strip() == "4.6.0", done.stderr


def test_show_and_extract(container: Container, output: Path) -> None:
    shown = container.run(["show"])
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["pkg"]["models"] == [{"name": "demo", "path": "demo"}]
    place = "/run/holoscan/export"  # what /var/run is a link to
    done = container.run(["extract"], mounts={place: output}, writable=[place])
    assert done.returncode == 0, done.stderr
    assert {path.name for path in output.iterdir()} == {"app", "config", "models", "docs"}


def run_map(container: Container, study: Path, output: Path, user: int) -> subprocess.CompletedProcess[str]:
    places = {"/var/holoscan/input": study, "/var/holoscan/output": output}
    return container.run(mounts=places, writable=["/var/holoscan/output"], user=user)


def test_an_empty_input_is_named(container: Container, output: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    done = run_map(container, tmp_path, output, USERS[0])
    assert done.returncode == 3
    assert "is empty; mount" in done.stderr
    assert json.loads((output / "no-study-uid" / "report.json").read_text())["reason"]["code"] == "no_dicom"


@pytest.mark.parametrize("user", USERS)
def test_a_real_ct_gives_the_same_voxels_as_segnode_run(
    container: Container, output: Path, user: int, real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    study = real_data("crlm-ct-1006" if user == USERS[0] else "sts-001-ct/dicom")
    start = time.monotonic()
    done = run_map(container, study, output, user)
    seconds = time.monotonic() - start
    assert done.returncode == 0, done.stderr
    (inside,) = output.glob("*/demo.seg.dcm")
    sys.stdout.write(f"\n{study.name}: {seconds:.1f} s from start to end, user {user}\n")
    tool(sys.executable, "-m", "app.cli", "run", study, tmp_path, "--model", "demo", "--device", "cpu")
    (outside,) = tmp_path.glob("*/demo.seg.dcm")
    ours, theirs = dcmread(outside), dcmread(inside)
    assert [s.SegmentLabel for s in ours.SegmentSequence] == [s.SegmentLabel for s in theirs.SegmentSequence]
    assert voxels(ours) == voxels(theirs)
    assert np.array_equal(ours.pixel_array, theirs.pixel_array)


def voxels(seg: object) -> dict[int, int]:
    """Number of voxels by segment."""
    counts: dict[int, int] = {}
    frames = seg.PerFrameFunctionalGroupsSequence  # type: ignore[attr-defined]  # a data set
    for groups, frame in zip(frames, seg.pixel_array, strict=True):  # type: ignore[attr-defined]
        number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        counts[number] = counts.get(number, 0) + int(frame.sum())
    return counts
