"""``added.json``: which version of this program made a package; sealed with the rest.

Packages that were made before it was written have none. It is a file of its own, since programs of that time read
packages that have it, and would refuse a key of ``manifest.json`` that they do not know.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import ValidationError

from core.errors import PackageInvalid
from core.frozen import Frozen
from core.version import VERSION

RECORD = "added.json"

SHIPPED: Mapping[str, str] = MappingProxyType(
    {
        "dbfadf243f13a8dc3e051dc1fbe50d6d2ab1a57bf32489b136da6b6de3cf8b4f": "0.1.0",  # demo
        "9398f9914185fc55d8286a217b05e41e72ddd1aa75bbde27fdba2547fe3e5c39": "0.1.0",  # totalseg-phantom
        "c39391072d7becdb41517c703c812a79a0d4bea7a68c0ce55e87cc14d9e252a8": "0.1.0",  # tumor-phantom
        "8a2954e5519f2eff42ac6ac77c5b1d347fa0a53c654c210db9a9f55289079859": "0.1.0",  # ureter-phantom
        "97eb0dad19e96643ad5301e9daacfd47591c5402f8c6a72148d50642367131e0": "0.1.0",  # vessel-phantom
    }
)
"""The program's own packages that are older than the record: by their seal, the version that they come with.

A record inside them would give their results other UIDs.
"""


class ImportRecord(Frozen):
    """The whole of ``added.json``.

    Attributes
    ----------
    schema_version
        2 for packages whose networks other backends than torch may compute in profile ``fast``; 1 for those of before.
    segnode
        Version of the program that made the package.
    """

    schema_version: Literal[1, 2] = 2
    segnode: str

    @property
    def knows_backends(self) -> bool:
        """True of packages that were made when there were several backends."""
        return self.schema_version >= 2


def write_record(folder: Path) -> None:
    """Write the record of this program's version into a package that is being made."""
    (folder / RECORD).write_text(ImportRecord(segnode=VERSION).model_dump_json(indent=1) + "\n", encoding="utf-8")


def shipped_record(seal: str) -> ImportRecord | None:
    """Return the record of a package that comes with this program; ``None`` of any other.

    All of them were made before there were backends, and their results in profile ``fast`` stay what they were.
    """
    version = SHIPPED.get(seal)
    return None if version is None else ImportRecord(schema_version=1, segnode=version)


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
