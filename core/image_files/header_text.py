"""The text in front of the voxels of NRRD and MetaImage files, and the numbers in it."""

import re
from collections.abc import Callable
from typing import BinaryIO, Final

from core.image_files.stored_image import FileDefect

LONGEST_HEADER: Final = 1 << 20
"""Bytes of the longest header that is read."""
_NUMBER: Final = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_COUNT: Final = re.compile(r"\d{1,9}")


def read_lines(file: BinaryIO, is_last: Callable[[str], bool]) -> list[str]:
    """Read lines up to the last of the header, and leave the file behind it.

    Raises
    ------
    FileDefect
        If no line is the last, or one is not ASCII.
    """
    lines, read = [], 0
    while read < LONGEST_HEADER:
        line = file.readline(LONGEST_HEADER)
        read += len(line)
        if not line.endswith(b"\n"):
            break
        try:
            lines.append(line.decode("ascii").rstrip("\r\n"))
        except UnicodeDecodeError as error:
            raise FileDefect("its header is not text") from error
        if is_last(lines[-1]):
            return lines
    raise FileDefect("its header has no end")


def numbers(text: str, count: int, field: str) -> list[float]:
    """Return the numbers that a field lists.

    Raises
    ------
    FileDefect
        If they are not ``count`` decimal numbers.
    """
    words = text.split()
    if len(words) != count or not all(_NUMBER.fullmatch(word) for word in words):
        raise FileDefect(f"the field '{field}' of its header must be {count} numbers")
    return [float(word) for word in words]


def counts(text: str, count: int, field: str) -> list[int]:
    """Return the whole numbers that a field lists.

    Raises
    ------
    FileDefect
        If they are not ``count`` whole numbers.
    """
    words = text.split()
    if len(words) != count or not all(_COUNT.fullmatch(word) for word in words):
        raise FileDefect(f"the field '{field}' of its header must be {count} whole number(s)")
    return [int(word) for word in words]


def required(fields: dict[str, str], name: str) -> str:
    """Return a field that decides what the image is: no default is taken for it.

    Raises
    ------
    FileDefect
        If it is missing.
    """
    if name not in fields:
        raise FileDefect(f"its header has no field '{name}'")
    return fields[name]


def one_of(text: str, choices: tuple[str, ...], field: str) -> str:
    """Return a field's word.

    Raises
    ------
    FileDefect
        If it is not among the words that are read.
    """
    if text not in choices:
        raise FileDefect(f"the field '{field}' of its header must be {' or '.join(choices)}")
    return text
