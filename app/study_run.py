"""One run of the graph as it is asked for, and the type of its runner."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from core.report import Report, WarningReport
from dicom_io.results.stagings import Stagings


@dataclass(frozen=True)
class StudyRun:
    """One run of the graph on a study.

    Attributes
    ----------
    images
        Folder of the study's images.
    output
        Results appear in its folder ``<StudyInstanceUID>/``.
    models
        Names of the models that run.
    revision
        Number of the run on the same study, from 0; part of the results' UIDs.
    notes
        What is known of the study beforehand, for its report.
    warnings
        What was found when the images were received, for its report too.
    nifti
        Whether ``<model>_seg.nii.gz`` is written too.
    stagings
        The process's staging folders.
    """

    images: Path
    output: Path
    models: tuple[str, ...]
    revision: int = 0
    notes: tuple[str, ...] = ()
    warnings: tuple[WarningReport, ...] = ()
    nifti: bool = False
    stagings: Stagings = field(default_factory=Stagings)


RunGraph = Callable[[StudyRun], Report]
"""Run the graph once, as `app.graph_runner.Segmenter.run` does; whatever keeps it from an answer is raised."""
