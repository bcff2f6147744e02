"""Files of results beside a package's seal, which count only for the weights and settings that they were made with."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from core.errors import PackageInvalid
from core.files import replace_file
from core.frozen import Frozen
from core.model_config import ModelConfig
from core.settled_json import settled_json
from segmentation.package.hashes import sha256_of_bytes


class Result(Frozen):
    """The part that all results have.

    Attributes
    ----------
    when
        Time of the result, UTC (`now`).
    seal
        SHA-256 of the package's ``SHA256SUMS`` at the time.
    settings
        SHA-256 of the settings in ``model.yaml`` that the result depends on (`settings_hash`).
    """

    when: str
    seal: str
    settings: str


Content = TypeVar("Content", bound=Frozen)
AnyResult = TypeVar("AnyResult", bound=Result)


def read_results(path: Path, kind: type[Content]) -> Content:
    """Read a file of results; a missing one holds none.

    Raises
    ------
    PackageInvalid
        If the file is damaged.
    """
    if not path.exists():
        return kind()
    try:
        return kind.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise PackageInvalid(f"{path}: {str(error).splitlines()[0]}") from error


def write_results(path: Path, content: Frozen) -> None:
    """Write a file of results whole or not at all, even if the power fails."""
    replace_file(path, content.model_dump_json(indent=1).encode() + b"\n")


def newest(results: Sequence[AnyResult], seal: str, settings: str) -> AnyResult | None:
    """Find the newest result of these weights and settings, if there is one; results stand in order of time."""
    return next((found for found in reversed(results) if (found.seal, found.settings) == (seal, settings)), None)


def settings_hash(config: ModelConfig, without: set[str]) -> str:
    """Compute the SHA-256 of the settings in ``model.yaml`` that change labels, without some keys of ``inference``."""
    inference = settled_json(config.inference, without)
    return sha256_of_bytes(f"{config.orientation}\n{inference}".encode())


def now() -> str:
    """Return the time stamp of a result, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
