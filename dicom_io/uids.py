"""Valid UIDs, and UIDs derived from what a result was made of, so that the same work never has two names."""

import hashlib
import json
import re
import uuid
from collections.abc import Sequence

from pydicom.uid import UID

_LENGTH = 64
_GRAMMAR = re.compile(r"[0-9]+(\.[0-9]+)+")


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID by PS3.5 section 9.1.

    Leading zeros of a component are accepted: real devices write them, and they do no harm. Any other text that breaks
    the section is not an identifier, and must never become part of a path.
    """
    return len(text) <= _LENGTH and _GRAMMAR.fullmatch(text) is not None


def derive_uid(purpose: str, parts: Sequence[str | int]) -> UID:
    """Return a UID below ``2.25`` that is a function of its arguments alone.

    Parameters
    ----------
    purpose
        What the UID names (``"series"``, ``"instance"``), so that one set of parts gives several UIDs.
    parts
        What the named thing was made of; their order and their boundaries count.

    References
    ----------
    PS3.5 annex B.2 (UUID derived UID); RFC 9562 section 5.8, with SHA-256 in place of a random number.
    """
    digest = hashlib.sha256(json.dumps([purpose, *parts], ensure_ascii=True).encode("ascii")).digest()
    number = bytearray(digest[:16])
    number[6] = number[6] & 0x0F | 0x80  # version 8: made by the application's own rule
    number[8] = number[8] & 0x3F | 0x80  # the variant of RFC 9562
    return UID(f"2.25.{uuid.UUID(bytes=bytes(number)).int}")
