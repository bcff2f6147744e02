"""One run of the graph as it is asked for, and the type of its runner."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from core.report import Report, WarningReport
from dicom_io.results.stagings import Stagings
from dicom_io.spool.records import RecordedChoice

Choices = Mapping[str, RecordedChoice]
"""Profile and backend by the model's name."""


def _note_nothing(choices: Choices) -> None:
    pass


class Turns(Protocol):
    """The turns that one run of the graph takes with others in the same process."""

    def network(self) -> AbstractContextManager[None]:
        """Return a context in which the run's networks run; it is entered once the run may use them.

        Raises
        ------
        RetryLater
            If the run gives way to another, and is to be begun again later.
        """
        ...

    def waiting(self) -> AbstractContextManager[None]:
        """Return a context in which the run waits for memory that other runs hold."""
        ...


class NoTurns:
    """Runs whose networks alone take turns, as they come (`segmentation.inference.model_pool`)."""

    def network(self) -> AbstractContextManager[None]:
        """Return a context that does nothing."""
        return nullcontext()

    def waiting(self) -> AbstractContextManager[None]:
        """Return a context that does nothing."""
        return nullcontext()


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
    outputs
        The forms of each model's result, by its name; a model that is not named gives the default.
    stagings
        The process's staging folders.
    turns
        How it takes turns with other runs.
    choices
        The profile and backend of each model in an earlier try, which this one repeats where it can.
    on_choice
        Called with those of this try, before its networks start.
    """

    images: Path
    output: Path
    models: tuple[str, ...]
    revision: int = 0
    notes: tuple[str, ...] = ()
    warnings: tuple[WarningReport, ...] = ()
    nifti: bool = False
    outputs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stagings: Stagings = field(default_factory=Stagings)
    turns: Turns = field(default_factory=NoTurns)
    choices: Choices = field(default_factory=dict)
    on_choice: Callable[[Choices], None] = _note_nothing


RunGraph = Callable[[StudyRun], Report]
"""Run the graph once, as `app.graph_runner.Segmenter.run` does; whatever keeps it from an answer is raised."""
