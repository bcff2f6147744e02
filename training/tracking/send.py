"""One run brought to MLflow's knowledge: what the server has not got yet is sent, in an order that a kill may cut."""

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import ConfigInvalid
from core.event_log import EventLog
from training.runs.journal import Journal
from training.runs.records import RunFolder
from training.settings import Folders
from training.tracking.anonymous import lock_of
from training.tracking.facts import STATUS, TOKEN, epoch_metrics, metric_name, parameters, small_files, tags
from training.tracking.record import TrackedRun, read_tracked, write_tracked
from training.tracking.server import Server
from training.tracking.validation import write_validation

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

BATCH = 900
"""Metrics of one request; MLflow takes 1000."""
VALIDATION = "validation"

_log = EventLog()


class Sender:
    """Sends one run, and keeps what the server has beside the checkpoints.

    Parameters
    ----------
    folders
        The site's folders.
    run
        The run.
    server
        Where it goes.
    """

    def __init__(self, folders: Folders, run: RunFolder, server: Server) -> None:
        self._folders, self._run, self._server = folders, run, server
        self._request = run.request()
        self._output = self._request.output(folders)

    def send(self) -> TrackedRun:
        """Send what is new, and return what the server has then.

        Raises
        ------
        RetryLater
            If the server cannot be reached; what it has got is noted, and the rest is sent the next time.
        ConfigInvalid
            If it refuses.
        """
        with self._server.asked() as client:
            tracked = self._begun(client, read_tracked(self._output) or TrackedRun())
            tracked = self._described(client, tracked)
            tracked = self._epochs(client, tracked)
            for path, content in small_files(self._folders, self._run, self._request).items():
                tracked = self._file(client, tracked, path, content)
            return self._ended(client, tracked)

    def _keep(self, tracked: TrackedRun, **changes: object) -> TrackedRun:
        changed = tracked.model_copy(update=changes)
        write_tracked(self._output, changed)
        return changed

    def _begun(self, client: "MlflowClient", tracked: TrackedRun) -> TrackedRun:
        """Find the run on the server, or make it there."""
        if tracked.run_id and _has(client, tracked.run_id):
            return tracked
        experiment = self._server.experiment(client, self._request.dataset)
        if tracked.run_id:
            _log.warning("tracking_anew", run=self._run.key, mlflow_run=tracked.run_id)
            tracked = TrackedRun()  # it is another server, or somebody deleted the run
        tracked = self._keep(tracked)
        found = client.search_runs([experiment], f"tags.`{TOKEN}` = '{tracked.token}'", max_results=1)
        name = f"{self._request.configuration}, fold {self._request.fold}"
        run = found[0] if found else client.create_run(experiment, tags={TOKEN: tracked.token}, run_name=name)
        return self._keep(tracked, run_id=run.info.run_id, experiment=self._request.dataset)

    def _described(self, client: "MlflowClient", tracked: TrackedRun) -> TrackedRun:
        from mlflow.entities import Param, RunTag

        facts = Journal(self._run.path).facts()
        if not facts:
            return tracked
        said = [RunTag(key, value) for key, value in tags(self._run, self._request, facts).items()]
        if tracked.is_described:
            stamp = _sha256(repr([(tag.key, tag.value) for tag in said]).encode())
            if tracked.artifacts.get("tags") == stamp:
                return tracked
            client.log_batch(tracked.run_id, tags=said)
            return self._keep(tracked, artifacts={**tracked.artifacts, "tags": stamp})
        lock = lock_of(self._folders.raw / self._request.dataset)
        params = [Param(key, value) for key, value in parameters(self._request, facts, lock).items()]
        client.log_batch(tracked.run_id, params=params, tags=said)
        return self._keep(tracked, is_described=True)

    def _epochs(self, client: "MlflowClient", tracked: TrackedRun) -> TrackedRun:
        while True:
            found, after = epoch_metrics(self._run, tracked.epochs_sent, BATCH)
            if after == tracked.epochs_sent:
                return tracked
            _log_metrics(client, tracked.run_id, found)
            tracked = self._keep(tracked, epochs_sent=after)

    def _file(self, client: "MlflowClient", tracked: TrackedRun, path: str, content: bytes) -> TrackedRun:
        digest = _sha256(content)
        if tracked.artifacts.get(path) == digest:
            return tracked
        with tempfile.TemporaryDirectory() as work:
            file = Path(work) / Path(path).name
            file.write_bytes(content)
            folder = str(Path(path).parent) if "/" in path else None
            client.log_artifact(tracked.run_id, str(file), folder)
        return self._keep(tracked, artifacts={**tracked.artifacts, path: digest})

    def _ended(self, client: "MlflowClient", tracked: TrackedRun) -> TrackedRun:
        state = self._run.state()
        status = STATUS.get(state.state, "RUNNING")
        if status == tracked.status:
            return tracked
        if status == "FINISHED" and self._request.fold != "all":
            tracked = self._validation(client, tracked)
        if status == "RUNNING":
            client.update_run(tracked.run_id, status=status)
        else:
            client.set_terminated(tracked.run_id, status, end_time=int(1000 * state.changed))
        return self._keep(tracked, status=status)

    def _validation(self, client: "MlflowClient", tracked: TrackedRun) -> TrackedRun:
        if VALIDATION in tracked.artifacts:
            return tracked
        with tempfile.TemporaryDirectory() as work:
            report = Path(work) / VALIDATION
            try:
                figures = write_validation(self._folders, self._request, report)
            except ConfigInvalid as error:
                _log.warning("validation_not_tracked", run=self._run.key, reason=str(error))
                figures = {}
            epochs, when = self._run.progress().epochs, int(1000 * self._run.state().changed)
            _log_metrics(client, tracked.run_id, [(metric_name(n), v, when, epochs) for n, v in figures.items()])
            if report.exists():
                client.log_artifacts(tracked.run_id, str(report), VALIDATION)
        return self._keep(tracked, artifacts={**tracked.artifacts, VALIDATION: "sent"})


def _has(client: "MlflowClient", run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def _log_metrics(client: "MlflowClient", run_id: str, values: list[tuple[str, float, int, int]]) -> None:
    from mlflow.entities import Metric

    if values:
        client.log_batch(run_id, metrics=[Metric(name, value, when, step) for name, value, when, step in values])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
