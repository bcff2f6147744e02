"""A whole node in processes of its own, and made images to send to it."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from dicom_io.spool.records import State
from dicom_io.spool.spool import Spool
from tests.support.seen_revision import SeenRevision

ROOT = Path(__file__).parents[2]
SEGNODE = ("-c", "from app.cli.main import main; main()", "serve", "--config")
STUB_NODE = ("-m", "tests.support.stub_node")

PATIENCE_S = 180.0
"""Longest wait of a test for what has to come: no longer than it takes, also on a machine that others keep busy."""

QUICK_RETRY = MappingProxyType({"first_seconds": 0.5, "longest_seconds": 2.0})
"""So that what a destination missed while it was down comes soon after it is up, however long that took."""

NOTHING_KEPT_FREE = MappingProxyType({"gib": 0, "percent": 0})
"""So that no test depends on how full this machine's disk is."""

PORTS = range(10_000, 30_000)
"""Below those that the system gives to outgoing connections, of which a suite has thousands."""


@cache
def _own_ports() -> Iterator[int]:
    """This process's share of `PORTS` in a random order.

    A port may be unused for long after it was given out, as that of a destination that is down. So none comes twice,
    and no two processes of one run of the tests have any in common.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = PORTS[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    return cycle(random.SystemRandom().sample(share, len(share)))


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on, and that nobody else is given."""
    for port in islice(_own_ports(), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], Any], timeout_s: float = PATIENCE_S, every_s: float = 0.1) -> Any:
    """The first true value of a condition; fails the test if there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(every_s)
    raise AssertionError(f"not within {timeout_s} s")


def make_image(study: str, number: int = 1, *, description: str = "", sop_class: UID = CTImageStorage) -> Dataset:
    """A small object of a study, valid enough for a storage SCP; equal arguments give equal objects."""
    image = Dataset()
    image.SOPClassUID = sop_class
    image.SOPInstanceUID = generate_uid(entropy_srcs=[study, str(number), sop_class])
    image.StudyInstanceUID = study
    image.SeriesInstanceUID = generate_uid(entropy_srcs=[study, sop_class])
    image.StudyDescription = description
    image.Modality = "CT"
    image.PatientName, image.PatientID = "CANARY^NAME", "CANARY-ID"
    image.Rows = image.Columns = 16
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 15, 1, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = bytes(512)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def write_study(
    folder: Path, study: str, *, images: int = 3, first: int = 1, description: str = "", sop_class: UID = CTImageStorage
) -> Path:
    """Files of a made study."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + images):
        image = make_image(study, number, description=description, sop_class=sop_class)
        image.save_as(folder / f"{sop_class[-5:]}-{number}.dcm", enforce_file_format=True)
    return folder


class NodeProcess:
    """One node on this machine, with the ``node.yaml`` that it was given.

    Parameters
    ----------
    folder
        Where its settings, spool and logs go.
    destinations
        Port and AE title of each destination, by name.
    routes
        Models of each route by its called AE title; all go to every destination.
    program
        Arguments of the interpreter that start it: `SEGNODE` or `STUB_NODE`.
    wrapper
        A program that starts the interpreter and keeps its process ID, with its arguments.
    environment
        Variables of its environment, beside the test's own.
    """

    def __init__(
        self,
        folder: Path,
        destinations: dict[str, tuple[int, str]],
        *,
        routes: Mapping[str, Sequence[str]] = MappingProxyType({"SEGNODE": ("stub",)}),
        models_folder: Path | None = None,
        program: Sequence[str] = STUB_NODE,
        quiet_seconds: float = 1.0,
        port: int | None = None,
        wrapper: Sequence[str] = (),
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self.config = folder / "node.yaml"
        self.log = folder / "node.log"
        self.spool = Spool(folder / "spool")
        settings = {
            "ae_title": "SEGNODE",
            "host": "127.0.0.1",
            "port": self.port,
            "spool": "spool",
            "database": "workflow.sqlite",
            "quiet_seconds": quiet_seconds,
            "peers": "any",
            "reception": {"keep_free": dict(NOTHING_KEPT_FREE)},
            "routes": [
                {"called_ae": called_ae, "models": list(models), "destinations": list(destinations)}
                for called_ae, models in routes.items()
            ],
            "destinations": {
                name: {
                    "kind": "dicom",
                    "ae_title": ae_title,
                    "host": "127.0.0.1",
                    "port": port,
                    "retry": dict(QUICK_RETRY),
                }
                for name, (port, ae_title) in destinations.items()
            },
        }
        if models_folder is not None:
            settings["models"] = str(models_folder)
        self.config.write_text(yaml.safe_dump(settings))
        self._command = [*wrapper, sys.executable, *program, str(self.config)]
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Start it, and wait until it takes work; its ready line."""
        self.launch()
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready "):
            self.stop()  # a process left behind would fail the tests that follow
            pytest.fail(f"{line!r}\n{self.log.read_text()}")
        return line.strip()

    def launch(self) -> None:
        """Start it, and wait for nothing; one before must have ended."""
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        with self.log.open("a") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                self._command,
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def stop(self) -> int:
        """Stop it as an operator does; its exit code."""
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.terminate()
        try:
            return self._process.wait(60)
        finally:
            self.kill()  # a process left behind would fail the tests that follow

    def kill(self) -> None:
        """Kill the supervisor with SIGKILL; its children notice by themselves."""
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def kill_and_wait(self) -> None:
        """Kill the supervisor with SIGKILL, and wait until its listener and its worker have noticed."""
        children = [self.pid_of("listener"), self.pid_of("worker")]
        self.kill()
        wait_until(lambda: not any(is_alive(pid) for pid in children))

    def set(self, **settings: Any) -> None:
        """Set keys of its ``node.yaml``, for its next start."""
        self.config.write_text(yaml.safe_dump(yaml.safe_load(self.config.read_text()) | settings))

    @property
    def is_running(self) -> bool:
        """Return whether the supervisor lives."""
        return self._process is not None and self._process.poll() is None

    def pid_of(self, child: str) -> int:
        """Process ID of the newest ``listener`` or ``worker``."""
        return int(re.findall(rf"process_started child={child} pid=(\d+)", self.log.read_text())[-1])

    def kill_child(self, child: str) -> None:
        """Kill a child with SIGKILL, and wait until the node has started another."""
        pid = self.pid_of(child)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.pid_of(child) != pid)

    @property
    def pid(self) -> int:
        """Process ID of the supervisor."""
        assert self._process is not None
        return self._process.pid

    def latest(self, study: str) -> SeenRevision | None:
        """Newest revision of a study by its Study Instance UID."""
        for key in self.spool.study_keys():
            if self.spool.study(key)["study"] == study:
                revision = self.spool.latest_revision(key)
                return SeenRevision(revision) if revision is not None else None
        return None

    def wait_for_end(self, study: str, revision: int = 0, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """State of a revision once it is final."""

        def final() -> dict[str, Any] | None:
            latest = self.latest(study)
            if latest is None or latest.number < revision:
                return None
            state = SeenRevision(self.spool.revision(latest.key, revision)).read_state()
            return state if State(state["state"]).is_final else None

        try:
            found: dict[str, Any] = wait_until(final, timeout_s)
        except AssertionError:
            latest = self.latest(study)
            state = latest.read_state() if latest is not None else None
            raise AssertionError(f"{state} after {timeout_s} s\n{self.log.read_text()[-6000:]}") from None
        return found

    def is_idle(self) -> bool:
        """Return whether every study that came is at its end."""
        latest = [self.spool.latest_revision(key) for key in self.spool.study_keys()]
        return all(revision is None or revision.state.is_final for revision in latest)

    def studies(self, *arguments: str) -> Any:
        """Return the output of ``segnode studies … --json``."""
        done = subprocess.run(  # noqa: S603 - our own interpreter and modules
            [sys.executable, *SEGNODE[:2], "studies", *arguments, "--config", str(self.config), "--json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)
