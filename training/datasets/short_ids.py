"""Short IDs: how a patient, a study and a person are known in a data set, by a key that stays with the site."""

import hashlib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigInvalid

KEY_FILE = ".segnode-key"
"""Beside the data sets, and in none of them: without it nobody can tell whose an ID is."""
KEY_BYTES = 32
DIGITS = 12
"""48 bits: among a million cases two meet by a chance of one in 500."""


@dataclass(frozen=True)
class ShortIDs:
    """Makes short IDs; equal texts of one kind have equal IDs."""

    key: bytes

    def of(self, kind: str, text: str) -> str:
        """Return the ID of a text as hexadecimal digits."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), key=self.key, person=kind.encode()[:16])
        return digest.hexdigest()[:DIGITS]


def short_ids_of(place: Path) -> ShortIDs:
    """Read the site's key, or make one.

    Raises
    ------
    ConfigInvalid
        If it cannot be read, or is damaged.
    """
    path = place / KEY_FILE
    place.mkdir(parents=True, exist_ok=True)
    draft = place / f"{KEY_FILE}.{os.getpid()}.part"
    try:
        if not path.exists():
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process made it at the same time
                path.hardlink_to(draft)
        key = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"{path}: the site's key cannot be read or made: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    if len(key) != KEY_BYTES:
        raise ConfigInvalid(f"{path}: the site's key has {len(key)} bytes, expected {KEY_BYTES}; restore it")
    return ShortIDs(key)
