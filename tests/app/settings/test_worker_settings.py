"""The keys about worker processes and machines, and what a worker makes of its slot."""

import os
from pathlib import Path

import pytest

from app.node.node import child_commands
from app.settings.node import NodeSettings, load_settings
from core.errors import ConfigInvalid
from runtime.devices import take_slot
from runtime.worker_settings import this_host

EXAMPLE = Path(__file__).parents[3] / "manifests" / "node.example.yaml"


def with_line(tmp_path: Path, line: str) -> NodeSettings:
    path = tmp_path / "node.yaml"
    path.write_text(EXAMPLE.read_text() + f"\n{line}\n")
    return load_settings(path)


@pytest.mark.parametrize(
    ("line", "devices"),
    [
        ("", (None,)),
        ("workers: 3", (None, None, None)),
        ("workers: [0, 1]", ("0", "1")),
        ("workers: [cpu, cpu]", ("cpu", "cpu")),
        (
            "workers: [GPU-8932f937-d72c-4106-c12f-20bd9faed9f6, cpu]",
            ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "cpu"),
        ),
    ],
)
def test_workers_are_a_number_or_their_devices(tmp_path: Path, line: str, devices: tuple[str | None, ...]) -> None:
    assert with_line(tmp_path, line).workers == devices


@pytest.mark.parametrize("value", ["0", "65", "true", "[]", "[cuda]", "gpu", "[-1]", "1.5", "{a: 1}"])
def test_other_workers_are_refused_with_what_may_stand_there(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"workers: a number from 1 to 64, or a list .*nvidia-smi"):
        with_line(tmp_path, f"workers: {value}")


def test_an_executor_is_the_machine_and_the_slot(tmp_path: Path) -> None:
    settings = with_line(tmp_path, "executor: gpu-box.1\nworkers: 2")
    assert [settings.executor_id(slot) for slot in (1, 2)] == ["gpu-box.1-1", "gpu-box.1-2"]
    assert with_line(tmp_path, "").executor_id(1) == f"{this_host()}-1"


@pytest.mark.parametrize("value", ["''", "../x", "-a", "a b"])
def test_an_executor_that_could_not_name_a_file_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigInvalid, match="executor"):
        with_line(tmp_path, f"executor: {value}")


def test_a_host_name_of_any_kind_names_an_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "-büro/pc 1")
    assert this_host() == "b_ro_pc_1"
    assert with_line(tmp_path, "").executor_id(1) == "b_ro_pc_1-1"


def test_each_worker_is_a_process_of_its_own_slot() -> None:
    commands = child_commands("node.yaml", 1, 3)
    assert list(commands) == ["listener", "worker", "worker-2", "worker-3"]
    assert [list(commands[name][-3:]) for name in ("worker", "worker-3")] == [
        ["app.node.worker", "node.yaml", "1"],
        ["app.node.worker", "node.yaml", "3"],
    ]


@pytest.mark.parametrize(
    ("devices", "slot", "visible", "threads"),
    [
        ((None,), 1, None, "2"),
        ((None, None), 1, None, "1"),
        (("0", "3"), 2, "3", "1"),
        (("cpu", "0"), 1, "", "1"),
        (("MIG-1",), 1, "MIG-1", "2"),
    ],
)
def test_a_worker_sees_its_device_alone_and_takes_its_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch,
    devices: tuple[str | None, ...],
    slot: int,
    visible: str | None,
    threads: str,
) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "x")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setattr("runtime.processor.usable_cores", lambda: 2)
    take_slot(devices, slot)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
    assert os.environ.get("OMP_NUM_THREADS") == threads
