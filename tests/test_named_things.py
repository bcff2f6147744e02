"""Things that texts name exist: pages, commands with their options, modules that are started, paths in the image."""

import re
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from app.cli.main import cli
from app.map.context import image_rooms

ROOT = Path(__file__).parents[1]
ROOMS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["segnode"]["rooms"]
PLACES = (*ROOMS, "docker", "docs", "manifests", "models", ".ci", "Makefile", "README.md", "CONTRIBUTING.md")
KINDS = {"", ".json", ".md", ".proto", ".py", ".service", ".txt", ".yaml", ".yml"}

PAGE = re.compile(r"(?<![\w/.])docs/[\w./-]+\.md")
MODULE = re.compile(r'(?:python3?(?:\.11)? -m |"-m", "|PYTHON, ")([a-z_][\w.]*\w)')
IN_IMAGE = re.compile(r"/opt/holoscan(?:/[\w.-]*)*")
COMMAND = re.compile(
    r"(?:`|\$ |see: |run: |with: |by: |bin/|BIN\)/|\(|^ *|segnode )"
    r"segnode ((?!is )[a-z][\w-]*\b(?!  )(?:[^\n`]*\\\n)*[^\n`]*)",
    re.MULTILINE,
)
"""A command as a person would type it: in back ticks, after a prompt, on a line of its own, or as what to do next."""

COMMAND_AS_A_LIST = re.compile(r'\["segnode", ([^\]]+)\]')
"""A command as Docker, Compose and Kubernetes take it."""

COPIED = {"app", "models", "docs"}
"""Folders of the context that the images hold below ``/opt/holoscan``."""


def texts() -> Iterator[tuple[str, str]]:
    for place in PLACES:
        path = ROOT / place
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix in KINDS and "__pycache__" not in file.parts:
                yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")


def found(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    return [(name, match[match.lastindex or 0]) for name, text in texts() for match in pattern.finditer(text)]


def commands() -> list[tuple[str, str]]:
    listed = [(where, re.sub(r'[",]+', " ", words)) for where, words in found(COMMAND_AS_A_LIST)]
    return found(COMMAND) + listed


def problem_of(command: str) -> str:
    """Return the fault of the words after ``segnode``; empty where command and options exist."""
    here: Any = get_command(cli)
    words = re.split(r"\s+", command.replace("\\\n", " ").replace("\\", " ").split(" # ")[0].strip())
    for word in list(words):
        if not hasattr(here, "commands"):
            break
        bare = word.strip(".,;:)'\"")
        if bare not in here.commands:
            return f"{here.name} has no command {bare}" if re.fullmatch(r"[a-z][\w-]*", bare) else ""
        here, words = here.commands[bare], words[1:]
        if bare != word:
            break  # the sentence goes on after the command
    options = {name for option in here.params for name in option.opts} | {"--help"}
    unknown = [word for word in words if re.match(r"--[a-z]", word) and re.split(r"[=.,;:)]", word)[0] not in options]
    return f"{here.name} has no option {', '.join(unknown)}" if unknown else ""


def test_every_page_exists() -> None:
    pages = found(PAGE)
    assert len(pages) > 20
    assert [(where, page) for where, page in pages if not (ROOT / page).is_file()] == []


def test_every_command_exists() -> None:
    assert len(found(COMMAND)) > 60
    assert len(found(COMMAND_AS_A_LIST)) > 5
    assert [(where, text, said) for where, text in commands() if (said := problem_of(text))] == []


def test_every_command_is_shown_somewhere() -> None:
    """A command that no page and no help text shows is found by nobody."""
    shown = {" ".join(text.split()[:2]) for _, text in found(COMMAND)} | {text.split()[0] for _, text in found(COMMAND)}
    top: Any = get_command(cli)
    for name, command in top.commands.items():
        names = [f"{name} {sub}" for sub in command.commands] if hasattr(command, "commands") else [name]
        assert [one for one in names if one not in shown] == []


def test_every_module_that_is_started_exists() -> None:
    modules = found(MODULE)
    assert len(modules) > 20
    assert [(where, name) for where, name in modules if not _can_be_started(name)] == []


def _can_be_started(name: str) -> bool:
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        return False
    if spec is None:
        return False
    return spec.submodule_search_locations is None or find_spec(f"{name}.__main__") is not None


def test_every_path_in_the_image_is_one_that_its_context_gives() -> None:
    paths = found(IN_IMAGE)
    assert len(paths) > 20
    assert [(where, path) for where, path in paths if not _is_in_the_image(path)] == []


def _is_in_the_image(path: str) -> bool:
    parts = [part for part in path.rstrip(".").split("/")[3:] if part]
    if not parts or parts[0] not in COPIED:
        return False
    if parts[0] != "app" or len(parts) == 1:
        return True
    return parts[1] in image_rooms() and ROOT.joinpath(*parts[1:]).exists()


@pytest.mark.parametrize(
    "command",
    ["spool mend --config node.yaml", "serve --konfig node.yaml", "modles list", "studies", "models show demo --yaml"],
)
def test_a_command_that_does_not_exist_is_noticed(command: str) -> None:
    known: Any = get_command(cli)
    assert problem_of(command) or command in known.commands


@pytest.mark.parametrize("path", ["/opt/holoscan/bin", "/opt/holoscan/app/bench", "/opt/holoscan/app/app/cli.py"])
def test_a_path_that_no_image_has_is_noticed(path: str) -> None:
    assert not _is_in_the_image(path)


@pytest.mark.parametrize("name", ["app.worker", "services.api", "core", "nowhere.at.all"])
def test_a_module_that_cannot_be_started_is_noticed(name: str) -> None:
    assert not _can_be_started(name)
