"""Segment every study of a folder, with progress and a summary that a person reads: ``segnode run`` and the MAP."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from app.failure_report import publish_failure
from app.output_folder import check_output
from app.progress import ShownRun, phase, shown_runs
from app.run_summary import show_outcome, show_seconds, show_volumes
from app.study_run import StudyRun
from core.errors import ConfigInvalid, ReasonCode, SegnodeError, StudyRejected
from core.model_config import Profile
from core.raised_at import stack_of
from core.report import Reason, Report
from core.result_forms import DEFAULT, parse_outputs
from dicom_io.results.outbox import NO_STUDY_UID
from dicom_io.results.stagings import Stagings

if TYPE_CHECKING:
    from app.graph_runner import Segmenter
    from dicom_io.images.study import Study

logger = logging.getLogger("segnode")

OTHER_IMAGES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
FOR_OTHER_IMAGES = "NIfTI goes to the inference service: segnode api --config service.yaml, then segnode call"

STUDIES_AT_ONCE = 2
"""One is read or written while the network works on another."""


def run_folder(
    input_folder: Path,
    output_folder: Path,
    models: Sequence[str],
    *,
    nifti: bool = False,
    outputs: Sequence[str] = DEFAULT,
    device: str = "auto",
    profile: Profile | None = None,
    stagings: Stagings | None = None,
) -> int:
    """Segment every study of a folder, show what came of each, and give the exit code.

    Parameters
    ----------
    outputs
        The forms of each model's result.
    profile
        Of every model; ``None`` takes what each ``model.yaml`` says.
    stagings
        The process's staging folders, for whoever ends it.

    Raises
    ------
    ConfigInvalid
        If the input is not a folder, the output cannot be written, a model's name is given twice, or there is no model
        of that name.
    PackageInvalid
        If a package is damaged or was changed.
    StudyRejected
        ``no_dicom`` if the folder holds no DICOM image.
    """
    if not input_folder.is_dir():
        raise ConfigInvalid(f"{input_folder} {_why_no_folder(input_folder)}")
    check_output(output_folder, input_folder)
    if len(set(models)) != len(models):
        raise ConfigInvalid("--model names the same package twice")
    from segmentation.package.package import load_package
    from segmentation.package.store import default_models_path, find_package

    packages = {name: load_package(find_package(name, default_models_path())) for name in models}
    if profile is not None:
        packages = {name: package.in_profile(profile) for name, package in packages.items()}
    from app.graph_runner import Segmenter

    segmenter = Segmenter(packages, device)
    with phase("reading headers"):
        studies = _read_headers(input_folder)
    codes = []
    run = StudyRun(
        input_folder,
        output_folder,
        tuple(models),
        nifti=nifti,
        outputs=dict.fromkeys(models, tuple(outputs)),
        stagings=stagings or Stagings(),
    )
    with shown_runs() as show, ThreadPoolExecutor(STUDIES_AT_ONCE) as pool:
        job = partial(_run_one, segmenter, run)
        shows = [show(f"study {number} of {len(studies)}") for number in range(1, len(studies) + 1)]
        for (study, _), (report, code) in zip(studies, pool.map(job, shows, studies), strict=True):
            if report is not None:
                _show(report, output_folder / (study.uid or NO_STUDY_UID))
            codes.append(code)
    return max(codes)


def chosen_outputs(text: str, where: str) -> tuple[str, ...]:
    """Read the forms of results that a person asked for, as ``seg,sr``.

    Raises
    ------
    ConfigInvalid
        If one is unknown or not made by this version, or there is none; ``where`` says where it was asked for.
    """
    try:
        return parse_outputs(text)
    except ValueError as error:
        raise ConfigInvalid(f"{where}: {error}") from error


def _why_no_folder(path: Path) -> str:
    if path.name.lower().endswith(OTHER_IMAGES):
        return f"is no folder of DICOM, which is all that segnode run reads; {FOR_OTHER_IMAGES}"
    return "is not a folder; give the folder that holds the DICOM files"


def _read_headers(folder: Path) -> "list[tuple[Study, float]]":
    from app.graph_runner import timed_studies

    try:
        return timed_studies(folder)
    except StudyRejected as rejection:
        others = sum(path.name.lower().endswith(OTHER_IMAGES) for path in folder.rglob("*"))
        if rejection.code is not ReasonCode.NO_DICOM or not others:
            raise
        files = "1 file of NIfTI, NRRD or MHA lies" if others == 1 else f"{others} files of NIfTI, NRRD or MHA lie"
        raise StudyRejected(rejection.code, f"{files} there; {FOR_OTHER_IMAGES}.") from rejection


def _run_one(
    segmenter: "Segmenter", run: StudyRun, show: ShownRun, job: "tuple[Study, float]"
) -> tuple[Report | None, int]:
    """Run one study; give its report, as far as one could be written, and the exit code."""
    study, headers_s = job
    try:
        report = segmenter.run_study(study, run, headers_s=headers_s, on_progress=show.progress, on_phase=show.phase)
        return report, report.exit_code
    except SegnodeError as error:
        return _publish_failure(study, run, Reason.of(error), segmenter.device), error.exit_code
    except Exception as error:  # noqa: BLE001 - the command's outermost loop: one study never takes the next with it
        # Only where it happened: an exception's text can quote a data element, and that can be a patient's.
        where = stack_of(error)
        name = type(error).__name__
        logger.error("study %s failed: %s\n%s", study.uid, name, where)
        reason = Reason(code="internal_error", message=f"A defect of this program ({name}); its log says where.")
        return _publish_failure(study, run, reason, segmenter.device), SegnodeError.exit_code
    finally:
        show.end()


def _publish_failure(study: "Study", run: StudyRun, reason: Reason, device: str) -> Report | None:
    try:
        return publish_failure(run, study.uid, reason, device)
    except SegnodeError as error:
        # Not even a report could be written: where to say so is here.
        typer.echo(f"segnode: study {study.uid}: {error}", err=True)
        return None


def _show(report: Report, folder: Path) -> None:
    show_outcome(report)
    show_volumes(report)
    show_seconds(report)
    typer.echo(f"  {folder}")
