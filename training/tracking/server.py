"""MLflow, as this project asks for it: which one, how long it may take, and what its failures mean.

mlflow is imported here and in `training.registry` alone, when a call needs it: it takes seconds.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigInvalid, RetryLater
from core.file_locks import locked

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_USER = re.compile(r"//[^/\s]*@")
ENVIRONMENT = "MLFLOW_TRACKING_URI"
STORE, ARTIFACTS = "mlflow.db", "mlflow-artifacts"
_BOUNDS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
"""Of one request; MLflow's own are 120 s and 7 retries. A value that a person sets counts instead."""


def tracking_uri(queue: Path) -> str:
    """Return MLflow's address: what ``MLFLOW_TRACKING_URI`` says, else an SQLite file in the folder of the queue."""
    return os.environ.get(ENVIRONMENT) or f"sqlite:///{queue / STORE}"


def shown(uri: str) -> str:
    """Return an address, or a text that holds one, without user and password."""
    return _USER.sub("//", uri)


class Server:
    """MLflow's tracking store at one address.

    Parameters
    ----------
    queue
        Folder of the queue, in which the local store lies.
    uri
        The address; left out: `tracking_uri`.
    """

    def __init__(self, queue: Path, uri: str | None = None) -> None:
        self.uri = uri or tracking_uri(queue)
        self._queue = queue

    @contextmanager
    def asked(self) -> "Iterator[MlflowClient]":
        """Give the block a client; a local store is one process's at a time.

        Raises
        ------
        RetryLater
            If the server cannot be reached or fails, in the block too.
        ConfigInvalid
            If it refuses what is asked.
        """
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # mlflow tells its makers of its use unless it is told not to
        for name, value in _BOUNDS.items():
            os.environ.setdefault(name, value)
        from mlflow.exceptions import MlflowException, RestException
        from mlflow.tracking import MlflowClient
        from requests.exceptions import RequestException

        try:
            if not self.uri.startswith("sqlite:"):
                yield MlflowClient(self.uri, self.uri)
                return
            with locked(self._queue / ".mlflow.lock"):
                yield MlflowClient(self.uri, self.uri)
        except RestException as error:
            raise _meaning(self.uri, error) from error
        except (MlflowException, RequestException, OSError) as error:
            raise RetryLater(f"MLflow at {shown(self.uri)}: {_first_line(error)}") from error

    def experiment(self, client: "MlflowClient", name: str) -> str:
        """Return the ID of an experiment, which is made where it is missing.

        Raises
        ------
        ConfigInvalid
            If somebody deleted it.
        """
        from mlflow.exceptions import MlflowException

        known = client.get_experiment_by_name(name)
        if known is None:
            place = None if not self.uri.startswith("sqlite:") else (self._queue / ARTIFACTS / name).as_uri()
            try:
                return str(client.create_experiment(name, artifact_location=place))
            except MlflowException as error:
                known = client.get_experiment_by_name(name)  # another one made it meanwhile
                if known is None:
                    raise error
        if known.lifecycle_stage != "active":
            raise ConfigInvalid(f"MLflow's experiment {name} is deleted; restore it with: mlflow experiments restore")
        return str(known.experiment_id)


def _meaning(uri: str, error: Any) -> RetryLater | ConfigInvalid:
    status = error.get_http_status_code()
    said = f"MLflow at {shown(uri)}: {_first_line(error)}"
    return ConfigInvalid(said) if 400 <= status < 500 and status not in (408, 409, 429) else RetryLater(said)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return shown(lines[0])[:300] if lines else type(error).__name__
