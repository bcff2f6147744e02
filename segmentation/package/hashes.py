"""SHA-256 of a package's files, in the format of ``sha256sum``, so that they can be checked without this program."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from core.errors import PackageInvalid

SUMS = "SHA256SUMS"
_BLOCK = 1 << 20


def sha256_of_file(path: Path) -> str:
    """Compute the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_bytes(content: bytes) -> str:
    """Compute the hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def write_sums(folder: Path) -> None:
    """Write ``SHA256SUMS`` for all files below a folder except ``model.yaml``, which a person may edit."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [f"{sha256_of_file(folder / name)}  {name}\n" for name in files if name not in (SUMS, "model.yaml")]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def parse_sums(content: bytes, path: Path) -> dict[str, str]:
    """Parse file names and their SHA-256 from the bytes of ``SHA256SUMS``; the path only appears in errors.

    Raises
    ------
    PackageInvalid
        If a line is not in the format of ``sha256sum``, or its path leads outside the folder.
    """
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise PackageInvalid(f"{path}: {error}") from error
    sums = {}
    for number, line in enumerate(lines, start=1):
        digest, separator, name = line.partition("  ")
        parts = Path(name).parts
        if not separator or len(digest) != 64 or not parts or ".." in parts or Path(name).is_absolute():
            raise PackageInvalid(f"{path}:{number}: not a line of sha256sum: SHA-256, two blanks, relative path")
        sums[name] = digest
    return sums


def check_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Hash every file that ``SHA256SUMS`` lists and compare.

    Raises
    ------
    PackageInvalid
        If a file is missing or altered; the text names every such file.
    """
    problems = []
    for name, expected in sums.items():
        try:
            actual = sha256_of_file(folder / name)
        except OSError as error:
            problems.append(f"{folder / name}: {error.strerror or error}")
            continue
        if actual != expected:
            problems.append(f"{folder / name}: altered, SHA-256 {actual[:12]}… is not {expected[:12]}…")
    if problems:
        raise PackageInvalid("\n".join(problems))
