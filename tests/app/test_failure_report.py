"""The report of a study that failed for a reason outside of it."""

from pathlib import Path

from app.failure_report import publish_failure
from app.study_run import StudyRun
from core.report import Reason, Report, WarningReport
from core.study_warning import StudyWarning, WarningCode
from dicom_io.results.outbox import REPORT_NAME


def test_failure_report_has_what_reception_knew(tmp_path: Path) -> None:
    warning = WarningReport.of(
        StudyWarning(WarningCode.DESCRIPTION_CHANGED, "They differ in: InstitutionName.", "1.2.9")
    )
    run = StudyRun(tmp_path / "in", tmp_path, ("liver",), notes=("An archive did not answer.",), warnings=(warning,))
    publish_failure(run, "1.2.3", Reason(code="retry_later", message="disk full"), "cpu")
    report = Report.model_validate_json((tmp_path / "1.2.3" / REPORT_NAME).read_text(encoding="utf-8"))
    assert (report.outcome, report.notes, report.warnings) == ("failed", run.notes, (warning,))
