"""The summary of a report in 80 columns, whatever the report holds."""

from collections.abc import Callable

import pytest

from app.run_summary import show_line, show_outcome, show_seconds, show_volumes
from core.report import STAGES, ModelReport, Reason, Report, WarningReport

UID = "1.2.840.113619." + "9" * 49
PATH = "/data/" + "x" * 100
MODEL = ModelReport(name="m" * 63, sha256="0", profile="exact", volumes_ml={"[bold]k" + "l" * 57: 123456.7})
REPORT = Report(
    study=UID,
    outcome="nothing_found",
    reason=Reason(code="missing_slice", message=f"Series {UID} misses slices; " + "its positions have gaps; " * 8),
    models=(MODEL,),
    warnings=(WarningReport(code="files_unreadable", message=f"A folder could not be read: {PATH} and others."),),
    timings_s=dict.fromkeys(STAGES, 12345.6),
    device="cuda",
)

Said = Callable[[], list[str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """Give the lines said so far; nobody states a width."""
    monkeypatch.delenv("COLUMNS", raising=False)
    return lambda: capsys.readouterr().out.splitlines()


def test_every_line_fits_and_words_stay_whole(said: Said) -> None:
    show_outcome(REPORT)
    show_volumes(REPORT)
    show_seconds(REPORT)
    lines = said()
    words = [word for line in lines for word in line.split()]
    assert {UID, PATH, "[bold]k" + "l" * 57} <= set(words)
    assert [line for line in lines if len(line) > 80] == [f"    {PATH}"]


def test_seconds_go_on_indented_and_stay_beside_their_stage(said: Said) -> None:
    show_seconds(REPORT)
    first, *others = said()
    assert first.startswith("  seconds: read 12345.6, preprocess 12345.6,")
    assert others
    assert all(line.startswith("    ") for line in others)
    assert all(line.rstrip(",").endswith(("12345.6", "on cuda")) for line in (first, *others))


def test_a_wider_terminal_is_used(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    show_line("word " * 30)
    assert len(said()) == 1
