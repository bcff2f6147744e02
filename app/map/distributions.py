"""The distributions that go into an image, with their versions and licences."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.utils import canonicalize_name

from core.errors import ConfigInvalid

_LICENCE_WORDS = ("licen", "copying", "notice", "authors", "eula")


def read_names(requirements: Path) -> list[str]:
    """Read the names in a file of ``docker/requirements``, one a line, comments left out."""
    lines = requirements.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def read_pins(constraints: Path) -> dict[str, str]:
    """Version of every distribution in ``constraints.txt``, by its canonical name."""
    pairs = (line.split("==") for line in constraints.read_text(encoding="utf-8").splitlines() if "==" in line)
    return {canonicalize_name(name): version.strip() for name, version in pairs}


def pinned(names: list[str], pins: dict[str, str], constraints: Path) -> dict[str, str]:
    """Return the pinned versions of these names.

    Raises
    ------
    ConfigInvalid
        If one has none.
    """
    missing = [name for name in names if canonicalize_name(name) not in pins]
    if missing:
        raise ConfigInvalid(f"{constraints}: no version for {', '.join(missing)}; add NAME==VERSION")
    return {name: pins[canonicalize_name(name)] for name in names}


def licence_of(name: str) -> str:
    """Return what an installed distribution says of its licence: an expression, a name, or nothing.

    Of one that is not installed here, as CUDA's libraries beside torch for processors, nothing is known; its licence
    comes with its wheel into the image.
    """
    try:
        meta = distribution(name).metadata
    except PackageNotFoundError:
        return ""
    claims = (meta[key] for key in ("License-Expression", "License") if key in meta)  # later Pythons raise without it
    claim = next(filter(None, claims), "")
    if not claim or "\n" in claim:  # some put the whole text there
        named = [c.split(" :: ")[-1] for c in meta.get_all("Classifier") or [] if c.startswith("License ::")]
        claim = named[0] if named else ""
    return claim


def licence_files(name: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of every licence text that an installed distribution carries, in a fixed order."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return
    for path in sorted(files, key=str):
        inside = path.parts[0].endswith(".dist-info")
        if inside and any(word in path.name.lower() for word in _LICENCE_WORDS):
            yield "-".join(path.parts[1:]), path.locate().read_bytes()  # type: ignore[attr-defined]  # a Path in practice
