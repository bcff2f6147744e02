"""Studies in a node's queue: how long they take with two in the worker's hands, and one after the other.

    python -m bench.node_queue                           4 copies of crlm-ct-1006, the demonstration model
    python -m bench.node_queue --studies 2 --series FOLDER

Both nodes of one run have the same queue, models and destination; each has segmented one study before. The time goes
from the moment that all studies are complete until the last is delivered.
"""

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import generate_uid

from bench.data import DATA
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.records import State
from tests.support.arriving import Sent, put
from tests.support.node_process import NodeProcess, wait_until
from tests.support.receiver import Receiver

MODELS, MODEL = Path(__file__).parents[1] / "models", "demo"
WORKERS = {"one after the other": "bench.worker_of_one", "two in hand": "app.node.worker"}
LONGEST_S = 1800.0


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4)
    parser.add_argument("--series", type=Path, default=DATA / "crlm-ct-1006")
    arguments = parser.parse_args()
    files = [path for path in sorted(arguments.series.iterdir()) if path.suffix == ".dcm"]
    seconds = {name: measure(worker, files, arguments.studies) for name, worker in WORKERS.items()}
    one, two = seconds.values()
    figures = {"seconds": seconds, "ratio": one / two}
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


def measure(worker: str, files: Sequence[Path], studies: int) -> float:
    """Time a queue of copies of one study at a node of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-queue-") as folder:
        pacs = Receiver().start()
        program = ("-m", "tests.support.stub_node", worker)
        node = NodeProcess(
            Path(folder) / "node",
            {"pacs": (pacs.port, "PACS")},
            routes={"SEGNODE": (MODEL,)},
            models_folder=MODELS,
            program=program,
            quiet_seconds=1.0,
        )
        node.start()
        try:
            node.wait_for_end(receive(node, files), timeout_s=LONGEST_S)
            names = [receive(node, files) for _ in range(studies)]
            wait_until(lambda: all(node.latest(name) for name in names), LONGEST_S)
            start = time.perf_counter()
            for name in names:
                node.wait_for_end(name, timeout_s=LONGEST_S)
            seconds = time.perf_counter() - start
            ends = [found.state for name in names if (found := node.latest(name))]
            if any(end is not State.DELIVERED for end in ends):
                raise RuntimeError(f"not every study was delivered: {ends}")
            return seconds
        finally:
            node.stop()
            pacs.stop()


def receive(node: NodeProcess, files: Sequence[Path]) -> str:
    """Put a copy of a study into a node's spool, as its listener does; its Study Instance UID."""
    arrival, study, series, frame = Ingest(node.spool), *(str(generate_uid()) for _ in range(3))
    for path in files:
        image = dcmread(path)
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data = io.BytesIO()
        image.save_as(data, enforce_file_format=True)
        put(arrival, Sent("SEGNODE", study, str(image.SOPInstanceUID), True, data.getvalue()))
    return study


if __name__ == "__main__":
    main()
