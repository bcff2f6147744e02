"""The node's worker with a stand-in for the models: ``python -m tests.support.stub_worker node.yaml SLOT``.

It answers by the study's description: ``refuse CODE``, ``empty``, ``break``, ``later``, ``slow``, ``kill``,
``segfault``, ``hang``, ``hang once``, ``held`` (until there is a file `GO`), ``fill once``; for all else, ``warn`` with
a warning too, with a small SEG-like object whose UIDs follow from study and revision, while its content differs from
run to run. This happens where its network would run; ``stays STAGE once`` never comes out of ``reading``, ``network``
or ``writing`` in its first run.
Every run leaves a line in ``runs.txt``, and one in ``stages.txt`` for each stage that it comes to.
"""

import ctypes
import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid

import app.node.worker
import app.workflow.delivery_step
import app.workflow.study_flow
from app.settings.node import NodeSettings, load_settings
from app.study_run import RunGraph, StudyRun
from core.errors import OutOfMemory, ReasonCode, RetryLater, StudyRejected
from core.report import ModelReport, Reason, Report, WarningReport
from dicom_io.delivery.answer import Answer
from runtime.child import run_child
from runtime.logs import configure_logging

GO = "go"
"""Beside ``runs.txt``; ends what is ``held``."""


def stub_result(study: str, series: str, revision: int) -> Dataset:
    """An object of the SEG class, without pixels."""
    result = Dataset()
    result.SOPClassUID = SegmentationStorage
    result.SOPInstanceUID = generate_uid(
        entropy_srcs=[study, series, str(revision), os.environ.get("STUB_VERSION", "")]
    )
    result.StudyInstanceUID = study
    result.SeriesInstanceUID = generate_uid(entropy_srcs=[series, str(revision)])
    result.PatientID = "made"
    result.Modality = "SEG"
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return result


def fill(path: Path) -> None:
    """Write until the disk is full.

    Raises
    ------
    OSError
        As it is then.
    """
    for size in (1 << 16, 1):
        with path.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(size))
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class StubSegmenter:
    """Answers as `app.graph_runner.Segmenter` does; ``later`` is over at the third run."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def run(self, run: StudyRun) -> Report:
        headers = [dcmread(path, stop_before_pixels=True) for path in sorted(run.images.iterdir())]
        study, wish = str(headers[0].StudyInstanceUID), str(headers[0].get("StudyDescription", ""))
        with self._log.open("a") as log:
            log.write(f"{study} {run.revision} {len(headers)}\n")
        self._come_to("reading", study, wish)
        with run.turns.network():
            self._come_to("network", study, wish)
            if (ended := self._work(run, study, wish)) is not None:
                return ended
        self._come_to("writing", study, wish)
        return self._write(run, headers[0], wish)

    def _come_to(self, stage: str, study: str, wish: str) -> None:
        with self._log.with_name("stages.txt").open("a") as log:
            log.write(f"{study} {stage}\n")
        if wish == f"stays {stage} once" and self._log.read_text().count(study) < 2:
            time.sleep(600)

    def _work(self, run: StudyRun, study: str, wish: str) -> Report | None:
        if wish.startswith("refuse "):
            rejection = StudyRejected(ReasonCode(wish.split()[1]))
            return Report(study=study, outcome="refused", reason=Reason.of(rejection), device="cpu")
        if wish == "break":
            raise ZeroDivisionError("a programming error")
        if wish == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if wish == "segfault":
            ctypes.string_at(0)
        if wish == "hang" or (wish == "hang once" and self._log.read_text().count(study) < 2):
            time.sleep(600)
        while wish == "held" and not self._log.with_name(GO).exists():
            time.sleep(0.05)
        if wish == "lost GPU" and self._log.read_text().count(study) < 2:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if wish == "no memory" and self._log.read_text().count(study) < 2:
            raise OutOfMemory("the GPU's memory does not suffice now")
        if wish == "later" and self._log.read_text().count(study) < 3:
            raise RetryLater("the disk is full")
        if wish == "fill once" and self._log.read_text().count(study) < 2:
            fill(run.output / "filler")
        if wish == "empty":
            return Report(study=study, outcome="nothing_found", device="cpu")
        if wish == "slow":
            time.sleep(3)
        return None

    def _write(self, run: StudyRun, header: Dataset, wish: str) -> Report:
        study = str(header.StudyInstanceUID)
        folder = run.output / study
        folder.mkdir()
        for model in run.models:
            result = stub_result(study, str(header.SeriesInstanceUID) + model, run.revision)
            # So that it shows when what was made twice is delivered twice.
            result.SeriesDescription = uuid4().hex
            result.save_as(folder / f"{model}.seg.dcm", enforce_file_format=True)
        done = tuple(ModelReport(name=model, sha256="0", outputs=(f"{model}.seg.dcm",)) for model in run.models)
        warnings = (WarningReport(code="resampled", message="A channel was resampled."),) if wish == "warn" else ()
        warnings = (*run.warnings, *warnings)
        return Report(study=study, outcome="segmented", models=done, warnings=warnings, device="cpu")


def _break_sending_to(port: int) -> None:
    """Put a defect into sending to one storage SCP."""
    send = app.workflow.delivery_step.send_file

    def send_or_break(path: Path, settings: Any, calling_ae: str, may_go_on: Callable[[], bool]) -> Answer:
        if getattr(settings, "port", None) == port:
            raise ZeroDivisionError("a programming error")
        return send(path, settings, calling_ae, may_go_on)

    app.workflow.delivery_step.send_file = send_or_break


def main() -> None:
    """Entry of the process."""
    configure_logging("worker")
    if version := os.environ.get("STUB_VERSION"):
        app.node.worker.WORKFLOW_VERSION = app.workflow.study_flow.WORKFLOW_VERSION = version

    if broken := os.environ.get("STUB_DEFECT_AT_PORT"):
        _break_sending_to(int(broken))

    def make(settings: NodeSettings) -> RunGraph:
        return StubSegmenter(settings.spool.parent / "runs.txt").run

    run_child(lambda: app.node.worker.work(load_settings(Path(sys.argv[1])), make, int(sys.argv[2])))


if __name__ == "__main__":
    main()
