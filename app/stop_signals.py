"""Ctrl-C and SIGTERM while a folder is segmented: the process ends at once, and leaves nothing half-written."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what a platform or a shutdown sends."""


@contextmanager
def ended_by_signals(clean_up: Callable[[signal.Signals], None]) -> Iterator[None]:
    """End this process on SIGINT with exit code 130 and on SIGTERM with 143, whatever its other threads do.

    A thread waits for the signals, since Python's own handlers run in the main thread alone, and that waits for the
    graph, which runs outside of Python. It also holds for process 1 of a container, to which a signal without a handler
    does nothing. To be entered before other threads start: they inherit that the signals are blocked.

    Parameters
    ----------
    clean_up
        Called with the signal before the process ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    over = threading.Event()

    def wait() -> None:
        number = signal.sigwait(ENDING)
        if over.is_set():
            return
        try:
            clean_up(signal.Signals(number))
        finally:
            os._exit(128 + number)

    thread = threading.Thread(target=wait, name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        if thread.ident is not None:
            signal.pthread_kill(thread.ident, signal.SIGTERM)
        thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
