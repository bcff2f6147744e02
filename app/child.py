"""What the node's child processes have in common: how they say that they are ready, and how they end.

A child says ``ready`` on its standard output. Its standard input is a pipe that the node holds: when the node is gone,
however it ended, the pipe is closed and the child ends at once, so no child outlives its node.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from core.errors import SegnodeError

READY = b"ready\n"
_log = logging.getLogger("segnode")


class ParentLink:
    """The child's end of the connection to the node."""

    def __init__(self) -> None:
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
        # The spool and the workflow database are safe at every instant; a second node may already be starting.
        os._exit(1)

    def say_ready(self) -> None:
        """Tell the node that this process takes work."""
        self.say(READY)

    def say(self, line: bytes) -> None:
        """Tell the node something, in a line."""
        os.write(self._said, line)

    def wait_for_stop(self, timeout: float | None = None) -> bool:
        """Wait until the node asks to stop; whether it has."""
        return self._stop.wait(timeout)


def run_child(main: Callable[[], None]) -> None:
    """Run a child's work; an error of the tree becomes its exit code and one line in the log."""
    try:
        main()
    except SegnodeError as error:
        _log.error("cannot_start", extra={"reason": str(error)})
        sys.exit(error.exit_code)
