"""The log: one line an event, and nothing that a library may have read from a data set."""

import logging
import subprocess
import sys

import pytest

from runtime.logs import EventFormatter
from tests.support.node_process import ROOT


def line(name: str, message: str, **fields: object) -> str:
    record = logging.getLogger(name).makeRecord(name, logging.INFO, "file.py", 7, message, (), None, extra=fields)
    return EventFormatter("worker").format(record)


def test_an_event_is_one_line_of_pairs() -> None:
    text = line("segnode", "study_refused", study="abc", reason="A slice\nis missing.")
    stamp, rest = text.split(" ", 1)
    assert stamp.endswith("Z")
    assert rest == 'INFO worker study_refused study=abc reason="A slice is missing."'


@pytest.mark.parametrize("library", ["pydicom", "pynetdicom.acse", "highdicom.seg"])
def test_text_of_libraries_about_data_sets_is_left_out(library: str) -> None:
    text = line(library, "Invalid value for VR PN: 'CANARY^NAME'")
    assert "CANARY" not in text
    assert f"at={library}:7" in text


def test_a_traceback_is_cut_to_its_type() -> None:
    try:
        raise ValueError("CANARY")
    except ValueError:
        record = logging.LogRecord("segnode", logging.ERROR, "file.py", 7, "failed", (), sys.exc_info())
    text = EventFormatter("worker").format(record)
    assert text.endswith("failed error=ValueError")


def test_warnings_and_libraries_are_silent_in_a_process() -> None:
    program = (
        "import logging, warnings\n"
        "from runtime.logs import configure_logging\n"
        "configure_logging('worker')\n"
        "warnings.warn('CANARY')\n"
        "logging.getLogger('pydicom').error('CANARY')\n"
        "logging.getLogger('segnode').info('event')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter and program text
    assert done.stderr.endswith("INFO worker event\n")
    assert "CANARY" not in done.stderr
