"""Figures of habits count what they name, and nothing else."""

from pathlib import Path

from bench.habits import main
from tests.bench.test_house import write


def test_habits_are_counted(tmp_path: Path) -> None:
    text = (
        '"""Whether it asks."""\n'
        "from dicom_io.spool import spool\n"
        "def step(key, number, run):\n"
        '    """Return it."""\n'
        '    return record["state"], record.get("reason"), record["unrelated"], record[0]\n'
        "def other(key, number):\n"
        '    """Return nothing."""\n'
    )
    assert main(write(tmp_path, app__one=text, app__two='x = {}["state"]\n')).splitlines() == [
        "docstrings 3, opening with a question word 1 (33.3 %)",
        "accesses to records by key 2, in files 1",
        "functions that take key, number and run 1",
    ]
