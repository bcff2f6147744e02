"""Models kept warm, and one run of the graph for each study that comes."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app.graph import StudyApplication, StudyJob
from app.run_report import report_failure, report_runs
from core.errors import SegnodeError
from core.model_config import Profile
from core.report import Reason, Report
from dicom_io.images.study import Study, read_studies
from dicom_io.results.outbox import StudyOutbox
from operators.model_run import ModelRun
from segmentation.inference.model_pool import ModelPool
from segmentation.package.package import Package
from segmentation.package.profile_results import warning_of


def timed_studies(folder: Path) -> list[tuple[Study, float]]:
    """Read every study's headers; with each, its share of the seconds that took.

    Raises
    ------
    StudyRejected
        ``no_dicom`` if there is nothing to read.
    """
    start = time.perf_counter()
    studies = read_studies(folder)
    seconds = time.perf_counter() - start
    images = [sum(len(series.instances) for series in study.series) for study in studies]
    return [(study, seconds * n / max(1, sum(images))) for study, n in zip(studies, images, strict=True)]


def _no_progress(model: str, done: float) -> None:
    pass


class Segmenter:
    """Runs models on studies, several studies at a time if need be; networks serve one at a time and stay ready.

    Parameters
    ----------
    packages
        Verified packages by name.
    device
        ``auto``, ``cuda`` or ``cpu``.

    Raises
    ------
    ConfigInvalid
        If ``cuda`` is asked for and there is none.
    """

    def __init__(self, packages: Mapping[str, Package], device: str = "auto") -> None:
        self._packages = dict(packages)
        self._models = ModelPool(device)
        self.device = self._models.device
        for package in packages.values():
            if (warning := warning_of(package)) is not None:
                logging.getLogger("segnode").warning("fast_is_not_measured", extra={"problem": warning})

    def warm(self) -> None:
        """Load networks before the first study asks for them, as many as the device keeps.

        Raises
        ------
        PackageInvalid
            If a package's weights changed.
        """
        self._models.warm(list(self._packages.values()))

    @property
    def profiles(self) -> dict[str, Profile]:
        """The profile in which each model runs."""
        return {name: package.manifest.inference.profile for name, package in self._packages.items()}

    def run(
        self,
        input_folder: Path,
        output_folder: Path,
        models: Sequence[str],
        *,
        nifti: bool = False,
        revision: int = 0,
        notes: Sequence[str] = (),
    ) -> list[Report]:
        """Segment every study below a folder and publish each one's results in ``OUT/<StudyInstanceUID>/``.

        Each study stands apart: one that is refused or fails says so in its report and the next goes on.

        Parameters
        ----------
        notes
            What is known of the studies beforehand, for their reports.

        Raises
        ------
        StudyRejected
            ``no_dicom`` if there is nothing to read.
        """
        return [
            self.run_study(study, output_folder, models, nifti=nifti, revision=revision, notes=notes, headers_s=seconds)
            for study, seconds in timed_studies(input_folder)
        ]

    def run_study(
        self,
        study: Study,
        output_folder: Path,
        models: Sequence[str],
        *,
        nifti: bool = False,
        revision: int = 0,
        notes: Sequence[str] = (),
        headers_s: float = 0.0,
        on_progress: Callable[[str, float], None] = _no_progress,
    ) -> Report:
        """Segment one study, publish its results, and report.

        Parameters
        ----------
        notes
            What is known of the study beforehand, for its report.
        headers_s
            Seconds that reading the study's headers took; they count as reading.

        Raises
        ------
        ConfigInvalid, RetryLater
            If results cannot be written where they belong.
        """
        start = time.perf_counter()
        outbox = StudyOutbox(output_folder, study.uid, nifti=nifti, revision=revision)
        finished: list[ModelRun] = []
        try:
            try:
                with self._models.promise() as promise:
                    job = StudyJob(
                        study=study,
                        packages=[self._packages[name] for name in models],
                        outbox=outbox,
                        segment=self._models.segment,
                        ask_for_memory=promise.ask,
                        on_progress=on_progress,
                        on_complete=finished.extend,
                    )
                    StudyApplication(job).run()
            except SegnodeError as error:
                report = report_failure(study.uid, Reason.of(error), self.device)
            else:
                report = report_runs(study, finished, headers_s, time.perf_counter() - start, self.device)
            report = report.model_copy(update={"notes": tuple(notes)})
            outbox.publish(report)
        finally:
            outbox.discard()
        return report

    def publish_defect(self, study: Study, output_folder: Path, error_type: str) -> Report:
        """Publish that an error of this program ended a study, in place of any earlier result.

        Parameters
        ----------
        error_type
            Name of the exception's class; its text may quote a data element.
        """
        reason = Reason(code="internal_error", message=f"A defect of this program ({error_type}); its log says where.")
        report = report_failure(study.uid, reason, self.device)
        StudyOutbox(output_folder, study.uid).publish(report)
        return report
