"""A revision as somebody sees it who looks at its files, whatever the program makes of them."""

import json
from pathlib import Path
from typing import Any

from dicom_io.spool.revision import Revision


class SeenRevision:
    """A revision whose records are the JSON on disk; all else is as the program has it."""

    def __init__(self, revision: Revision) -> None:
        self._revision = revision

    def __getattr__(self, name: str) -> Any:
        return getattr(self._revision, name)

    def read_state(self) -> dict[str, Any]:
        """Content of ``state.json``."""
        return _read(self._revision.path / "state.json")

    def read_outcome(self) -> dict[str, Any] | None:
        """Content of ``outcome.json``, where it is there."""
        path = self._revision.path / "outcome.json"
        return _read(path) if path.exists() else None

    def read_delivery(self, destination: str) -> dict[str, Any] | None:
        """Content of a destination's file, where it is there."""
        path = self._revision.path / "deliveries" / f"{destination}.json"
        return _read(path) if path.exists() else None

    def deliveries(self) -> dict[str, dict[str, Any]]:
        """Content of each destination's file."""
        return {path.stem: _read(path) for path in sorted((self._revision.path / "deliveries").glob("[!.]*.json"))}


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content
