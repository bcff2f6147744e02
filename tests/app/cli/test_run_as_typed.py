"""``segnode run`` and ``verify`` as a new user types them: progress, ends in the middle, folders that cannot be."""

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import dcmread

from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import make_series, save_series
from tests.app.cli.conftest import Type
from tests.e2e.conftest import make_model
from tests.support.node_process import PATIENCE_S, ROOT

pytestmark = pytest.mark.slow

HELD = """
import os, signal, threading
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))  # torch is imported earlier than in a run
from app.cli.main import main
from segmentation.inference.predictor import Predictor

def hold(self, networks):
    os.write(1, b"N")
    threading.Event().wait()

Predictor._tell = hold
main()
"""
"""The program, whose network comes to no end."""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package ``tiny`` for any CT."""
    folder = tmp_path_factory.mktemp("typed_models")
    make_model(folder, tmp_path_factory.mktemp("typed_nnunet"), "tiny", {"modality": ["CT"]})
    return folder


@pytest.fixture
def ct(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small CT study in a folder, and the models."""
    monkeypatch.setenv("SEGNODE_MODELS", str(models))
    geometry = trunk_geometry((12.0, 6.0, 6.0), extent=(180.0, 240.0, 300.0))
    save_series(make_series(make_phantom(geometry, phase="P")), tmp_path / "ct")
    return tmp_path / "ct"


def test_progress_without_a_terminal_is_a_line_a_phase_and_a_tenth(typed: Type, ct: Path, tmp_path: Path) -> None:
    done = typed("run", ct, tmp_path / "out", "--model", "tiny", "--device", "cpu")
    assert done.code == 0
    lines = [line for line in done.err.splitlines() if line.startswith("segnode: ")]
    phases = [line for line in lines if not line.endswith("%")]
    assert phases == [
        "segnode: reading headers",
        "segnode: study 1 of 1, tiny: choosing the series",
        "segnode: study 1 of 1, tiny: reading the images",
        "segnode: study 1 of 1, tiny: preparing the image, then the network",
        "segnode: study 1 of 1, tiny: post-processing",
        "segnode: study 1 of 1, tiny: writing the SEG",
        "segnode: study 1 of 1, tiny: writing the picture",
    ]
    tenths = [line for line in lines if line.endswith("%")]
    assert tenths[-1] == "segnode: study 1 of 1, tiny: network: 100 %"
    assert len(tenths) == len(set(tenths)) <= 10
    assert "%" not in done.out


def test_verify_tells_its_phases_and_tenths_without_a_terminal(typed: Type, ct: Path, tmp_path: Path) -> None:
    done = typed("run", ct, tmp_path / "out", "--model", "tiny", "--device", "cpu", "--nifti")
    (mask,) = (tmp_path / "out").glob("*/tiny_seg.nii.gz")
    done = typed("models", "verify", "tiny", "--case", mask, "--expect", mask, "--device", "cpu")
    assert done.err.startswith("segnode: checking every file's SHA-256\nsegnode: golden case\n")
    assert "segnode: golden case: 100 %\n" in done.err


def test_result_fits_80_columns_and_breaks_no_path_and_no_uid(
    typed: Type, ct: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ct.parent)
    uid = "1.2.840.113619." + "9" * 49
    assert len(uid) == 64
    for path in ct.iterdir():
        image = dcmread(path)
        image.StudyInstanceUID = uid
        image.save_as(path)
    deep = Path("a [bold] folder of results") / ("x" * 80)
    for out in (Path("out"), deep):
        done = typed("run", "ct", out, "--model", "tiny", "--device", "cpu")
        assert done.code == 0
        lines = done.out.splitlines()
        assert lines[:2] == ["segmented", f"  study {uid}"]
        assert lines[-1] == f"  {out / uid}"
        assert max(map(len, lines[:-1])) <= 80


@pytest.mark.parametrize(("number", "code", "by"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_that_is_ended_in_its_network_leaves_no_hidden_folder(
    number: signal.Signals, code: int, by: str, terminal: bool, ct: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", HELD, "run", str(ct), str(out), "--model", "tiny", "--device", "cpu"]
    reading, writing = pty.openpty() if terminal else os.pipe()
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=writing)  # noqa: S603 - our own interpreter and program text
    os.close(writing)
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.extend(read_all(reading)))
    reader.start()
    try:
        assert run.stdout is not None
        assert run.stdout.read(1) == b"N"
        assert [path.name.startswith(".partial-") for path in out.iterdir()] == [True]
        run.send_signal(number)
        assert run.wait(PATIENCE_S) == code
    finally:
        run.kill()
        run.communicate()
        reader.join()
        os.close(reading)
    assert list(out.iterdir()) == []
    text = b"".join(said)
    assert f"segnode: ended by {by}; of a study that was not finished nothing is left".encode() in text
    assert b"Traceback" not in text


def read_all(descriptor: int) -> Iterator[bytes]:
    """Read until the other end is closed, which a terminal reports as an error."""
    with suppress(OSError):
        while part := os.read(descriptor, 4096):
            yield part


def test_output_that_cannot_be_is_refused_before_the_study_is_read(typed: Type, ct: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output, said in ((tmp_path / "file", "is a file"), (ct / "out", "lies in"), (ct, "lies in")):
        done = typed("run", ct, output, "--model", "tiny", "--device", "cpu")
        assert (done.code, done.out) == (2, "")
        assert said in done.err
        assert "reading headers" not in done.err
    assert not (ct / "out").exists()


@pytest.mark.parametrize("name", ["image.nii.gz", "image.nii", "image.nrrd", "IMAGE.NII.GZ"])
def test_an_image_that_is_no_dicom_is_told_of_the_service(name: str, typed: Type, ct: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / name).write_bytes(b"x")
    for given, code in ((tmp_path / "images" / name, 2), (tmp_path / "images", 3)):
        done = typed("run", given, tmp_path / "out", "--model", "tiny", "--device", "cpu")
        assert done.code == code
        assert "NIfTI goes to the inference service: segnode api --config service.yaml, then segnode call" in done.err
