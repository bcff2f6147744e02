"""The audit file on a disk that fills up: an incomplete write is reported."""

import subprocess
import sys
from pathlib import Path

from tests.support.node_process import ROOT

WRITER = """
import resource, sys
from pathlib import Path
from dicom_io.audit.sinks import AuditFile
file = AuditFile(Path(sys.argv[1]))
file.write(b"x" * 99)
resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))  # as a disk that holds half of the next message
try:
    file.write(b"y" * 99)
except OSError as error:
    print(error.strerror)
"""


def test_a_message_of_which_only_a_part_was_written_counts_as_lost(tmp_path: Path) -> None:
    path = tmp_path / "audit.xml"
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-c", WRITER, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert path.stat().st_size == 150
    assert done.stdout == "the disk took only a part of a message\n"
