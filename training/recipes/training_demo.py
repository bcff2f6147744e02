"""From DICOM with SEG of made patients to a package that runs: ``python -m training.recipes.training_demo``.

It makes the images, then runs and prints the commands that a researcher would, each in a process of its own. Some
fifteen minutes at most on two cores. The model is of made patients, and of no use for real ones.
"""

import argparse
import logging
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from phantom.anatomy import Phantom, make_phantom, trunk_geometry
from phantom.series import make_series, save_series
from phantom.tags import SeriesTags, StudyTags, made_uid
from runtime.child import PYTHON
from training.recipes.made_patients import TRAINED_FROM

PATIENTS = 8
SPACING_MM = (5.0, 4.0, 4.0)
EXTENT_MM = (200.0, 260.0, 340.0)
STRUCTURES = {"Liver": ("liver",), "Kidney": ("kidney_right", "kidney_left")}
CODES = {"Liver": ("10200004", "Liver"), "Kidney": ("64033007", "Kidney")}
NAME, MODEL = "MADE", "training-demo"
CONFIGURATION = "2d"
EPOCHS, ITERATIONS, GPU_MEMORY_GB = 12, 25, 0.1
LEAST_DICE = 0.8
"""Of each structure in the unseen patient; less fails the demonstration."""

log = logging.getLogger(__name__)


def phantom_of(number: int) -> Phantom:
    """Make one patient; the same number is the same one."""
    geometry = trunk_geometry(SPACING_MM, extent=EXTENT_MM, centre=(0.0, 10.0, 30.0 + 4.0 * (number % 5)))
    return make_phantom(geometry, phase="P", seed=TRAINED_FROM + 500 + number)


def write_patient(number: int, folder: Path, *, labelled: bool) -> None:
    """Write a patient's CT as DICOM, and beside it the structures as a SEG."""
    phantom = phantom_of(number)
    study = StudyTags(name=f"training-{number}", patient_id=f"MADE-{number}", patient_name=f"Made^{number}")
    images = make_series(phantom, study=study, series=SeriesTags())
    save_series(images, folder / f"patient-{number}" / "ct")
    if labelled:
        segmentation(phantom, images).save_as(folder / f"patient-{number}" / "seg.dcm")


def segmentation(phantom: Phantom, images: list[Any]) -> Any:
    """Build the SEG of a patient's structures."""
    import highdicom
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=index,
            segment_label=name,
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=Code(CODES[name][0], "SCT", CODES[name][1]),
            algorithm_type="MANUAL",
        )
        for index, name in enumerate(STRUCTURES, start=1)
    ]
    masks: NDArray[np.uint8] = np.stack([phantom.mask(*parts) for parts in STRUCTURES.values()], axis=-1).astype(
        np.uint8
    )
    return highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=masks,
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        series_instance_uid=made_uid("demo segmentation", phantom.seed),
        series_number=2,
        sop_instance_uid=made_uid("demo segmentation instance", phantom.seed),
        instance_number=1,
        manufacturer="segnode",
        manufacturer_model_name="phantom",
        software_versions="1",
        device_serial_number="0",
    )


def run(words: list[str], work: Path) -> None:
    """Print a command as a person would type it in the working folder, and run it.

    Raises
    ------
    SystemExit
        If it fails.
    """
    log.info("\n$ segnode %s", shlex.join(words))
    begun = time.monotonic()
    environment = {**os.environ, "SEGNODE_MODELS": str(work / "models")}
    done = subprocess.run([*PYTHON, "app.cli", *words], cwd=work, env=environment, check=False)  # noqa: S603 - this program
    log.info("(%.0f s)", time.monotonic() - begun)
    if done.returncode != 0:
        sys.exit(done.returncode)


def dice_of_unseen(result: Path) -> dict[str, float]:
    """Compare what the package found in the unseen patient with the truth."""
    import SimpleITK as sitk

    (path,) = result.rglob("*_seg.nii.gz")
    found: NDArray[np.int_] = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    phantom = phantom_of(PATIENTS)
    dice = {}
    for value, (name, parts) in enumerate(sorted(STRUCTURES.items()), start=1):  # as register numbers names
        true, own = phantom.mask(*parts), found == value
        dice[name] = 2.0 * float((true & own).sum()) / float(true.sum() + own.sum())
    return dice


def commands(epochs: int) -> list[list[str]]:
    """Return the commands from DICOM with SEG to the labels of a patient who was not trained on."""
    length = ["--epochs", str(epochs), "--iterations", str(ITERATIONS)]
    return [
        ["datasets", "register", NAME, "dicom"],
        ["train", "plan", NAME, "--configuration", CONFIGURATION, "--gpu-memory", str(GPU_MEMORY_GB)],
        ["train", "start", NAME, CONFIGURATION, "--fold", "0", *length, "--queue-only"],
        ["train", "work", "--until-idle"],
        ["train", "status"],
        ["train", "package", NAME, "--name", MODEL],
        ["run", "unseen", "result", "--model", MODEL, "--nifti"],
    ]


def main() -> None:
    """Make the patients, run the commands, and compare with the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("demo/training"), help="folder, made anew")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    asked = parser.parse_args()
    work: Path = asked.work.absolute()
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    log.setLevel(logging.INFO)  # highdicom tells of each attribute that it copies
    begun = time.monotonic()
    if work.exists() and any(work.iterdir()) and not (work / "training.yaml").is_file():
        sys.exit(f"{work}: it holds something else; give a folder that is empty, or does not exist")
    shutil.rmtree(work, ignore_errors=True)
    for number in range(PATIENTS + 1):
        write_patient(number, work / ("unseen" if number == PATIENTS else "dicom"), labelled=number < PATIENTS)
    folders = {name: name for name in ("raw", "preprocessed", "results", "queue")}
    settings = yaml.safe_dump({"folders": folders}, sort_keys=False)
    (work / "training.yaml").write_text(settings)
    log.info("%d made patients with SEG in %s, and one more without in %s", PATIENTS, "dicom", "unseen")
    log.info("\n$ cd %s\n$ export SEGNODE_MODELS=models\n$ cat training.yaml\n%s", work, settings.rstrip())
    for words in commands(asked.epochs):
        run(words, work)
    dice = dice_of_unseen(work / "result")
    log.info("\nof the patient who was not trained on:")
    for name, value in dice.items():
        log.info("%s, Dice    %.3f", name, value)
    log.info("whole demonstration, s    %.0f", time.monotonic() - begun)
    worst = min(dice, key=dice.__getitem__)
    if dice[worst] < LEAST_DICE:
        sys.exit(f"{worst}: Dice {dice[worst]:.3f} is below {LEAST_DICE}: the training did not learn what it should")


if __name__ == "__main__":
    main()
