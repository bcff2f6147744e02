"""Small cases on a made volume, and models for the four tasks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import yaml
from numpy.typing import NDArray

from core.volume import Geometry
from segmentation.importing.add import add_package
from services.images.shared_paths import Root, Roots, SharedFile
from tests.support.tiny_models import make_results_folder, make_volume

PHASES = {"vessel": ("arterial", "portal"), "ureter": ("delayed",)}
ALIASES = {task: f"{task}-tiny" for task in ("totalseg", "vessel", "ureter", "tumor")}


def write_image(path: Path, array: NDArray[np.generic], geometry: Geometry) -> Path:
    """Write an image or mask ``(slice, row, column)`` by SimpleITK."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing[::-1])
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction.ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


def write_case(folder: Path, *, seed: int = 1, shape: tuple[int, int, int] = (12, 24, 20)) -> Path:
    """Images of the phases A, P and D on one grid, smooth noise."""
    for number, phase in enumerate("APD"):
        volume = make_volume(shape=shape, seed=10 * seed + number)
        write_image(folder / f"{phase}.nii.gz", volume.array[0], volume.geometry)
    return folder


def make_models(folder: Path) -> Path:
    """A package with random weights behind each task; that of vessel takes two channels."""
    one = make_results_folder(folder / "one")
    two = make_results_folder(folder / "two", "two_channels")
    for task, name in ALIASES.items():
        package = add_package(two if task == "vessel" else one, name, folder / "models")
        say_phases(package.folder / "model.yaml", PHASES.get(task, ()))
    return folder / "models"


def say_phases(model_yaml: Path, phases: Sequence[str]) -> None:
    """Have each channel of a package take CT of one contrast phase, and leave no question open, as a person does."""
    content = yaml.safe_load(model_yaml.read_text())
    for channel, phase in zip(content["channels"], phases, strict=False):
        channel["series"] = {"modality": ["CT"], "phase": [phase]}
    model_yaml.write_text(yaml.safe_dump(content))


def shared(path: Path, root: Path) -> SharedFile:
    """A file as a caller named it."""
    return Roots({"cases": Root(root)}).find(f"cases:{path.relative_to(root)}", "image_path")
