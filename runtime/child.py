"""The common part of the node's child processes: their report that they are ready, and their end.

A child says ``ready`` on its standard output. Its standard input is a pipe that the node holds: when the node is gone,
however it ended, the pipe is closed and the child ends at once, so no child outlives its node.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from core.errors import RetryLater, SegnodeError
from core.event_log import EventLog
from core.raised_at import raised_at

PYTHON = (sys.executable, "-P", "-m")
"""Beginning of a child's command line; its module follows.

With ``-P`` a folder ``app`` or ``core`` of the place where somebody calls this program is not taken for a part of it.
"""

READY = b"ready\n"
_NAMED_FRAMES = 4

_log = EventLog()


class ParentLink:
    """The child's end of the connection to the node.

    Parameters
    ----------
    before_end
        Called before the process ends because the node is gone; returns soon.
    """

    def __init__(self, before_end: Callable[[], None] = lambda: None) -> None:
        self._before_end = before_end
        self._stop = threading.Event()
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        # Whatever libraries print goes to the log's stream; the node reads only what is said on purpose.
        self._said = os.dup(1)
        os.dup2(2, 1)
        threading.Thread(target=self._end_with_parent, name="parent", daemon=True).start()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _end_with_parent(self) -> None:
        os.read(0, 1)
        self._before_end()
        # The spool and the workflow database are safe at every instant; a second node may already be starting.
        os._exit(1)

    def say_ready(self) -> None:
        """Tell the node that this process is ready for work."""
        self.say(READY)

    def say(self, line: bytes) -> None:
        """Write one line to the node."""
        os.write(self._said, line)

    def wait_for_stop(self, timeout: float | None = None) -> bool:
        """Wait for a time until the node asks to stop; return True if it has."""
        return self._stop.wait(timeout)


def run_child(main: Callable[[], None]) -> None:
    """Run a child's work; an error of ``core.errors``, or of a disk, becomes its exit code and one line in the log.

    Any other error does too, without its text, and the process ends at once.
    """
    try:
        main()
    except SegnodeError as error:
        _log.error("process_not_started", reason=str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        # A disk that is full, mostly. Whoever watches this process starts it again.
        _log.error("process_not_started", reason=error.strerror or type(error).__name__)
        sys.exit(RetryLater.exit_code)
    except Exception as problem:  # noqa: BLE001 - the process's outermost place; threads of it must not keep it alive
        _log.error(
            "process_failed",
            error=type(problem).__name__,
            at=raised_at(problem.__traceback__, _NAMED_FRAMES),
        )
        os._exit(1)


def watch_threads(
    ends_process: Callable[[threading.Thread | None], bool], before_end: Callable[[], None] = lambda: None
) -> None:
    """Log an error that ends a thread in one line, and end the process if it is of no use without the thread.

    A process that lives and does nothing is worse than one that is restarted.

    Parameters
    ----------
    ends_process
        Tells of a thread whether the process ends with it.
    before_end
        Called before the process ends.
    """

    def on_death(problem: threading.ExceptHookArgs) -> None:
        if issubclass(problem.exc_type, SystemExit):
            return  # the thread wished to end
        name = problem.thread.name if problem.thread is not None else ""
        _log.error(
            "thread_died",
            error=problem.exc_type.__name__,
            at=raised_at(problem.exc_traceback, _NAMED_FRAMES),
            name_of_thread=name,  # a record has a "thread" of its own
        )
        if ends_process(problem.thread):
            before_end()
            os._exit(1)

    threading.excepthook = on_death
