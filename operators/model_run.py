"""The message between the boxes, one model's run through the graph, and the operator that advances it."""

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar

from monai.deploy.core import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext

from core.backend import Backend
from core.errors import StudyRejected
from core.label_map import LabelMap
from core.measurements.structure import Structure
from core.study_warning import StudyWarning
from core.volume import Volume
from dicom_io.images.selection.selection import Selection
from dicom_io.images.study import Study
from segmentation.package.package import Package

Tell = Callable[[str, float], None]
"""Callback with a model's name and the fraction that is done, 0 to 1."""

TellPhase = Callable[[str, str], None]
"""Callback with a model's name and the phase that begins for it, in a few words."""


@dataclass(frozen=True, eq=False)
class ModelRun:
    """One model on one study, as far as the graph has come with it.

    Attributes
    ----------
    study, package
        The images, and the model that runs on them.
    selection
        The series that were taken, and the reasons.
    volume
        The channels on one grid.
    label_map
        The mask, from the engine or post-processed.
    backend
        What computed its networks.
    regular_label_map
        The mask on the regular grid of an irregular stack, where a file wants it.
    measurements, unit
        What was measured of each label, and the unit of the image's values; empty where nobody asked for it.
    outputs
        Names of the files written so far, relative to the study's output folder.
    seg_uid
        SOP Instance UID of the SEG, if one was written.
    timings_s
        Seconds per stage of ``report.json``.
    rejection
        The reason for which the study is refused for this model; later boxes let such a run pass untouched.
    warnings
        What a person should know of this run, beside the warnings of study, selection, volume and package.
    """

    study: Study
    package: Package
    selection: Selection | None = None
    volume: Volume | None = None
    label_map: LabelMap | None = None
    backend: Backend | None = None
    regular_label_map: LabelMap | None = None
    measurements: tuple[Structure, ...] = ()
    unit: str | None = None
    outputs: tuple[str, ...] = ()
    seg_uid: str | None = None
    timings_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    rejection: StudyRejected | None = None
    warnings: tuple[StudyWarning, ...] = ()

    def timed(self, **seconds: float) -> "ModelRun":
        """Return the same run with seconds added to stages."""
        total = dict(self.timings_s)
        for stage, value in seconds.items():
            total[stage] = total.get(stage, 0.0) + value
        return replace(self, timings_s=total)


class ModelRunOperator(Operator):
    """Operator that receives ``runs``, advances each by one library call, and emits ``runs``.

    A study that is refused for one model is not refused for the others, so a rejection becomes part of that run. Every
    other error leaves the graph and ends it.

    Parameters
    ----------
    on_phase
        Called with the model's name and the phase, when a run is begun.
    """

    phase: ClassVar[str]
    """The words that tell a person that this box begins with a run."""

    stage: ClassVar[str | None] = None
    """Stage of ``report.json`` to which the time of ``advance`` counts; ``None`` if it times its own stages."""

    def __init__(self, fragment: Fragment, *args: Any, on_phase: TellPhase, **kwargs: Any) -> None:
        self._on_phase = on_phase
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare one input and one output port."""
        spec.input("runs")
        spec.output("runs")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Advance every run that has not been refused."""
        runs: tuple[ModelRun, ...] = op_input.receive("runs")
        op_output.emit(tuple(self._advance_timed(run) for run in runs), "runs")

    def _advance_timed(self, run: ModelRun) -> ModelRun:
        if run.rejection is not None or not self.has_work(run):
            return run
        self._on_phase(run.package.name, self.phase)
        start = time.perf_counter()
        try:
            advanced = self.advance(run)
        except StudyRejected as rejection:
            advanced = replace(run, rejection=rejection)
        if self.stage is None:
            return advanced
        return advanced.timed(**{self.stage: time.perf_counter() - start})

    def has_work(self, run: ModelRun) -> bool:
        """Return whether this box has anything to do for a run; one that has not is neither told nor timed."""
        return True

    @abstractmethod
    def advance(self, run: ModelRun) -> ModelRun:
        """Do this box's work on one model's run."""
