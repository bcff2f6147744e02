"""Running a model loads neither a training framework nor a second image library."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from segmentation.importing.add import add_package
from tests.support.tiny_models import make_results_folder, make_volume

HEAVY = ("nnunetv2", "batchgenerators", "acvl_utils", "pandas", "SimpleITK", "skimage", "sklearn", "matplotlib")
SLOW = ("sympy", "torchvision", "timm", "torch._dynamo")
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from core.volume import Geometry, Volume
from segmentation.inference.engine import Engine
from segmentation.package.package import load_package

for folder in sys.argv[1:3]:
    package = load_package(Path(folder))
    array = np.load(Path(folder) / "image.npy")
    shape = array.shape[1:]
    none = ("",) * shape[0]
    geometry = Geometry(shape, (3.0, 1.3, 1.2), (0.0, 0.0, 0.0), np.eye(3))
    Engine(package, "cpu").segment(Volume(array, geometry, none, (1,) * shape[0], none, ""))
print(json.dumps([name for name in sys.argv[3:] if name in sys.modules]))
"""


def test_a_run_loads_nothing_of_training(tmp_path: Path) -> None:
    """A cascade and a model of two masked channels reach all modules between them."""
    folders = []
    for kind in ("cascade", "two_channels"):
        package = add_package(make_results_folder(tmp_path / kind, kind), kind, tmp_path / "models")
        volume = make_volume(channels=len(package.manifest.channels), shape=(10, 24, 22), margin=3)
        np.save(package.folder / "image.npy", volume.array)
        folders.append(str(package.folder))
    command = [sys.executable, "-c", PROGRAM, *folders, *HEAVY, *SLOW]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter and program text
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
