"""The report of a study that could not be finished for a reason outside the study."""

from app.study_run import StudyRun
from core.report import Reason, Report
from dicom_io.results.outbox import StudyOutbox


def publish_failure(run: StudyRun, study_uid: str, reason: Reason, device: str) -> Report:
    """Publish that a study failed, in place of any earlier result, with what was known of it before the run.

    Parameters
    ----------
    run
        The run that failed.
    study_uid
        Study Instance UID; empty where the images have none that is valid.
    reason
        Why; it quotes no data element.
    device
        The device on which the models were to run.

    Raises
    ------
    ConfigInvalid, RetryLater
        If it cannot be written there.
    """
    report = Report(
        study=study_uid, outcome="failed", reason=reason, notes=run.notes, warnings=run.warnings, device=device
    )
    outbox = StudyOutbox(run.output, study_uid, stagings=run.stagings)
    try:
        outbox.publish(report)
    finally:
        outbox.discard()
    return report
