"""Reception rate of the node in images per second, beside Orthanc and ``storescp``, on this machine in one run.

    python -m bench.reception [--images 500] [--size 512] [--rounds 3]

The sender is DCMTK's ``storescu`` with ``TCP_NODELAY=1``; the rate is wall time from start to end, so connecting and
reading the files are included. The node and Orthanc answer only when an image is on disk for good (fsync); ``storescp``
does not flush, and shows the limit of the sender itself.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import generate_uid

from tests.support.listener_process import ListenerProcess
from tests.support.node_process import make_image
from tests.support.peers import Orthanc, StorageServer, find_program

ASSOCIATIONS = (1, 4)


@dataclass
class _Running:
    port: int
    called_ae: str
    processes: tuple[ListenerProcess | Orthanc | StorageServer, ...]

    def stop(self) -> None:
        for process in self.processes:
            process.stop()


@dataclass(frozen=True)
class Rate:
    """One measurement.

    Attributes
    ----------
    receiver
        Name of the receiver.
    associations
        Number of associations that sent at once.
    per_second
        Images per second, all associations together.
    """

    receiver: str
    associations: int
    per_second: float


def write_images(folder: Path, count: int, size: int) -> None:
    """Write CT slices of noise, one study for each association that may send."""
    pixels = np.random.default_rng(1).integers(-1000, 1000, (size, size), dtype=np.int16).tobytes()
    for share in range(max(ASSOCIATIONS)):
        study = generate_uid()
        (folder / str(share)).mkdir(parents=True)
        for number in range(count // max(ASSOCIATIONS)):
            image = make_image(study, number)
            image.Rows = image.Columns = size
            image.PixelData = pixels
            image.save_as(folder / str(share) / f"{number}.dcm", enforce_file_format=True)


def start(name: str, folder: Path) -> _Running:
    """Start a receiver with a fresh store."""
    if name.startswith("node"):
        processes = int(name.partition(" x ")[2] or 1)
        settings: dict[str, Any] = {"reception": {"processes": processes, "keep_free": {"gib": 0, "percent": 0}}}
        first = ListenerProcess(folder / "0", **settings)
        more: dict[str, Any] = {"port": first.port, "spool": str(folder / "0" / "spool")}
        others = [ListenerProcess(folder / str(n), **settings, **more) for n in range(1, processes)]
        return _Running(first.port, "SEGNODE", (first, *others))
    if name == "Orthanc":
        orthanc = Orthanc(found("Orthanc"), folder, {}).start()
        return _Running(orthanc.dicom_port, orthanc.ae_title, (orthanc,))
    server = StorageServer(found("storescp"), folder).start()
    return _Running(server.port, "ANY", (server,))


def found(program: str) -> str:
    """Find the path of a peer's program."""
    path = find_program(program)
    if path is None:
        raise SystemExit(f"{program} is not installed; please install it")
    return path


def measure(name: str, images: Path, count: int, associations: int) -> Rate:
    """Send every image once."""
    with tempfile.TemporaryDirectory(dir=images.parent) as store:
        receiver = start(name, Path(store))
        shares = sorted(images.iterdir())
        groups = [shares[n::associations] for n in range(associations)]
        begun = time.monotonic()
        senders = [
            subprocess.Popen(  # noqa: S603 - a peer found by name
                [found("storescu"), "-aec", receiver.called_ae, "+sd", "+r", "127.0.0.1", str(receiver.port), *group]
            )
            for group in groups
        ]
        codes = {sender.wait() for sender in senders}
        taken = time.monotonic() - begun
        receiver.stop()
    if codes != {0}:
        raise SystemExit(f"{name} refused images")
    return Rate(name, associations, count / taken)


def main() -> None:
    """Measure, and print a table with ratios to Orthanc."""
    parser = argparse.ArgumentParser(description="Images received per second.")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--receivers", nargs="+", default=["node", "node x 2", "Orthanc", "storescp"])
    arguments = parser.parse_args()
    # For every program of DCMTK, receivers too: without it their small packets wait for acknowledgements.
    os.environ["TCP_NODELAY"] = "1"
    rates: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="reception-") as folder:
        images = Path(folder) / "images"
        write_images(images, arguments.images, arguments.size)
        count = len(list(images.rglob("*.dcm")))
        for _ in range(arguments.rounds):
            for associations in ASSOCIATIONS:
                for name in arguments.receivers:
                    rate = measure(name, images, count, associations)
                    rates.setdefault((name, associations), []).append(rate.per_second)
    write_table(rates, arguments.receivers, count)


def write_table(rates: dict[tuple[str, int], list[float]], receivers: list[str], count: int) -> None:
    """Print the median rate of every receiver."""
    median = {key: statistics.median(values) for key, values in rates.items()}
    lines = [f"{count} images; images per second, and as a multiple of Orthanc's; medians"]
    lines.append(f"{'receiver':<12}" + "".join(f"{n:>3} association{'s' if n > 1 else ' '}    " for n in ASSOCIATIONS))
    for name in receivers:
        cells = []
        for associations in ASSOCIATIONS:
            orthanc = median.get(("Orthanc", associations))
            ratio = f" ({median[name, associations] / orthanc:.2f})" if orthanc else ""
            cells.append(f"{median[name, associations]:>8.0f}{ratio:<11}")
        lines.append(f"{name:<12}" + "".join(cells))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
