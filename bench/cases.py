"""The cases of the comparison: an image, a model, and the logits of which labels are made."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from bench.data import DATA
from bench.made import make_image
from core.volume import Geometry
from phantom.anatomy import Phantom
from phantom.series import write_series
from segmentation.importing.add import add_package
from segmentation.package.weights import read_weights
from tests.support.tiny_models import write_results_folder
from tests.support.tiny_plans import TinyPlan

ROWS = ("stock", "torch", "exact", "fast")
"""nnunetv2, nnunetv2 with ``resample_torch_fornnunet`` in its plans, and two of this project's profiles."""
WITH_EQUAL = ("stock", "torch", "exact", "equal", "fast")
"""Those and the third, for the cases on whose networks' time there are targets."""
ON_CPU = "exact-cpu"
"""``exact`` on the CPU, beside rows on a GPU."""
DEMO = Path(__file__).parents[1] / "models" / "demo"
TINY, TINY_CONVOLUTIONS = (6, 8, 10), 1
FULL, FULL_CONVOLUTIONS = (32, 64, 128, 256, 320, 320), 2

Shape3 = tuple[int, int, int]
Spacing3 = tuple[float, float, float]


@dataclass(frozen=True)
class Case:
    """A case on which the rows are measured.

    Attributes
    ----------
    shape, spacing
        Shape and spacing (mm) of a made image; empty if ``series`` names a real one below ``SEGNODE_TEST_DATA``.
    target
        The network's spacing in mm.
    model
        ``tiny``, ``full`` (nnU-Net's own size), or ``demo``, the trained model of this project.
    logits
        ``anatomy`` and ``random`` are made (``bench.made``), ``network`` are the model's own.
    warm
        Number of runs after the first in the same process.
    once
        Rows that run once only.
    rows
        The rows that are measured, of ``ROWS``.
    """

    name: str
    classes: int = 20
    shape: Shape3 | None = None
    spacing: Spacing3 = (1.5, 0.78, 0.78)
    target: Spacing3 = (1.5, 1.5, 1.5)
    patch: Shape3 = (128, 128, 128)
    series: str = ""
    model: Literal["tiny", "full", "demo"] = "tiny"
    logits: Literal["anatomy", "random", "network"] = "anatomy"
    warm: int = 2
    once: Sequence[str] = ()
    rows: Sequence[str] = ROWS


CT: Shape3 = (200, 512, 512)
CASES = (
    Case("ct-20", 20, CT, rows=WITH_EQUAL),
    Case("large-118", 118, (400, 512, 512), logits="network", warm=0, rows=("exact",)),
    Case("sts-001", series="sts-001-ct/dicom", model="demo", classes=4, logits="network", warm=1),
    Case("crlm-1006", series="crlm-ct-1006", model="demo", classes=4, logits="network", warm=1, rows=WITH_EQUAL),
    Case("sts-001-full", 20, series="sts-001-ct/dicom", model="full", logits="network", warm=0, rows=WITH_EQUAL),
)
"""Cases with a target, and one more real series: under 45 minutes on two cores."""
BY_NAME = (
    Case("ct-3", 3, CT),
    Case("ct-60", 60, CT, once=("stock", "torch")),  # nnU-Net takes minutes for these labels
    Case("ct-20-random", 20, CT, logits="random", warm=1, rows=("stock", "torch", "exact")),
    Case("thick-20", 20, (60, 512, 512), (4.0, 0.78, 0.78), (5.0, 1.0, 1.0), (24, 192, 192), warm=1),
    Case("sts-002", series="sts-002-ct/dicom", model="demo", classes=4, logits="network", warm=1),
    Case("example-ct", series="totalsegmentator/example_ct_dicom", model="demo", classes=4, logits="network", warm=1),
)
"""Further ones, measured where ``--cases`` names them: another half hour."""
GPU_CASES = (
    Case("ct-20", 20, CT, model="full", once=("stock", "torch"), rows=(*ROWS, ON_CPU)),
    Case("thick-20", 20, (60, 512, 512), (4.0, 0.78, 0.78), (5.0, 1.0, 1.0), (24, 192, 192), model="full", warm=1),
    Case("large-20", 20, (400, 512, 512), model="full", rows=("exact", "fast")),
)
QUICK = (
    Case("quick", 5, (24, 64, 60), patch=(16, 24, 24), warm=1),
    Case("quick-random", 5, (24, 64, 60), patch=(16, 24, 24), logits="random", warm=0, rows=("stock", "exact")),
)
"""Small enough for a test; they say nothing about speed."""


def prepare(case: Case, folder: Path) -> bool:
    """Write a case's series and models below a folder; return False if its real series is missing."""
    if case.series and not (DATA / case.series).is_dir():
        return False
    if (folder / "case.json").exists():
        return True
    folder.mkdir(parents=True, exist_ok=True)
    if case.shape is not None:
        geometry = Geometry(case.shape, case.spacing, (0.0, 0.0, 0.0), np.eye(3))
        labels = np.zeros(case.shape, dtype=np.uint8)
        write_series(Phantom(make_image(case.shape), labels, geometry, "CT", None, 0), folder / "series")
    step = _write_demo(folder) if case.model == "demo" else _write_models(case, folder)
    content = asdict(case) | {
        "step": step,
        "series_folder": str(DATA / case.series if case.series else folder / "series"),
    }
    (folder / "case.json").write_text(json.dumps(content), encoding="utf-8")
    return True


def _write_models(case: Case, folder: Path) -> float:
    plan = TinyPlan(
        labels={"background": 0, **{f"organ {index}": index for index in range(1, case.classes)}},
        spacing=case.target,
        patch_size=case.patch,
        mirror_axes=None,
        trainer="nnUNetTrainerNoMirroring",
    )
    features, convolutions = (FULL, FULL_CONVOLUTIONS) if case.model == "full" else (TINY, TINY_CONVOLUTIONS)
    size: dict[str, Any] = {"features": features, "convolutions": convolutions}
    stock = write_results_folder(folder / "stock", plan, 0, **size)
    write_results_folder(folder / "torch", replace(plan, resampling="resample_torch_fornnunet"), 0, **size)
    add_package(stock, "model", folder / "models")
    return 0.5


def _write_demo(folder: Path) -> float:
    """Write the demonstration model as nnU-Net would have left it, and as a package for the series' axis order."""
    (results,) = (DEMO / "nnunet").iterdir()
    (weights,) = (DEMO / "weights" / results.name).iterdir()
    checkpoint = {
        "network_weights": read_weights(weights.read_bytes(), weights.name),
        "trainer_name": results.name.split("__")[0],
        "init_args": {"configuration": results.name.split("__")[2]},
        "inference_allowed_mirroring_axes": None,
    }
    for row in ("stock", "torch"):
        target = folder / row / results.name
        shutil.copytree(results, target)
        (target / "fold_0").mkdir()
        torch.save(checkpoint, target / "fold_0" / "checkpoint_final.pth")
    plans_file = folder / "torch" / results.name / "plans.json"
    plans = json.loads(plans_file.read_text(encoding="utf-8"))
    settings = plans["configurations"][results.name.split("__")[2]]
    for purpose in ("data", "seg", "probabilities"):
        settings[f"resampling_fn_{purpose}"] = "resample_torch_fornnunet"
        settings[f"resampling_fn_{purpose}_kwargs"] = {
            "is_seg": purpose == "seg",
            "force_separate_z": None,
            "memefficient_seg_resampling": False,
        }
    plans_file.write_text(json.dumps(plans), encoding="utf-8")
    shutil.copytree(DEMO, folder / "models" / "model")
    model = folder / "models" / "model" / "model.yaml"
    text = model.read_text(encoding="utf-8").replace("orientation: LPS", "orientation: acquired")
    model.write_text(text.replace("name: demo", "name: model"), encoding="utf-8")
    return 0.75
