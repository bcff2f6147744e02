"""``added.json``: which version of this program made a package; sealed with the rest.

Packages that were made before it was written have none. It is a file of its own, since programs of that time read
packages that have it, and would refuse a key of ``manifest.json`` that they do not know.
"""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from core.errors import PackageInvalid
from core.frozen import Frozen
from core.version import VERSION

RECORD = "added.json"


class ImportRecord(Frozen):
    """The whole of ``added.json``.

    Attributes
    ----------
    segnode
        Version of the program that made the package.
    """

    schema_version: Literal[1] = 1
    segnode: str


def write_record(folder: Path) -> None:
    """Write the record of this program's version into a package that is being made."""
    (folder / RECORD).write_text(ImportRecord(segnode=VERSION).model_dump_json(indent=1) + "\n", encoding="utf-8")


def parse_record(content: bytes, path: Path) -> ImportRecord:
    """Validate the bytes of ``added.json``; the path only appears in errors.

    Raises
    ------
    PackageInvalid
        If they are not a record.
    """
    try:
        return ImportRecord.model_validate_json(content)
    except ValidationError as error:
        raise PackageInvalid(f"{path}: not the record of an import: {error.errors()[0]['msg']}") from error
