"""FastSegmentator on the model and series of the table, where its wheel is installed; see `bench.gpu.items`.

Its command is run as a user runs it, so its seconds are those of the whole process, imports and the model's loading
included; it reads NIfTI files, not DICOM.
"""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK

from bench.gpu.items import Figures, Setting, print_items

ITEMS = ("FastSegmentator",)
COMMAND = "FastSegmentator"


def measure(item: str, setting: Setting) -> Figures:
    """Run it once, and compare its labels with nnU-Net's."""
    command = shutil.which(COMMAND)
    if command is None:
        return {"not_installed": True}
    table = setting.folder / "table"
    (plans,) = (table / "stock").rglob("plans.json")
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as name:
        images, output = Path(name) / "images", Path(name) / "output"
        images.mkdir()
        names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(table / "series"))  # type: ignore[no-untyped-call]
        SimpleITK.WriteImage(SimpleITK.ReadImage(names), str(images / "case_0000.nii.gz"))
        start = time.perf_counter()
        arguments = ["-i", str(images), "-o", str(output), "--model_path", str(plans.parent), "--fold", "0"]
        subprocess.run([command, "nnunet", *arguments, "--device", setting.device], check=True)  # noqa: S603 - our own
        seconds = time.perf_counter() - start
        (found,) = output.rglob("*.nii.gz")
        labels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(found)))
    theirs = np.load(table / "stock-labels.npy", mmap_mode="r")
    return {"all_s": seconds, "labels_differ": int((labels != theirs).sum()), "voxels": int(theirs.size)}


if __name__ == "__main__":
    print_items(measure)
