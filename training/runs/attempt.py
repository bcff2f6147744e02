"""One run brought to its end: its process is started, watched, and tried again after a crash."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from core.event_log import EventLog
from core.file_locks import locked
from runtime.child import PYTHON
from training.runs.records import Ended, RunFolder, RunState, State
from training.runs.told_progress import ToldProgress

CRASHES_AT_MOST = 3
CRASHES_WITHIN_S = 3600.0
LAST_LINES = 15
LOOK_EVERY_S = 0.2
GRACE_S = 30.0
"""Time that an epoch may still take when the machine shuts down."""

_log = EventLog()


@dataclass(frozen=True)
class Pace:
    """The times of a run.

    Attributes
    ----------
    checkpoint_s
        Seconds between checkpoints.
    retry_s
        The pause after a crash.
    """

    checkpoint_s: float
    retry_s: float


class Interrupted(Exception):
    """The worker ends; the run goes on when a worker starts again."""


def bring_to_end(
    run: RunFolder, environment: Mapping[str, str], pace: Pace, must_end: Callable[[], bool] = lambda: False
) -> RunState:
    """Have a run trained, whatever its processes die of, and return how it came out.

    Parameters
    ----------
    run
        The run.
    environment
        Variables of its process: nnU-Net's folders, and the device.
    pace
        Its times.
    must_end
        Tells that this process shuts down.

    Raises
    ------
    Interrupted
        If it shuts down first.
    OSError
        If the run's folder cannot be written.
    """
    with locked(run.path / "working"):  # a process of it may still live on another machine
        return _try_again(run, environment, pace, must_end)


def _try_again(run: RunFolder, environment: Mapping[str, str], pace: Pace, must_end: Callable[[], bool]) -> RunState:
    while not run.is_to_stop:
        run.change(state=State.RUNNING, reason="")
        run.take_ended()  # of a process before, which nobody lived to hear
        code = _one_process(run, environment, pace, must_end)
        ended = run.take_ended()
        was_told = ended is not None and ended.why == "stopped" and not run.is_to_stop
        if ended is not None and not was_told:
            return _finish(run, ended)
        if must_end():
            raise Interrupted
        if was_told:
            continue  # by somebody else, who knew its process; its last epoch is saved
        if (state := _after_crash(run, code)).state.is_over:
            return state
        _pause(run, pace.retry_s, must_end)
    return _finish(run, Ended(why="stopped"))


def _finish(run: RunFolder, ended: Ended) -> RunState:
    states = {"done": State.DONE, "stopped": State.STOPPED, "refused": State.FAILED, "out_of_memory": State.FAILED}
    run.ask_to_stop(wanted=False)
    state = run.change(state=states[ended.why], reason=ended.reason)
    _log.info("run_ended", run=run.key, state=str(state.state))
    return state


def _one_process(run: RunFolder, environment: Mapping[str, str], pace: Pace, must_end: Callable[[], bool]) -> int:
    """Run one process to its end, and leave none of its own processes behind."""
    with run.log.open("ab") as log, _start(run, environment, pace, log) as process:
        try:
            _watch(process, run, must_end)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode


def _start(run: RunFolder, environment: Mapping[str, str], pace: Pace, log: BinaryIO) -> subprocess.Popen[bytes]:
    command = [*PYTHON, "training.runs.child", str(run.path), str(pace.checkpoint_s)]
    return subprocess.Popen(  # noqa: S603 - this project's own module, by this interpreter
        command,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env={**os.environ, **environment},
        start_new_session=True,
    )


def _watch(process: subprocess.Popen[bytes], run: RunFolder, must_end: Callable[[], bool]) -> None:
    told, deadline = False, None
    progress = ToldProgress(run)
    while process.poll() is None:
        progress.look()
        if not told and (run.is_to_stop or must_end()):
            process.terminate()  # it ends after its epoch, with a checkpoint
            told = True
        if deadline is None and must_end():
            deadline = time.monotonic() + GRACE_S
        if deadline is not None and time.monotonic() > deadline:
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_EVERY_S)


def _after_crash(run: RunFolder, code: int) -> RunState:
    now = time.time()
    what = f"ended by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"
    if code == -signal.SIGKILL:
        what += ", as one is that takes more memory than the machine has"
    crashes = (*run.state().crashes, now)
    recent = [when for when in crashes if now - when < CRASHES_WITHIN_S]
    _log.warning("run_crashed", run=run.key, code=code, crashes=len(recent))
    if len(recent) < CRASHES_AT_MOST:
        return run.change(crashes=crashes, reason=f"its process {what}; it is tried again")
    lines = "\n".join(run.last_lines(LAST_LINES))
    reason = f"its process {what}, as {len(recent) - 1} did within the hour before; the log ends:\n{lines}"
    return run.change(state=State.FAILED, crashes=crashes, reason=reason)


def _pause(run: RunFolder, seconds: float, must_end: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not run.is_to_stop:
        if must_end():
            raise Interrupted
        time.sleep(min(LOOK_EVERY_S, max(0.0, until - time.monotonic())))
