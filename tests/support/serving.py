"""A node that a person starts in a folder of their own, by the command that the pages show."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.node_process import PATIENCE_S


@contextmanager
def serving(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Start a node, and end it as an operator does.

    Yields
    ------
    str
        What it says first on standard output; its log where it ended instead.
    """
    log = folder / "node.log"
    with log.open("w") as stream:
        node = subprocess.Popen(  # noqa: S603 - our own program
            command, cwd=folder, env=dict(environment), stdout=subprocess.PIPE, stderr=stream, text=True
        )
    try:
        assert node.stdout is not None
        yield node.stdout.readline() or log.read_text()
        node.terminate()
        assert node.wait(PATIENCE_S) == 0
    finally:
        node.kill()
        node.communicate()
