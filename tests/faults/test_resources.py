"""Resources that run out during reception: the fault is reported or the connection refused, and all recovers."""

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from dicom_io.spool.spool import Spool
from tests.faults.objects import image_bytes, store_command
from tests.faults.table import FAULT
from tests.support.listener_process import ListenerProcess
from tests.support.namespace import in_small_tmpfs
from tests.support.node_process import wait_until
from tests.support.upper_layer import Connection, associate_rq, p_data, pdv

Record = Callable[[str, object], None]

ANSWER_S = 10.0
"""After which there is no answer; one that has no handle left cannot even say so."""


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListenerProcess]:
    process = ListenerProcess(tmp_path_factory.mktemp("resources"), limits={"first_pdu_seconds": 1.0})
    yield process
    process.stop()


@contextmanager
def limited(listener: ListenerProcess, kind: int, limit: int) -> Iterator[None]:
    old = resource.prlimit(listener.process.pid, kind)
    resource.prlimit(listener.process.pid, kind, (limit, old[1]))
    try:
        yield
    finally:
        resource.prlimit(listener.process.pid, kind, old)


def send(listener: ListenerProcess, study: str) -> int | None:
    """Status of one store, None where there was no association or no answer."""
    try:
        with Connection(listener.port, "127.0.0.2") as connection:
            connection.socket.settimeout(ANSWER_S)
            connection.send(associate_rq())
            if connection.receive_pdu()[:1] != b"\x02":
                return None
            connection.send(p_data(pdv(3, 3, store_command(study))) + p_data(pdv(3, 2, image_bytes(study))))
            return connection.status()
    except OSError:
        return None


def check_recovered(listener: ListenerProcess) -> None:
    study = generate_uid()
    wait_until(lambda: send(listener, study) == 0)
    assert len(listener.images(study)) == 1
    wait_until(lambda: not any((listener.spool.root / "incoming").iterdir()))  # what was cut off is removed soon
    assert listener.process.poll() is None


@pytest.mark.parametrize("spare", [0, 1, 2, 3, 4, 5])
def test_no_file_handles(listener: ListenerProcess, record_property: Record, spare: int) -> None:
    record_property(FAULT, f"{spare} file handles left")
    check_recovered(listener)
    wait_until(lambda: listener.threads() <= listener.idle_threads)
    held = [int(path.name) for path in Path(f"/proc/{listener.process.pid}/fd").iterdir()]
    # The limit bounds the highest number, and numbers are given from the lowest that is free.
    free = [number for number in range(max(held) + 10) if number not in held]
    study = generate_uid()
    with limited(listener, resource.RLIMIT_NOFILE, free[spare]):
        status = send(listener, study)
        assert status in (None, 0xA700, 0)
        if spare == 0:
            assert status is None
    assert len(listener.images(study)) == (1 if status == 0 else 0)
    check_recovered(listener)


@pytest.mark.parametrize("size", [0, 100, 512])
def test_full_disk(listener: ListenerProcess, record_property: Record, size: int) -> None:
    record_property(FAULT, f"disk full after {size} bytes of an object")
    study = generate_uid()
    with limited(listener, resource.RLIMIT_FSIZE, size):
        assert send(listener, study) == 0xA700
    assert listener.images(study) == []
    check_recovered(listener)


def test_room_that_is_kept(tmp_path: Path, record_property: Record) -> None:
    record_property(FAULT, "less free than has to stay free")
    process = ListenerProcess(tmp_path, reception={"keep_free": {"gib": 1e6}})
    try:
        study = generate_uid()
        assert send(process, study) == 0xA700
        assert process.images(study) == []
        assert "reason=kept_free" in process.log.read_text()
    finally:
        process.stop()


def test_spool_that_vanishes(tmp_path: Path, record_property: Record) -> None:
    record_property(FAULT, "spool's folder gone for a while")
    process = ListenerProcess(tmp_path)
    try:
        spool, away = process.spool.root, tmp_path / "away"
        spool.rename(away)
        assert send(process, generate_uid()) == 0xA700
        away.rename(spool)
        check_recovered(process)
    finally:
        process.stop()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListenerProcess]:
    """A listener whose spool is a small file system of its own."""
    folder = tmp_path_factory.mktemp("small")
    wrapper = in_small_tmpfs(folder / "spool", 8)
    process = ListenerProcess(folder, wrapper=wrapper)
    process.spool = Spool(Path(f"/proc/{process.process.pid}/root{process.spool.root}"))
    yield process
    process.stop()


def test_disk_that_is_full(small: ListenerProcess, record_property: Record) -> None:
    record_property(FAULT, "disk full, by a file system of 8 MiB")
    check_recovered(small)
    filler, study = small.spool.root / "filler", generate_uid()
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert send(small, study) == 0xA700
    assert small.images(study) == []
    filler.unlink()
    check_recovered(small)


def test_read_only_file_system(small: ListenerProcess, record_property: Record) -> None:
    record_property(FAULT, "read-only file system")
    check_recovered(small)
    spool = str(small.spool.root).removeprefix(f"/proc/{small.process.pid}/root")
    study, inside = generate_uid(), ("nsenter", "--preserve-credentials", "-U", "-m", "-t", str(small.process.pid))
    subprocess.run([*inside, "mount", "--bind", "-o", "ro", spool, spool], check=True)  # noqa: S603 - as in a shell
    try:
        assert send(small, study) == 0xA700
        assert small.images(study) == []
    finally:
        # Lazily, as a file below it may be open at that instant.
        subprocess.run([*inside, "umount", "--lazy", spool], check=True)  # noqa: S603 - as in a shell
    check_recovered(small)
