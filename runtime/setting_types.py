"""Values that settings are made of: each says what is wrong with one in words that a person can act on."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo


def _ae_title(value: str) -> str:
    # PS3.5 6.2, VR AE: 16 characters of the default repertoire, no backslash, no control characters, not only spaces.
    if not re.fullmatch(r"[\x20-\x5b\x5d-\x7e]{1,16}", value) or value != value.strip():
        raise ValueError("an AE title has 1 to 16 printable characters, no backslash, no space at either end")
    return value


def beside_the_file(value: Path, info: ValidationInfo) -> Path:
    """Return an absolute path; a relative one is taken from the settings file's folder."""
    folder: Path = (info.context or {}).get("folder", Path())
    return (folder / value.expanduser()).absolute()


AETitle = Annotated[str, AfterValidator(_ae_title)]
Port = Annotated[int, Field(ge=1, le=65535)]
LocalPath = Annotated[Path, AfterValidator(beside_the_file)]
# Names become file and queue names.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


DATABASE_URL = re.compile(r"^(postgresql|sqlite)(\+\w+)?://")
