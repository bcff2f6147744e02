"""A table of cases (CSV): the patient of each, and who made its mask."""

import csv
from collections.abc import Mapping
from pathlib import Path

from core.errors import ConfigInvalid

COLUMNS = ("case", "patient", "labelled_by")


def read_people(path: Path) -> Mapping[str, tuple[str, str]]:
    """Read patient and maker of the mask by the case's name in the source; an empty field states nothing.

    Raises
    ------
    ConfigInvalid
        If a column is missing or unknown, or a case is listed twice.
    """
    found: dict[str, tuple[str, str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            unknown = set(rows.fieldnames or ()) - set(COLUMNS)
            if unknown or "case" not in (rows.fieldnames or ()):
                raise ConfigInvalid(f"{path}:1: expected the columns {', '.join(COLUMNS)}; case is needed")
            for number, row in enumerate(rows, 2):
                case = (row["case"] or "").strip()
                if case in found:
                    raise ConfigInvalid(f"{path}:{number}: this case stands on an earlier line too")
                found[case] = (row.get("patient") or "").strip(), (row.get("labelled_by") or "").strip()
    except (OSError, UnicodeError, csv.Error) as error:
        raise ConfigInvalid(f"{path}: it cannot be read as CSV in UTF-8") from error
    return found
