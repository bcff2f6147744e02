"""The listener's process alone, for tests that talk to it."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dicom_io.spool.received import study_key
from dicom_io.spool.spool import Spool
from tests.support.node_process import NOTHING_KEPT_FREE, ROOT, free_port


class ListenerProcess:
    """The listener alone, with the spool it writes to.

    Parameters
    ----------
    folder
        Where its settings, spool and log go.
    wrapper
        A program that starts it, with its arguments.
    settings
        Keys of ``node.yaml``, over its own.
    """

    def __init__(self, folder: Path, *, wrapper: Sequence[str] = (), **settings: Any) -> None:
        self.port = int(settings.get("port") or free_port())
        self.spool = Spool(Path(settings.get("spool", folder / "spool")))
        self.log = folder / "listener.log"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "node.yaml"
        route = {"called_ae": "LIVER", "models": ["demo"], "destinations": ["pacs"]}
        pacs = {"kind": "dicom", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}
        config.write_text(
            yaml.safe_dump(
                {"ae_title": "SEGNODE", "host": "127.0.0.1", "port": self.port, "spool": "spool", "peers": "any"}
                | {"routes": [route], "destinations": {"pacs": pacs}}
                | settings
                | {"reception": {"keep_free": dict(NOTHING_KEPT_FREE)} | settings.get("reception", {})}
            )
        )
        with self.log.open("w") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [*wrapper, sys.executable, "-m", "app.node.listener", str(config)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != b"ready\n":
            self.kill()
            raise AssertionError(self.log.read_text())
        self.idle_threads = self.threads()

    def resident_kib(self) -> int:
        """Memory that it holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def threads(self) -> int:
        """Return the number of its threads."""
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def kill(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self) -> None:
        """Stop it as the node does."""
        self.process.terminate()
        try:
            assert self.process.wait(60) == 0
        finally:
            self.kill()  # a process left behind would fail the tests that follow

    def _close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def images(self, study: str, called_ae: str = "SEGNODE") -> list[Path]:
        """Files of a study's newest revision."""
        revision = self.spool.latest_revision(study_key(called_ae, study))
        return sorted(revision.images.iterdir()) if revision is not None else []
