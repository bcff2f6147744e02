"""The report of a study that could not be finished for a reason outside the study."""

from collections.abc import Sequence
from pathlib import Path

from core.report import Reason, Report
from dicom_io.results.outbox import StudyOutbox
from dicom_io.results.stagings import Stagings


def publish_failure(
    output_folder: Path,
    study_uid: str,
    reason: Reason,
    device: str,
    notes: Sequence[str] = (),
    stagings: Stagings | None = None,
) -> Report:
    """Publish that a study failed, in place of any earlier result.

    Parameters
    ----------
    output_folder
        The folder in which ``<StudyInstanceUID>/`` appears.
    study_uid
        Study Instance UID; empty where the images have none that is valid.
    reason
        Why; it quotes no data element.
    device
        The device on which the models were to run.
    notes
        What was known of the study beforehand.
    stagings
        The process's staging folders.

    Raises
    ------
    ConfigInvalid, RetryLater
        If it cannot be written there.
    """
    report = Report(study=study_uid, outcome="failed", reason=reason, notes=tuple(notes), device=device)
    outbox = StudyOutbox(output_folder, study_uid, stagings=stagings)
    try:
        outbox.publish(report)
    finally:
        outbox.discard()
    return report
