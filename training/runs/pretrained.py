"""The weights of a model package in the form that nnU-Net begins a training with."""

from pathlib import Path

from core.errors import ConfigInvalid
from core.files import replacing
from segmentation.package.package import Package
from segmentation.package.weights import read_weights
from training.settings import Folders


def write_pretrained(package: Package, configuration: str, folders: Folders) -> Path:
    """Write the weights of a package's first fold as a checkpoint beside the results.

    Parameters
    ----------
    configuration
        Which of the package's networks, such as ``3d_fullres``.

    Returns
    -------
    Path
        The checkpoint; it is named by the package's hash, so that the same one is written once.

    Raises
    ------
    ConfigInvalid
        If the package has no network of that configuration.
    """
    import torch

    fitting = [one for one in package.manifest.configurations if one.id.rpartition("__")[2] == configuration]
    if not fitting:
        held = ", ".join(one.id for one in package.manifest.configurations)
        raise ConfigInvalid(f"--from {package.name}: no network of configuration {configuration}; it holds {held}")
    path = folders.results / "pretrained" / f"{package.name}-{package.sha256[:12]}-{configuration}.pth"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        file = package.folder / fitting[0].folds[0].file
        weights = read_weights(file.read_bytes(), str(file))
        with replacing(path) as temporary:
            torch.save({"network_weights": weights}, temporary)
    return path
