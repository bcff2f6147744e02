"""The bearer tokens of callers, from a file."""

import hashlib
import hmac
from pathlib import Path

from core.errors import ConfigInvalid

SHORTEST = 16
"""Least number of characters of a token; a shorter one can be guessed."""


class Tokens:
    """The tokens of a file, one a line; it is read for every call, so that they can be changed at any time.

    Parameters
    ----------
    path
        The file; None admits every caller.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None and not self._digests():
            raise ConfigInvalid(f"{path}: it holds no token; write one a line, e.g. from: openssl rand -hex 32")

    @property
    def are_wanted(self) -> bool:
        """Tell whether callers must show a token."""
        return self._path is not None

    def admit(self, authorization: str | None) -> bool:
        """Tell whether an ``Authorization`` header holds one of the tokens."""
        if self._path is None:
            return True
        scheme, _, token = (authorization or "").partition(" ")
        shown = hashlib.sha256(token.strip().encode()).digest()
        # Every token is compared, so that the time reveals nothing.
        found = [hmac.compare_digest(shown, known) for known in self._digests()]
        return scheme.lower() == "bearer" and any(found)

    def _digests(self) -> list[bytes]:
        if self._path is None:
            return []
        try:
            lines = [line.strip() for line in self._path.read_text(encoding="utf-8").splitlines()]
        except OSError as error:
            raise ConfigInvalid(f"{self._path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigInvalid(f"{self._path}: the file is not UTF-8 text") from error
        tokens = [line for line in lines if line and not line.startswith("#")]
        if any(len(token) < SHORTEST or len(token.split()) > 1 for token in tokens):
            raise ConfigInvalid(
                f"{self._path}: a token must be one word of at least {SHORTEST} characters on a line of its own"
            )
        return [hashlib.sha256(token.encode()).digest() for token in tokens]
