"""The words of nnU-Net's planners, of which a person needs few: kept in a file beside the plans."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path


@contextmanager
def printed_to(path: Path) -> Iterator[None]:
    """Have what this process and those that it starts print in the block go to a file, in place of what it held."""
    sys.stdout.flush()
    with path.open("w", encoding="utf-8") as file, redirect_stdout(file):
        kept = os.dup(1)
        try:
            os.dup2(file.fileno(), 1)
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)
