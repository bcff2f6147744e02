"""Cores that a process may use, and the environment that the OpenMP library of torch reads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.processor import settle_threads, usable_cores
from tests.support.node_process import ROOT

UNBOUND = 8
V2 = "proc/self/cgroup", "0::/pod/box\n"
V1 = "proc/self/cgroup", "4:cpu,cpuacct:/docker/1\n"


@pytest.fixture(autouse=True)
def _eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(UNBOUND)))


def tree(root: Path, *files: tuple[str, str]) -> Path:
    for name, text in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000\n", UNBOUND),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("25000 50000\n", 1),
        ("6400000 100000\n", UNBOUND),
        ("100000\n", UNBOUND),
        ("", UNBOUND),
        ("many 100000\n", UNBOUND),
        ("100000 0\n", UNBOUND),
        ("\xb2 100000\n", UNBOUND),
    ],
)
def test_a_quota_of_version_2_bounds_the_cores_and_an_odd_one_does_not(tmp_path: Path, quota: str, cores: int) -> None:
    assert usable_cores(tree(tmp_path, V2, ("sys/fs/cgroup/pod/box/cpu.max", quota))) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1\n", UNBOUND), ("300000\n", 3), ("1000\n", 1), ("?\n", UNBOUND)])
@pytest.mark.parametrize("group", ["", "docker/1/"], ids=["seen from inside", "seen from outside"])
def test_a_quota_of_version_1_bounds_the_cores(tmp_path: Path, group: str, quota: str, cores: int) -> None:
    folder = f"sys/fs/cgroup/cpu/{group}"
    root = tree(tmp_path, V1, (f"{folder}cpu.cfs_quota_us", quota), (f"{folder}cpu.cfs_period_us", "100000\n"))
    assert usable_cores(root) == cores


def test_the_quota_of_a_group_above_counts_too(tmp_path: Path) -> None:
    groups = [("sys/fs/cgroup/pod/cpu.max", "300000 100000\n"), ("sys/fs/cgroup/pod/box/cpu.max", "max 100000\n")]
    assert usable_cores(tree(tmp_path, V2, *groups)) == 3


def test_hardware_threads_of_one_core_count_once(tmp_path: Path) -> None:
    place = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    siblings = [(place.format(cpu), f"{cpu % 4},{cpu % 4 + 4}\n") for cpu in range(UNBOUND)]
    assert usable_cores(tree(tmp_path, *siblings)) == 4


def test_a_machine_that_tells_nothing_has_the_processors_that_the_process_is_bound_to(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == UNBOUND


@pytest.mark.parametrize(("workers", "threads"), [(1, "6"), (2, "3"), (4, "1"), (9, "1")])
def test_workers_share_the_cores_and_each_has_a_thread(
    monkeypatch: pytest.MonkeyPatch, workers: int, threads: str
) -> None:
    monkeypatch.setattr("os.environ", environment := {})
    monkeypatch.setattr("runtime.processor.usable_cores", lambda: 6)
    settle_threads(workers)
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": threads}


@pytest.mark.parametrize("own", [{"OMP_NUM_THREADS": "64"}, {"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_NUM_THREADS": ""}])
def test_variables_of_a_person_stay(monkeypatch: pytest.MonkeyPatch, own: dict[str, str]) -> None:
    monkeypatch.setattr("os.environ", environment := dict(own))
    settle_threads()
    assert own.items() <= environment.items()


TORCH = """
import os
from runtime.processor import settle_threads
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
settle_threads()
import torch
"""


@pytest.mark.parametrize(
    ("own", "threads", "policy"),
    [({}, "1", "PASSIVE"), ({"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "active"}, "3", "ACTIVE")],
)
def test_the_openmp_of_torch_takes_what_was_settled_or_what_a_person_set(
    own: dict[str, str], threads: str, policy: str
) -> None:
    strange = ("OMP_", "MKL_", "GOMP_", "OPENBLAS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    environment |= {"OMP_DISPLAY_ENV": "TRUE", **own}
    command = [sys.executable, "-c", TORCH]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603 - our own interpreter and program text
    assert f"OMP_NUM_THREADS = '{threads}'" in done.stderr
    assert f"OMP_WAIT_POLICY = '{policy}'" in done.stderr
