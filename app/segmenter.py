"""Models kept warm, and one run of the graph for each study that comes."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app.graph import StudyApplication, StudyJob
from app.report import report_failure, report_runs
from core.errors import PackageInvalid, RetryLater
from core.report import Report
from dicom_io.outbox import StudyOutbox
from dicom_io.study import Study, read_studies
from operators.model_run import ModelRun
from segmentation.engine import Engine, resolve_device
from segmentation.package import Package


def _no_progress(model: str, done: float) -> None:
    pass


class Segmenter:
    """Runs models on studies; engines are loaded at first use and stay.

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
        self._engines: dict[str, Engine] = {}
        self.device = resolve_device(device)

    def run(
        self,
        input_folder: Path,
        output_folder: Path,
        models: Sequence[str],
        *,
        nifti: bool = False,
        revision: int = 0,
        on_progress: Callable[[str, float], None] = _no_progress,
    ) -> list[Report]:
        """Segment every study below a folder and publish each one's results in ``OUT/<StudyInstanceUID>/``.

        Each study stands apart: one that is refused or fails says so in its report and the next goes on.

        Raises
        ------
        StudyRejected
            ``no_dicom`` if there is nothing to read.
        """
        studies = read_studies(input_folder)
        return [
            self.run_study(study, output_folder, models, nifti=nifti, revision=revision, on_progress=on_progress)
            for study in studies
        ]

    def run_study(
        self,
        study: Study,
        output_folder: Path,
        models: Sequence[str],
        *,
        nifti: bool = False,
        revision: int = 0,
        on_progress: Callable[[str, float], None] = _no_progress,
    ) -> Report:
        """Segment one study, publish its results, and report."""
        start = time.perf_counter()
        outbox = StudyOutbox(output_folder, study.uid, nifti=nifti, revision=revision)
        finished: list[ModelRun] = []
        job = StudyJob(
            study=study,
            packages=[self._packages[name] for name in models],
            outbox=outbox,
            engine_for=self._engine_for,
            on_progress=on_progress,
            on_complete=finished.extend,
        )
        try:
            StudyApplication(job).run()
            report = report_runs(study, finished, time.perf_counter() - start, self.device)
            outbox.publish(report)
        except (PackageInvalid, RetryLater) as error:
            report = report_failure(study.uid, error, self.device)
            outbox.publish(report)
        finally:
            outbox.discard()
        return report

    def _engine_for(self, package: Package) -> Engine:
        name = package.manifest.name
        if name not in self._engines:
            self._engines[name] = Engine(package, self.device)
        return self._engines[name]
