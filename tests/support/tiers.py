"""The tier of a test, one of three, read from what it uses: ``unit``, ``peers`` or ``slow``.

A test that says ``slow`` or ``peers`` by a marker is of that tier. Any other is of ``peers`` where it, a fixture of it
or a helper of the tests that one of them names starts a program, and of ``unit`` where none does. A program that a test
starts through the program's own rooms is not found: while a test of ``unit`` runs, any start of a program fails it, so
that it gets its marker.
"""

import functools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
TIERS = ("unit", "peers", "slow")
STARTERS = ("multiprocessing", "subprocess")
"""Modules that start programs."""

HARMLESS = (subprocess.CompletedProcess, subprocess.SubprocessError, subprocess.CalledProcessError)
"""Names in them that start no program."""

NEED_PEERS = ("mlflow_server", "peer", "postgres_server")
"""Fixtures of whoever needs another project's program, whether it is installed or not."""

STARTS = ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen")
"""Audit events of a start."""


def tier_of(item: pytest.Item) -> str:
    """The tier of a test."""
    said = [tier for tier in TIERS if item.get_closest_marker(tier) is not None]
    if said:
        return said[-1]
    return "peers" if _starts_programs(item) else "unit"


def _starts_programs(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return True
    used: list[Any] = [item.function, *(item.callspec.params.values() if hasattr(item, "callspec") else ())]
    if not set(NEED_PEERS).isdisjoint(item.fixturenames):
        return True
    definitions = item._fixtureinfo.name2fixturedefs
    used += [one.func for name in item.fixturenames for one in definitions.get(name, ())]
    return any(starts_programs(thing) for thing in used)


def starts_programs(thing: Any) -> bool:
    """Return whether a function, class or value of the tests starts a program, by the names that it uses."""
    seen: set[int] = set()
    queue = [thing]
    while queue:
        one = queue.pop()
        if id(one) not in seen:
            seen.add(id(one))
            if _is_starter(one):
                return True
            queue += _used_by(one)
    return False


def _is_starter(thing: Any) -> bool:
    if any(thing is one for one in HARMLESS):
        return False
    name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
    return isinstance(name, str) and name.partition(".")[0] in STARTERS


def _used_by(thing: Any) -> list[Any]:
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, staticmethod | classmethod):
        return [thing.__func__]
    if isinstance(thing, property):
        return [part for part in (thing.fget, thing.fset) if part is not None]
    if isinstance(thing, list | tuple | set | frozenset):
        return list(thing)
    if isinstance(thing, dict):
        return list(thing.values())
    if not _is_of_the_tests(getattr(thing, "__module__", None)):
        return []
    if isinstance(thing, FunctionType):
        return list(_used_by_function(thing))
    if isinstance(thing, type):
        return [*thing.__bases__, *vars(thing).values()]
    inner = getattr(thing, "__wrapped__", None) or getattr(thing, "__func__", None)
    if inner is not None:
        return [inner]
    return [type(thing), *getattr(thing, "__dict__", {}).values()]


@functools.cache
def _is_of_the_tests(module: object) -> bool:
    path = getattr(sys.modules.get(str(module)), "__file__", None)  # a folder that is no package gives bare names
    return path is not None and Path(path).is_relative_to(TESTS)


def _used_by_function(function: FunctionType) -> Iterator[Any]:
    yield from _named(function)
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it is empty
            yield cell.cell_contents
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    if hasattr(function, "__wrapped__"):
        yield function.__wrapped__


@functools.cache
def _named(function: FunctionType) -> tuple[Any, ...]:
    names = _names(function.__code__)
    found = [function.__globals__[name] for name in names if name in function.__globals__]
    if "getfixturevalue" in names:  # what that is cannot be read
        found.append(subprocess)
    modules = [one for one in found if isinstance(one, ModuleType) and _is_of_the_tests(one.__name__)]
    return (*found, *(getattr(module, name) for module in modules for name in names if hasattr(module, name)))


def _names(code: CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*(_names(one) for one in inner))


def _is_importing() -> bool:
    """Return whether a module is being imported: matplotlib lists a fresh machine's fonts by a program then."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


class Guard:
    """Fails whoever starts a program while it is closed; the import of a library may."""

    def __init__(self) -> None:
        self._is_closed = False
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._is_closed and event in STARTS and not _is_importing():
            raise AssertionError(f"a test of tier unit starts a program ({event}): mark it peers, or slow")

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Until the block is over, no program is started in this process."""
        self._is_closed = True
        try:
            yield
        finally:
            self._is_closed = False


@functools.cache
def the_guard() -> Guard:
    """The one of this process: an audit hook is never taken away."""
    return Guard()
