"""The inference service under load, and its batch endpoint, beside nnU-Net's own command timed in the same run.

    python -m bench.service                  some minutes on two cores
    python -m bench.service --requests 20    to see that it runs

32 clients send 200 requests, each of which is computed anew (``force``). nnU-Net's command gets a folder with 10 of the
cases; then it is called once for each of the four tasks of one case, and so is the batch endpoint. Every time is that
of a user: of the command with its start, of a call to a service that has run before.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from bench import machine
from bench.made import make_image
from core.volume import Geometry
from segmentation.package.weights import read_weights
from segnode_client import Client, Mask
from segnode_client.client import Task
from tests.support.service_cases import write_image
from tests.support.service_process import ServiceProcess

MODELS = Path(__file__).parents[1] / "models"
ALIASES = {"totalseg": "demo", "vessel": "vessel-phantom", "ureter": "ureter-phantom", "tumor": "demo"}
IMAGES = {"totalseg": "A", "vessel": "AP", "ureter": "D", "tumor": "A"}
"""Phases that each task uses."""
SHAPE, SPACING = (24, 64, 64), (3.0, 1.5, 1.5)
STOCK_CASES = 10
# Looking for a trainer, nnU-Net imports every module of its own, and with the transformers torchvision, whose CUDA
# build cannot be imported beside a CPU build of torch; its command is otherwise as it is.
STOCK = (
    "import sys, types; sys.modules['nnunetv2.training.nnUNetTrainer.primus.primus_trainers'] = types.ModuleType('no')"
    "; from nnunetv2.inference.predict_from_raw_data import predict_entry_point as run; run()"
)


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--cases", type=int, default=40, help="number of cases; requests take them in turn")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-service-") as temporary:
        figures = run(Path(temporary), arguments.clients, arguments.requests, arguments.cases)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


def run(work: Path, clients: int, requests: int, cases: int) -> dict[str, Any]:
    """Measure all of it below a folder.

    Returns
    -------
    dict
        ``machine``, ``load``, ``nnunet`` and ``batch``; seconds, and requests or cases a second.
    """
    volume = work / "volume"
    for number in range(max(cases, STOCK_CASES)):
        write_case(volume / f"{number:03d}", number)
    results = {
        name: write_results(name, number, work / "results") for number, name in enumerate(sorted(set(ALIASES.values())))
    }
    service = ServiceProcess(work / "service", volume, MODELS, ALIASES, workers=max(1, (os.cpu_count() or 1)))
    service.start()
    try:
        with Client(service.grpc, timeout_s=1200) as client:
            for number in range(2 * (os.cpu_count() or 1)):  # every worker has loaded every model
                ask_batch(client, number % cases)
            load = measure_load(client, clients, requests, cases)
            batch_s = min(timed(partial(ask_batch, client, 0)) for _ in range(3))
    finally:
        service.stop()
    demo = results["demo"]
    ten = timed(partial(predict, demo, [volume / f"{n:03d}" for n in range(STOCK_CASES)], "A", work / "ten"))
    single = {
        task: timed(partial(predict, results[ALIASES[task]], [volume / "000"], IMAGES[task], work / task))
        for task in ALIASES
    }
    return {
        "machine": machine.describe("cpu"),
        "image": {"shape": SHAPE, "spacing_mm": SPACING},
        "load": load,
        "nnunet": {"cases": STOCK_CASES, "seconds": ten, "per_second": STOCK_CASES / ten},
        "times_the_throughput": load["per_second"] * ten / STOCK_CASES,
        "batch": {"seconds": batch_s, "nnunet_seconds": single, "times_faster": sum(single.values()) / batch_s},
    }


def measure_load(client: Client, clients: int, requests: int, cases: int) -> dict[str, Any]:
    """Measure latencies and throughput of many clients at once; a request without an answer counts as lost."""

    def ask(number: int) -> float:
        return timed(lambda: client.totalseg(f"cases:{number % cases:03d}/A.nii.gz", force=True))

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as crowd:
        asked = [crowd.submit(ask, number) for number in range(requests)]
    whole = time.perf_counter() - start
    seconds = [one.result() for one in asked if one.exception() is None]
    return {
        "clients": clients,
        "requests": requests,
        "lost": requests - len(seconds),
        "p50_s": float(np.percentile(seconds, 50)),
        "p95_s": float(np.percentile(seconds, 95)),
        "per_second": len(seconds) / whole,
    }


def ask_batch(client: Client, case: int) -> dict[str, Mask]:
    """Request all four tasks of one case."""
    image = {letter: f"cases:{case:03d}/{letter}.nii.gz" for letter in "APD"}
    return client.batch(
        get_args(Task), image=image["A"], image_a=image["A"], image_p=image["P"], image_d=image["D"], force=True
    )


def timed(work: Callable[[], object]) -> float:
    """Measure the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def write_case(folder: Path, seed: int) -> None:
    """Write images of three phases on one grid."""
    body = make_image(SHAPE).astype(np.float32)
    for phase, noise in zip("APD", islice(np.random.default_rng(seed).spawn(3), 3), strict=True):
        image = (body + noise.normal(0, 10, SHAPE)).astype(np.int16)
        write_image(folder / f"{phase}.nii.gz", image, Geometry(SHAPE, SPACING, (0.0, 0.0, 0.0), np.eye(3)))


def write_results(model: str, number: int, folder: Path) -> tuple[Path, int, str, str]:
    """Write a package as nnU-Net would have left it.

    Returns
    -------
    tuple
        ``nnUNet_results``, the data set's number, trainer and configuration.
    """
    (described,) = (MODELS / model / "nnunet").iterdir()
    (weights,) = (MODELS / model / "weights" / described.name).iterdir()
    trainer, _, configuration = described.name.split("__")
    target = folder / f"Dataset{900 + number}_Bench" / described.name
    (target / "fold_0").mkdir(parents=True)
    for name in ("dataset.json", "plans.json"):
        (target / name).write_bytes((described / name).read_bytes())
    checkpoint = {
        "network_weights": read_weights(weights.read_bytes(), weights.name),
        "trainer_name": trainer,
        "init_args": {"configuration": configuration},
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(checkpoint, target / "fold_0" / "checkpoint_final.pth")
    return folder, 900 + number, trainer, configuration


def predict(model: tuple[Path, int, str, str], cases: Sequence[Path], phases: str, output: Path) -> None:
    """Run ``nnUNetv2_predict`` on a folder of cases, with its defaults."""
    results, dataset, trainer, configuration = model
    images = output / "in"
    images.mkdir(parents=True)
    for case in cases:
        for channel, phase in enumerate(phases):
            (images / f"{case.name}_{channel:04d}.nii.gz").symlink_to(case / f"{phase}.nii.gz")
    asked = ["-i", images, "-o", output / "out", "-d", str(dataset), "-tr", trainer, "-c", configuration, "-f", "0"]
    places = {name: str(results) for name in ("nnUNet_results", "nnUNet_raw", "nnUNet_preprocessed")}
    command = [sys.executable, "-c", STOCK, *map(str, asked), "-device", "cpu", "--disable_progress_bar"]
    subprocess.run(command, env={**os.environ, **places}, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - nnU-Net's
    found = len(list((output / "out").glob("*.nii.gz")))
    if found != len(cases):
        raise RuntimeError(f"nnU-Net made {found} of {len(cases)} masks")


if __name__ == "__main__":
    main()
