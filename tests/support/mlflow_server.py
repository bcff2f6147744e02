"""MLflow's own server in an environment of its own, its artifacts in an S3-compatible store (moto's server).

Beside the project's constraints the server does not resolve, so ``.ci/run`` makes the environment: `ENVIRONMENT`.
"""

import os
import subprocess
import urllib.request
from http.client import HTTPException
from pathlib import Path

from tests.support.node_process import PATIENCE_S, free_port, wait_until

ENVIRONMENT = Path(os.environ.get("SEGNODE_MLFLOW_SERVER", Path(__file__).parents[2] / "build" / "mlflow-server"))
_BUCKET = "models"


def find_mlflow() -> Path | None:
    """Folder of the server's programs; None where they are not installed."""
    programs = ENVIRONMENT / "bin"
    return programs if all((programs / name).is_file() for name in ("mlflow", "moto_server")) else None


class MlflowServer:
    """MLflow's server and its store, each on a free port of the loopback interface.

    Parameters
    ----------
    programs
        Folder of ``mlflow`` and ``moto_server``.
    folder
        Where its database and logs lie.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self.port, store = free_port(), free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._store = f"http://127.0.0.1:{store}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
            "PATH": f"{programs}:{os.environ['PATH']}",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_S3_ENDPOINT_URL": self._store,
            "AWS_ACCESS_KEY_ID": "made",
            "AWS_SECRET_ACCESS_KEY": "made",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self._bucket_server = self._run("moto_server", "-H", "127.0.0.1", "-p", str(store))
        self._process: subprocess.Popen[bytes] | None = None
        wait_until(lambda: _answers(self._store))
        made = urllib.request.Request(f"{self._store}/{_BUCKET}", method="PUT")  # noqa: S310 - loopback
        urllib.request.urlopen(made).close()  # noqa: S310 - loopback
        self.start()

    def start(self) -> None:
        """Start it where it was before, and wait until it answers."""
        database = f"sqlite:///{self._folder / 'server.db'}"
        self._process = self._run(
            *("mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
            *("--backend-store-uri", database, "--artifacts-destination", f"s3://{_BUCKET}/"),
        )
        wait_until(lambda: _answers(f"{self.uri}/health"), 4 * PATIENCE_S)

    def stop(self) -> None:
        """Stop the server; the store goes on."""
        if self._process is not None:
            _end(self._process)
            self._process = None

    def remove(self) -> None:
        """Stop both."""
        self.stop()
        _end(self._bucket_server)

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - a peer found by name
                [self._programs / program, *arguments],
                env=self._environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - loopback
    except (OSError, HTTPException):
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    import signal

    os.killpg(process.pid, signal.SIGKILL)  # its own session, with all that it started
    process.wait()
