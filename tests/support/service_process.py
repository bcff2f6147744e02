"""A whole inference service in processes of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from services.masks.mask_locks import Locks
from tests.support.node_process import ROOT, free_port, wait_until

SEGNODE = ("-c", "from app.cli.main import main; main()")


class ServiceProcess:
    """One service on this machine.

    Parameters
    ----------
    folder
        Where its settings, work folder and log go.
    volume
        The shared volume.
    models
        Folder of the model packages.
    aliases
        Package of each task.
    wrapper
        What to start it with.
    **changes
        Keys of ``service.yaml`` to set otherwise.
    """

    def __init__(
        self,
        folder: Path,
        volume: Path,
        models: Path,
        aliases: Mapping[str, str] = MappingProxyType({}),
        *,
        wrapper: Sequence[str] = (),
        **changes: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._wrapper = wrapper
        self.log = folder / "service.log"
        self.config = folder / "service.yaml"
        self.grpc_port, self.rest_port = free_port(), free_port()
        settings = {
            "roots": {"cases": {"path": str(volume), "seen_as": ["/mnt/cases"]}},
            "work": "work",
            "models": str(models),
            "aliases": dict(aliases),
            "grpc": {"port": self.grpc_port},
            "rest": {"port": self.rest_port},
            "workers": ["cpu"],
        } | changes
        self.config.write_text(yaml.safe_dump(settings))
        self.process: subprocess.Popen[str] | None = None

    @property
    def grpc(self) -> str:
        """Address of the gRPC port."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def rest(self) -> str:
        """Address of the REST port."""
        return f"http://127.0.0.1:{self.rest_port}"

    def start(self) -> "ServiceProcess":
        """Start it and wait until it takes work."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - this project's own command
                [*self._wrapper, sys.executable, *SEGNODE, "api", "--config", str(self.config)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            self.stop()  # a process left behind would fail the tests that follow
            pytest.fail(self.log.read_text())
        return self

    def stop(self) -> int:
        """End it as a service manager does; its exit code."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()  # a process left behind would fail the tests that follow
            self.process.wait()
            self.process.stdout.close()

    @contextmanager
    def held(self, *masks: str) -> Iterator[None]:
        """Have whoever makes these masks wait until the block is over, however fast or slow this machine is.

        Parameters
        ----------
        masks
            As the service calls them: ``cases:0001/mask/tumor_A.nii.gz``.
        """
        with Locks(self.folder / "work" / "locks").held(masks):
            yield

    def children(self) -> dict[str, int]:
        """Process IDs of its children by name, from the log."""
        wait_until(lambda: self.log.exists())
        found = {}
        for line in self.log.read_text().splitlines():
            if " process_started " in line:
                fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
                found[fields["child"]] = int(fields["pid"])
        return found

    def run_command(self, *arguments: str, expect: int = 0) -> str:
        """Return the output of a ``segnode`` command."""
        command = [sys.executable, *SEGNODE, *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # noqa: S603 - the same
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr
