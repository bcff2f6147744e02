"""A service that cannot start ends, and says what a person has to change."""

import errno
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.processes import OPEN_FILES, _make_place, _open_many_files
from services.settings import load_service_settings
from tests.support.node_process import ROOT
from tests.support.service_process import SEGNODE, ServiceProcess


def refused(service: ServiceProcess) -> str:
    """Return the output of a service that ends at its start because of wrong settings."""
    command = [sys.executable, *SEGNODE, "api", "--config", str(service.config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)  # noqa: S603 - this project's own
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_a_port_that_is_taken_is_named(protocol: str, tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path, tmp_path, tmp_path)
    port = {"grpc": service.grpc_port, "rest": service.rest_port}[protocol]
    with socket.create_server(("127.0.0.1", port)):
        said = refused(service)
    assert f"{protocol}: cannot listen on 127.0.0.1:{port}" in said
    assert f"change {protocol}.port" in said
    assert "Traceback" not in said
    assert (tmp_path / "service.sqlite").stat().st_mode & 0o077 == 0  # it names paths


def test_keys_of_the_environment_count_and_are_named_without_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = ServiceProcess(tmp_path, tmp_path, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("SEGNODE_SERVICE__REST__PORT", str(port))
        monkeypatch.setenv("SEGNODE_SERVICE__QUEUE__KEEP_DAYS", "6.125")
        said = refused(service)
    assert f"rest: cannot listen on 127.0.0.1:{port}" in said
    assert "settings_overridden keys=queue.keep_days,rest.port" in said
    assert "6.125" not in said


def test_an_unknown_key_of_the_environment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGNODE_SERVICE__TOKEN", "hunter2")
    said = refused(ServiceProcess(tmp_path, tmp_path, tmp_path))
    assert "SEGNODE_SERVICE__TOKEN: there is no key token" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("change", [{"work": "service.yaml/work"}, {"database": "nowhere/service.sqlite"}])
def test_a_place_that_cannot_be_written_is_named(change: dict[str, Any], tmp_path: Path) -> None:
    said = refused(ServiceProcess(tmp_path, tmp_path, tmp_path, **change))
    assert f"{tmp_path / next(iter(change.values()))}: " in said
    assert "change work or database" in said


@pytest.mark.parametrize(("most", "wanted"), [(resource.RLIM_INFINITY, OPEN_FILES), (4096, 4096)])
def test_as_many_files_may_be_open_as_the_system_lets(most: int, wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [(1024, most)]
    monkeypatch.setattr("resource.getrlimit", lambda what: now[-1])
    monkeypatch.setattr("resource.setrlimit", lambda what, limits: now.append(limits))
    _open_many_files()
    assert now == [(1024, most), (wanted, most)]
    _open_many_files()
    assert len(now) == 2


def test_a_full_disk_is_left_to_those_who_try_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, mode: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "touch", full)
    _make_place(load_service_settings(ServiceProcess(tmp_path, tmp_path, tmp_path).config))
