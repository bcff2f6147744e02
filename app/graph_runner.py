"""Models kept warm, and one run of the graph for each study that comes."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from app.chosen_backends import as_chosen, choice_of
from app.failure_report import publish_failure
from app.graph import StudyApplication, StudyJob
from app.run_report import report_runs
from app.study_run import StudyRun
from core.errors import SegnodeError
from core.report import Reason, Report
from dicom_io.images.study import Study, read_studies
from dicom_io.results.outbox import StudyOutbox
from operators.model_run import ModelRun
from segmentation.inference.model_pool import ModelPool
from segmentation.package.package import Package
from segmentation.package.package_warnings import log_warnings, warnings_at_loading, warnings_of


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


def _no_phases(model: str, phase: str) -> None:
    pass


class Segmenter:
    """Runs models on studies, several studies at a time if need be; networks serve one at a time and stay ready.

    Parameters
    ----------
    packages
        Verified packages by name.
    device
        ``auto``, ``cuda`` or ``cpu``.

    Attributes
    ----------
    warnings
        Warnings about the models, whichever study they run on.

    Raises
    ------
    ConfigInvalid
        If ``cuda`` is asked for and there is none.
    """

    def __init__(self, packages: Mapping[str, Package], device: str = "auto") -> None:
        self._models = ModelPool(device)
        self.device = self._models.device
        self._packages = {name: self._models.settled(package) for name, package in packages.items()}
        processor = self._models.processor
        self._warnings = {name: warnings_of(package, processor) for name, package in self._packages.items()}
        self.warnings = tuple(
            warning for package in self._packages.values() for warning in warnings_at_loading(package, processor)
        )
        log_warnings(self.warnings)

    def warm(self) -> None:
        """Load networks before the first study asks for them, as many as the device keeps.

        Raises
        ------
        PackageInvalid
            If a package's weights changed.
        """
        self._models.warm(list(self._packages.values()))

    def run(self, run: StudyRun) -> Report:
        """Segment the one study below ``run.images``, publish its results, and report.

        Raises
        ------
        StudyRejected
            ``no_dicom`` if there is nothing to read.
        ValueError
            If there are images of several studies.
        SegnodeError
            If the study could not be finished for a reason outside of it; its report says so.
        """
        studies = timed_studies(run.images)
        if len(studies) != 1:
            raise ValueError(f"{len(studies)} studies in the folder of one")
        ((study, headers_s),) = studies
        try:
            return self.run_study(study, run, headers_s=headers_s)
        except SegnodeError as error:
            publish_failure(run, study.uid, Reason.of(error), self.device)
            raise

    def run_study(
        self,
        study: Study,
        run: StudyRun,
        *,
        headers_s: float = 0.0,
        on_progress: Callable[[str, float], None] = _no_progress,
        on_phase: Callable[[str, str], None] = _no_phases,
    ) -> Report:
        """Segment a study of which the headers are read already, publish its results, and report.

        Parameters
        ----------
        study
            One of the studies below ``run.images``.
        headers_s
            Seconds that reading its headers took; they count as reading.
        on_progress
            Called with a model's name and the fraction done.
        on_phase
            Called with a model's name and the phase that begins.

        Raises
        ------
        SegnodeError
            If the study could not be finished for a reason outside of it; nothing is published then.
        """
        start = time.perf_counter()
        outbox = StudyOutbox(
            run.output,
            study.uid,
            nifti=run.nifti,
            outputs=run.outputs,
            revision=run.revision,
            stagings=run.stagings,
        )
        finished: list[ModelRun] = []
        packages = [as_chosen(self._packages[name], run.choices, self.device) for name in run.models]
        run.on_choice({package.name: choice_of(package, self.device) for package in packages})
        try:
            with self._models.reservation(run.turns.waiting) as reservation:
                job = StudyJob(
                    study=study,
                    packages=packages,
                    outbox=outbox,
                    segment=self._models.segment,
                    network_turn=run.turns.network,
                    reserve_memory=reservation.reserve,
                    on_progress=on_progress,
                    on_phase=on_phase,
                    on_complete=finished.extend,
                )
                StudyApplication(job).run()
            of_models = [warning for name in run.models for warning in self._warnings[name]]
            report = report_runs(study, finished, of_models, headers_s, time.perf_counter() - start, self.device)
            warnings = tuple(dict.fromkeys((*run.warnings, *report.warnings)))
            report = report.model_copy(update={"notes": run.notes, "warnings": warnings})
            outbox.publish(report)
        finally:
            outbox.discard()
        return report
