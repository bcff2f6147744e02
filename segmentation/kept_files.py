"""Small files that a package gathers while it is in use, beside what is sealed."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all, also after a loss of power."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    names = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(names)  # a renamed file is only there for good with its folder
    finally:
        os.close(names)
