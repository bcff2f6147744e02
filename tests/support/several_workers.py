"""Workers with the stand-in for the models on one spool, each as if on a machine of its own, and studies for them."""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from pydicom.uid import generate_uid

from dicom_io.spool.ingest import Ingest
from dicom_io.spool.received import study_key
from dicom_io.spool.records import State
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from tests.support.arriving import Sent, put
from tests.support.node_process import PATIENCE_S, QUICK_RETRY, ROOT, make_image, wait_until
from tests.support.stub_worker import GO


class Worker:
    """One worker's process, which nobody starts again.

    Parameters
    ----------
    config
        Its ``node.yaml``.
    log
        Where its log goes.
    environment
        Variables to add.
    """

    def __init__(self, config: Path, log: Path, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        self.log = log
        with log.open("a") as stream:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                [sys.executable, "-m", "tests.support.stub_worker", str(config), "1"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env={**os.environ, **environment},
            )

    def wait_until_ready(self) -> "Worker":
        """Wait until it takes work."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", self.log.read_text()
        return self

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> None:
        """Kill it, if it lives, and wait for its end."""
        self.process.kill()
        self.process.wait(PATIENCE_S)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Machines:
    """A spool and a database that several workers share.

    Parameters
    ----------
    folder
        Where spool, settings and logs go.
    database
        As in ``node.yaml``.
    destinations
        Port of each storage SCP, by name.
    """

    lease_seconds = 4.0

    def __init__(self, folder: Path, database: str, destinations: Mapping[str, int]) -> None:
        self.folder = folder
        self.spool = Spool(folder / "spool")
        self.spool.prepare()
        self._arrival = Ingest(self.spool)
        self._settings: dict[str, Any] = {
            "ae_title": "SEGNODE",
            "host": "127.0.0.1",
            "port": 11112,
            "spool": "spool",
            "database": database,
            "quiet_seconds": 0.5,
            "lease_seconds": self.lease_seconds,
            "routes": [{"called_ae": "SEGNODE", "models": ["stub"], "destinations": list(destinations)}],
            "destinations": {
                name: {
                    "kind": "dicom",
                    "ae_title": "PACS",
                    "host": "127.0.0.1",
                    "port": port,
                    "retry": dict(QUICK_RETRY),
                }
                for name, port in destinations.items()
            },
        }
        self._workers: list[Worker] = []

    def start(self, name: str, environment: Mapping[str, str] = MappingProxyType({})) -> Worker:
        """Start the worker of one machine; it is not ready yet."""
        config = self.folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump({**self._settings, "executor": name}))
        worker = Worker(config, self.folder / f"{name}.log", environment)
        self._workers.append(worker)
        return worker

    def end(self) -> None:
        """Kill all workers."""
        for worker in self._workers:
            worker.end()

    def study(self, wish: str = "") -> str:
        """Receive a study of one image; its key."""
        study = str(generate_uid())
        image = make_image(study, description=wish)
        data = io.BytesIO()
        image.save_as(data, enforce_file_format=True)
        put(self._arrival, Sent("SEGNODE", study, str(image.SOPInstanceUID), True, data.getvalue()))
        return study_key("SEGNODE", study)

    def let_go(self) -> None:
        """Let the models come to an end with every study that is ``held``."""
        (self.folder / GO).touch()

    def revision(self, key: str) -> Revision:
        """First revision of a study."""
        return self.spool.revision(key, 0)

    def runner(self, key: str) -> str | None:
        """Name of the machine whose models are at work on a study now, and which holds no lock of it."""
        state = self.revision(key).read_state()
        is_running = state.state == "running" and self.runs(key) > 0  # its state is written under the lock
        return state.claim.by.removesuffix("-1") if is_running and state.claim is not None else None

    def wait_for_end(self, *keys: str, timeout_s: float = PATIENCE_S) -> list[str]:
        """Final states of studies."""

        def final() -> list[str] | None:
            states = [self.revision(key).state for key in keys]
            return [str(state) for state in states] if all(state.is_final for state in states) else None

        try:
            found: list[str] = wait_until(final, timeout_s)
        except AssertionError:
            states = [self.revision(key).read_state() for key in keys]
            logs = "\n".join(f"{path.name}\n{path.read_text()[-4000:]}" for path in sorted(self.folder.glob("*.log")))
            raise AssertionError(f"{states} after {timeout_s} s\n{logs}") from None
        return found

    def runs(self, key: str) -> int:
        """Return the number of times that models were begun on a study."""
        study, runs = self.spool.study(key)["study"], self.folder / "runs.txt"
        return len(re.findall(rf"^{re.escape(study)} ", runs.read_text(), re.MULTILINE)) if runs.exists() else 0


DELIVERED = str(State.DELIVERED)
