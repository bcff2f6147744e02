"""The application graph: which box follows which, and nothing else."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import operators  # noqa: F401 - it loads the library that holoscan needs, so before the SDK

# isort: split
from monai.deploy.conditions import CountCondition
from monai.deploy.core import Application

from dicom_io.images.study import Study
from dicom_io.results.outbox import StudyOutbox
from operators.measure import MeasureOperator
from operators.model_run import ModelRun, Tell, TellPhase
from operators.nnunet_segmentation import NetworkTurn, NnunetSegmentationOperator, Segment
from operators.outbox import OutboxOperator
from operators.postprocess import PostprocessOperator
from operators.select_series import SelectSeriesOperator
from operators.series_to_volume import ReserveMemory, SeriesToVolumeOperator
from operators.study_source import StudySourceOperator
from operators.write_seg import WriteSegOperator
from segmentation.package.package import Package


@dataclass(frozen=True)
class StudyJob:
    """The inputs and callbacks of one run of the graph.

    Attributes
    ----------
    study, packages
        Which models run on which study.
    outbox
        Where results are staged.
    segment
        Runs a package's warm networks.
    network_turn
        Returns a context in which the study's networks run.
    reserve_memory
        Asks for what the study needs, before its images are read.
    on_progress
        Called with a model's name and the fraction done.
    on_phase
        Called with a model's name and the phase that begins.
    on_complete
        Called once with the finished runs.
    """

    study: Study
    packages: Sequence[Package]
    outbox: StudyOutbox
    segment: Segment
    network_turn: NetworkTurn
    reserve_memory: ReserveMemory
    on_progress: Tell
    on_phase: TellPhase
    on_complete: Callable[[tuple[ModelRun, ...]], None]


class StudyApplication(Application):
    """One study through the graph, once."""

    def __init__(self, job: StudyJob) -> None:
        self._job = job
        # Without an argument list of its own, the SDK would parse the command line of the process.
        super().__init__([sys.executable, "segnode"])

    def compose(self) -> None:
        """Name the boxes, then the flows."""
        job = self._job
        # Once: an operator without inputs would otherwise run for ever.
        once = CountCondition(self, 1)
        source = StudySourceOperator(self, once, name="study_source", study=job.study, packages=job.packages)
        tell = job.on_phase
        select = SelectSeriesOperator(self, name="select_series", on_phase=tell)
        volume = SeriesToVolumeOperator(self, name="series_to_volume", on_phase=tell, reserve_memory=job.reserve_memory)
        network = NnunetSegmentationOperator(
            self,
            name="nnunet_segmentation",
            on_phase=tell,
            segment=job.segment,
            turn=job.network_turn,
            on_progress=job.on_progress,
            regular_too=job.outbox.nifti,
        )
        post = PostprocessOperator(self, name="postprocess", on_phase=tell)
        measure = MeasureOperator(self, name="measure", on_phase=tell)
        seg = WriteSegOperator(self, name="write_seg", on_phase=tell, outbox=job.outbox)
        outbox = OutboxOperator(self, name="outbox", on_phase=tell, outbox=job.outbox, on_complete=job.on_complete)

        self.add_flow(source, select, {("runs", "runs")})
        self.add_flow(select, volume, {("runs", "runs")})
        self.add_flow(volume, network, {("runs", "runs")})
        self.add_flow(network, post, {("runs", "runs")})
        self.add_flow(post, measure, {("runs", "runs")})
        self.add_flow(measure, seg, {("runs", "runs")})
        self.add_flow(seg, outbox, {("runs", "runs")})
