"""The help of every command, and the answer to words that it does not know."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from app.cli import main as cli
from phantom.series import write_series
from phantom.tags import SeriesTags, StudyTags
from tests.app.cli.conftest import Type
from tests.support.series_helpers import phantom


def commands(app: typer.Typer, *typed: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and group of commands."""
    yield typed
    for command in app.registered_commands:
        assert command.callback is not None
        yield (*typed, command.name or command.callback.__name__)
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, *typed, str(group.name))


@pytest.mark.parametrize("words", tuple(commands(cli.cli)), ids=" ".join)
def test_short_and_long_help_are_the_same_and_hold_no_mark_of_their_layout(words: tuple[str, ...], typed: Type) -> None:
    short, long = typed(*words, "-h"), typed(*words, "--help")
    assert (short.code, short.out) == (0, long.out)
    assert " ".join(("Usage: segnode", *words)) in short.out
    assert "\\b" not in short.out
    assert "\b" not in short.out


@pytest.mark.parametrize(
    "words",
    [
        ("run", "in", "out", "--model", "demo"),
        ("models", "verify", "demo", "--case", "a.nii", "--expect", "b.nii"),
        ("models", "measure", "demo", "cases"),
    ],
    ids=lambda words: words[:2],
)
def test_unknown_device_is_named_with_those_that_there_are(words: tuple[str, ...], typed: Type) -> None:
    done = typed(*words, "--device", "gpu")
    assert done.code == 2
    assert "'gpu' is not one of 'auto', 'cuda', 'cpu'" in done.err
    assert "error" not in done.err.lower().replace("─ error ─", "")


def test_unknown_profile_and_part_are_named_with_those_that_there_are(typed: Type) -> None:
    quick = ("run", "in", "out", "--model", "demo", "--profile", "quick")
    for words, said in (
        (quick, "'quick' is not one of 'exact', 'equal', 'fast'"),
        (("serve", "--config", "node.yaml", "--only", "sender"), "'sender' is not one of 'listener', 'worker'"),
        (("call", "totalseg", "a=b", "--timeout", "soon"), "valid number"),
    ):
        done = typed(*words)
        assert done.code == 2
        assert said in " ".join(done.err.replace("│", " ").split())
        assert "Value error" not in done.err


def test_study_without_a_phase_is_refused_for_it_by_a_model_that_needs_one(typed: Type, tmp_path: Path) -> None:
    write_series(phantom(), tmp_path / "ct", study=StudyTags(), series=SeriesTags(number=4, description="Abdomen"))
    done = typed("run", tmp_path / "ct", tmp_path / "out", "--model", "tumor-phantom", "--device", "cpu")
    assert done.code == 3
    said = "No series of phase arterial, portal or delayed: series 4 names none."
    assert said in " ".join(done.out.split())
