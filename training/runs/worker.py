"""The process that runs a machine's queue: ``segnode train work``. Durable work on DBOS, devices leased to runs.

The folders of the runs are the truth: what is queued there is given to DBOS, also where its database was lost. A run is
one workflow of one step; if the process dies in it, the next one of its name, or another machine's, does the step
again, and the training goes on from its newest checkpoint.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dbos import DBOS, DBOSConfiguredInstance, SetEnqueueOptions, SetWorkflowID
from sqlalchemy.exc import SQLAlchemyError

from core.errors import ConfigInvalid, RetryLater, SegnodeError
from core.event_log import EventLog
from core.file_locks import take_lock
from runtime.durable_queue import ENDED, launch_dbos
from runtime.lease_table import LeaseTable, reason_of
from runtime.processor import usable_cores
from runtime.storage_id import spool_id
from runtime.takeover import Takeover
from runtime.worker_lease import WorkerLease, this_process
from training.runs.attempt import Interrupted, Pace, bring_to_end
from training.runs.device_pool import DevicePool
from training.runs.followed import followed
from training.runs.records import RunFolder, RunState, State, runs_in
from training.runs.variables import variables_of_run
from training.runs.worker_lock import worker_lock
from training.settings import TrainingSettings

QUEUE = "training"
WORKFLOW_VERSION = "training-1"
"""Version of the workflow below; work of another is begun anew from its folder."""

LOOK_EVERY_S = 0.5
POLL_S = 0.3

_log = EventLog()


@DBOS.dbos_class()
class TrainingFlow(DBOSConfiguredInstance):
    """The workflow of a run, bound to a site's settings and a machine's devices.

    Parameters
    ----------
    settings
        The site's settings.
    stopping
        Set when the process shuts down.
    """

    def __init__(self, settings: TrainingSettings, stopping: threading.Event) -> None:
        self._settings = settings
        self._stopping = stopping
        self._at_work = 0
        self._changed = threading.Condition()
        self.pool = DevicePool(settings.devices, settings.runs_per_device)
        super().__init__("site")

    def enqueue(self, run: RunFolder) -> bool:
        """Give DBOS a run that is not over; to do it again changes nothing. Return False if the run is over."""
        state = run.state()
        if state.state.is_over:
            return False
        if state.state is State.QUEUED and run.is_to_stop:
            _stopped(run)
            return False
        known = DBOS.list_workflows(workflow_ids=[_workflow(run, state)], load_input=False, load_output=False)
        if any(one.status in ENDED for one in known):
            # Its end could not be noted, or it is of an earlier version: it is begun again under another name.
            run.change(state=State.QUEUED, revision=state.revision + 1)
        elif not known:
            with SetWorkflowID(_workflow(run, state)), SetEnqueueOptions(priority=run.request().priority):
                DBOS.enqueue_workflow(QUEUE, self.train, run.key)
        return True

    @DBOS.workflow()
    def train(self, key: str) -> str:
        """Bring one run to its end."""
        return self.run(key)

    @DBOS.step()
    def run(self, key: str) -> str:
        """Wait for the run's devices, and have it trained on them; return the state it came to."""
        run = RunFolder(self._settings.folders.queue / key)
        with self._counted():
            try:
                return str(self._on_devices(run).state)
            except Interrupted:
                pass
            except (SegnodeError, ValueError, OSError) as error:
                return str(run.change(state=State.FAILED, reason=str(error)).state)
        # The workflow gets no outcome, since the next process is to go on with it.
        threading.Event().wait()
        raise AssertionError

    def wait_for_runs(self) -> None:
        """Wait until no process of a run is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._at_work == 0)

    def _on_devices(self, run: RunFolder) -> RunState:
        request = run.request()

        def gives_up() -> bool:
            return self._stopping.is_set() or run.is_to_stop

        with self.pool.leased(request.devices, request.priority, shared=request.shared, gives_up=gives_up) as devices:
            if devices is None:
                if self._stopping.is_set():
                    raise Interrupted
                return _stopped(run)
            run.change(host=self._settings.executor, device=", ".join(name or "the one found" for name in devices))
            pace = Pace(60.0 * self._settings.checkpoint_minutes, self._settings.retry_seconds)
            return bring_to_end(run, self._environment(devices), pace, self._stopping.is_set)

    def _environment(self, devices: tuple[str | None, ...]) -> dict[str, str]:
        variables = variables_of_run(self._settings.folders, max(1, usable_cores() // self.pool.slots))
        if devices != (None,):
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(name for name in devices if name not in (None, "cpu"))
        return variables

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._changed:
            self._at_work += 1
        try:
            yield
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()


def _stopped(run: RunFolder) -> RunState:
    run.ask_to_stop(wanted=False)
    return run.change(state=State.STOPPED)


def _workflow(run: RunFolder, state: RunState) -> str:
    return f"{run.key}.{state.revision}"


def work(settings: TrainingSettings, *, until_idle: bool) -> None:
    """Run what is queued until SIGTERM or SIGINT, or until nothing is left; the process ends then.

    Raises
    ------
    ConfigInvalid
        If another worker of this machine serves the site, or the database belongs to another one.
    RetryLater
        If the database fails for now.
    """
    stopping = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    lock = worker_lock(settings)
    lock.touch(mode=0o664)
    descriptor = take_lock(lock)
    if descriptor is None:
        raise ConfigInvalid(f"another worker of {settings.executor} serves {settings.folders.queue}; one is enough")
    leases = LeaseTable(settings.database, settings.lease_seconds)
    lease = WorkerLease(
        leases, settings.executor, this_process(settings.folders.queue, settings.executor, WORKFLOW_VERSION)
    )
    flow = TrainingFlow(settings, stopping)
    if lease.begin(spool_id(settings.folders.queue), stopping.wait):
        _launch(settings, flow.pool.slots)
        Takeover(lease).start()
        with followed(settings):
            _serve(settings, flow, stopping, until_idle=until_idle)
            stopping.set()
            flow.wait_for_runs()
            lease.give_up()
    os._exit(0)  # workflows that the next process goes on with wait in their threads


def _launch(settings: TrainingSettings, slots: int) -> None:
    database, executor = settings.database, settings.executor
    try:
        launch_dbos(database, executor, WORKFLOW_VERSION, lease_seconds=settings.lease_seconds, logs=settings.logs)
        DBOS.register_queue(QUEUE, worker_concurrency=slots, polling_interval_sec=POLL_S, on_conflict="always_update")
    except SQLAlchemyError as error:
        raise RetryLater(f"database: {reason_of(error)}; it is tried again") from error


def _serve(settings: TrainingSettings, flow: TrainingFlow, stopping: threading.Event, *, until_idle: bool) -> None:
    while not stopping.is_set():
        is_idle = True
        for run in runs_in(settings.folders.queue):
            try:
                is_idle &= not flow.enqueue(run)
            except SegnodeError as error:
                _log.warning("run_passed_over", run=run.key, reason=str(error))
        if is_idle and until_idle:
            return
        stopping.wait(LOOK_EVERY_S)
