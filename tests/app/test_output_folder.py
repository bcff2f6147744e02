"""The folder for results, refused before any work is done where results cannot come to lie in it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.output_folder import check_output
from core.errors import ConfigInvalid
from tests.support.namespace import in_small_tmpfs
from tests.support.node_process import ROOT

FULL = """
import sys
from pathlib import Path
from app.output_folder import check_output
from core.errors import ConfigInvalid

folder = Path(sys.argv[1])
try:
    (folder / "filler").write_bytes(bytes(4 << 20))
except OSError:
    pass
try:
    check_output(folder / "out", Path("in"))
except ConfigInvalid as error:
    print(error)
"""


def a_file(work: Path) -> Path:
    (work / "out").write_text("")
    return work / "out"


def below_a_file(work: Path) -> Path:
    return a_file(work) / "deeper" / "out"


def a_link_to_nothing(work: Path) -> Path:
    (work / "out").symlink_to(work / "gone")
    return work / "out"


def a_link_into_the_input(work: Path) -> Path:
    (work / "out").symlink_to(work / "in")
    return work / "out" / "results"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (a_file, "out is a file; give a folder"),
        (below_a_file, "out is a file; give a folder"),
        (a_link_to_nothing, "out leads nowhere; give a folder"),
        (lambda work: work / "in", "lies in"),
        (lambda work: work / "in" / "results", "where results would be read as images"),
        (a_link_into_the_input, "where results would be read as images"),
        (lambda work: Path("/proc/results"), "cannot be written"),
    ],
)
def test_output_that_can_hold_no_results_is_refused_and_untouched(
    make: Callable[[Path], Path], said: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    output = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigInvalid, match=said):
        check_output(output, tmp_path / "in")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_there_or_can_be_made_is_taken_and_not_touched(tmp_path: Path) -> None:
    for output in (tmp_path, tmp_path / "out" / "deeper"):
        check_output(output, tmp_path / "in")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_found(tmp_path: Path) -> None:
    command = [*in_small_tmpfs(tmp_path / "disk", 1), sys.executable, "-c", FULL, str(tmp_path / "disk")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter and program text
    assert "out cannot be written (No space left on device); give another folder" in done.stdout
