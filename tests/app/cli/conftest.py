"""The command line as a person types it, in this process."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from app.cli import main as cli


class Typed(NamedTuple):
    """The end of a command."""

    code: int
    out: str
    err: str


Type = Callable[..., Typed]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Type:
    """Type ``segnode`` and some words, without a terminal."""

    def type_words(*words: str | Path) -> Typed:
        monkeypatch.setattr(sys, "argv", ["segnode", *map(str, words)])
        capfd.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        said = capfd.readouterr()
        return Typed(code, said.out, said.err)

    return type_words
