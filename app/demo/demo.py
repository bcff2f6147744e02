"""The demo: a study through a PACS and the node, with nothing simulated but the patient."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from app.demo.pacs import NODE_AE, DemoPacs, free_port, start_pacs
from app.settings.node import ENVIRONMENT
from core.errors import ConfigInvalid, RetryLater
from core.report import Report
from dicom_io.delivery.store_scu import Destination
from dicom_io.images.study import Study, read_studies
from dicom_io.results.outbox import REPORT_NAME
from dicom_io.spool.received import study_key
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from runtime.child import PYTHON

MODEL = "demo"
SPOOL = "spool"
LOG = "node.log"
RESULT = "result"
QUIET_SECONDS = 2.0
STUDY_S = 1800.0


@dataclass(frozen=True)
class DemoResult:
    """The outcome of a demo run, for a person to see.

    Attributes
    ----------
    pacs
        Which PACS it was.
    report
        The node's report on the study.
    folder
        The copy of report, SEG and overlay, out of the node's spool.
    seg_count
        SEG series of the study in the PACS.
    waits_s
        Seconds for each step as a user sees it.
    """

    pacs: str
    report: Report
    folder: Path
    seg_count: int
    waits_s: dict[str, float]


def run_demo(work: Path, dicom: Path | None, say: Callable[[str], None]) -> DemoResult:
    """Push a study to a PACS, let it come back from the node, and gather what came.

    Parameters
    ----------
    work
        An empty folder for all that the demo writes.
    dicom
        A person's own study; ``None`` makes a phantom.
    say
        Told, in a few words, what happens next.

    Raises
    ------
    ConfigInvalid
        If the folder holds several studies.
    StudyRejected
        If it holds no DICOM image.
    RetryLater
        If the PACS or the node does not start, or the study does not end in time.
    """
    waits: dict[str, float] = {}
    step = _Steps(waits, say)
    with step("make the study" if dicom is None else "read the study"):
        study = _one_study(dicom if dicom is not None else _write_phantom(work / "study"))
    node = Destination("127.0.0.1", free_port(), NODE_AE)
    with step("start the PACS"):
        pacs = start_pacs(work / "pacs", node)
    try:
        config = _write_settings(work, node, pacs)
        with _running_node(config, work / LOG, step):
            files = [instance.path for series in study.series for instance in series.instances]
            with step(f"push {len(files)} images to the PACS, and on to the node"):
                pacs.take_in(files, node, study.uid)
            with step("the node segments and sends"):
                revision = _wait(Spool(work / SPOOL), study_key(NODE_AE, study.uid))
            folder = _take_out(revision, study.uid, work)
            report = Report.model_validate_json((folder / REPORT_NAME).read_text(encoding="utf-8"))
            return DemoResult(pacs.name, report, folder, pacs.seg_count(study.uid), waits)
    finally:
        pacs.stop()


def _take_out(revision: Revision, study_uid: str, work: Path) -> Path:
    """Copy picture, SEG and report from the node's spool to a folder that a newcomer finds."""
    results = revision.results / study_uid
    if not (results / REPORT_NAME).is_file():  # the worker died over the study
        reason = revision.read_state().reason
        why = f" ({reason.code}: {reason.message})" if reason is not None else ""
        raise RetryLater(f"the study ended as {revision.state} without a report{why}; see {work / LOG}")
    return Path(shutil.copytree(results, work / RESULT))


class _Steps:
    def __init__(self, waits: dict[str, float], say: Callable[[str], None]) -> None:
        self._waits, self._say = waits, say

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        self._say(what)
        start = time.perf_counter()
        yield
        self._waits[what] = time.perf_counter() - start


def _write_phantom(folder: Path) -> Path:
    from phantom.anatomy import make_phantom, trunk_geometry
    from phantom.series import write_series

    # Chest and abdomen in 5 mm slices, 512 wide where some archives cannot serve frames of other widths.
    geometry = trunk_geometry((5.0, 0.8, 0.8), extent=(300.0, 409.6, 409.6), centre=(0.0, 10.0, 100.0))
    write_series(make_phantom(geometry, phase="P"), folder)
    return folder


def _one_study(folder: Path) -> Study:
    studies = read_studies(folder)
    if len(studies) != 1:
        raise ConfigInvalid(f"{folder} holds {len(studies)} studies; give the folder of one")
    return studies[0]


def _write_settings(work: Path, node: Destination, pacs: DemoPacs) -> Path:
    destination = {
        "kind": "dicom",
        "ae_title": pacs.destination.ae_title,
        "host": pacs.destination.host,
        "port": pacs.destination.port,
    }
    settings = {
        "ae_title": node.ae_title,
        "host": node.host,
        "port": node.port,
        "spool": SPOOL,
        "database": "workflow.sqlite",
        "quiet_seconds": QUIET_SECONDS,
        # The PACS says what is still to come: on a busy machine two images can be further apart than silence lasts.
        "routes": [
            {
                "called_ae": node.ae_title,
                "complete_when": {"counted_by": "pacs"},
                "models": [MODEL],
                "destinations": ["pacs"],
            }
        ],
        "destinations": {"pacs": destination},
    }
    path = work / "node.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path


@contextmanager
def _running_node(config: Path, log: Path, step: _Steps) -> Iterator[None]:
    command = [*PYTHON, "app.cli", "serve", "--config", str(config)]
    # Variables of a node that somebody runs here would lead the demo to its spool and its destinations.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT)}
    with (
        log.open("wb") as stderr,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=stderr) as node,  # noqa: S603 - this program itself
    ):
        try:
            with step("start the node"):
                assert node.stdout is not None  # noqa: S101 - for the type checker; a pipe was asked for
                if not node.stdout.readline().startswith(b"ready"):
                    raise RetryLater(f"the node did not start; see {log}")
            yield
        finally:
            node.terminate()


def _wait(spool: Spool, key: str) -> Revision:
    deadline = time.monotonic() + STUDY_S
    while time.monotonic() < deadline:
        revision = spool.latest_revision(key)
        if revision is not None and revision.state.is_final:
            return revision
        time.sleep(0.2)
    raise RetryLater(f"the study was not finished after {STUDY_S:.0f} s; see the node's log")
