"""Weights that a training begins with: those of a checkpoint, or of a model package.

nnU-Net's own function reads a checkpoint with the unpickler that runs what the file names, so weights are read and put
into the network here, by its rule: all but the last layers, and only if every one of them fits.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigInvalid, PackageInvalid
from core.files import replacing
from segmentation.importing.checkpoints import read_weights as read_checkpoint_weights
from segmentation.package.package import Package
from segmentation.package.weights import read_weights
from training.runs.records import RunRequest
from training.settings import Folders, TrainingSettings

if TYPE_CHECKING:
    import torch

    Weights = Mapping[str, torch.Tensor]

_LAST_LAYERS = ".seg_layers."
"""In the names of the layers that stay as they are drawn, since another data set has other labels."""


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


def check_pretrained(settings: TrainingSettings, plans: Mapping[str, Any], request: RunRequest) -> None:
    """Refuse weights that the network of a run cannot begin with, before it is queued.

    Raises
    ------
    ConfigInvalid
        If there is no such file, it is no checkpoint, it holds more than weights, or the network is another one.
    """
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    description = json.loads((settings.folders.preprocessed / request.dataset / "dataset.json").read_text())
    manager = PlansManager(dict(plans))
    chosen = manager.get_configuration(request.configuration)
    with torch.device("meta"):  # its shapes alone
        network = get_network_from_plans(
            chosen.network_arch_class_name,
            chosen.network_arch_init_kwargs,
            chosen.network_arch_init_kwargs_req_import,
            determine_num_input_channels(manager, chosen, description),
            manager.get_label_manager(description).num_segmentation_heads,
            allow_init=False,
        )
    _fitting(network.state_dict(), _read(request.pretrained), request.pretrained)


def load_pretrained(trainer: Any, path: Path) -> None:
    """Put weights into the network of a trainer that is initialised; the last layers stay as they are.

    Raises
    ------
    ConfigInvalid
        As `check_pretrained`.
    """
    network = trainer.network.module if trainer.is_ddp else trainer.network
    network = getattr(network, "_orig_mod", network)  # of torch.compile
    own = network.state_dict()
    network.load_state_dict(own | _fitting(own, _read(path), path))


def _read(path: Path | None) -> "Weights":
    if path is None or not path.is_file():
        raise ConfigInvalid(f"--pretrained {path}: no such file")
    try:
        return read_checkpoint_weights(path)
    except PackageInvalid as error:
        raise ConfigInvalid(f"--pretrained {path}: {error}") from error


def _fitting(own: "Weights", given: "Weights", path: Path | None) -> "Weights":
    """Return what is taken over of some weights; refuse them where one layer of the network would go without."""
    wanted = {name: tensor.shape for name, tensor in own.items() if _LAST_LAYERS not in name}
    if missing := [name for name in wanted if name not in given]:
        raise ConfigInvalid(
            f"--pretrained {path}: weights of another network, which has no {missing[0]}; take those of a training "
            "with the same plans"
        )
    for name, shape in wanted.items():
        found = given[name].shape
        if found == shape:
            continue
        if len(found) == len(shape) > 1 and (found[0], *found[2:]) == (shape[0], *shape[2:]) and name == _first(wanted):
            raise ConfigInvalid(
                f"--pretrained {path}: weights of a network that takes {found[1]} channels, and this one takes "
                f"{shape[1]}; take those of a training with as many"
            )
        theirs, ours = ("x".join(map(str, one)) for one in (found, shape))
        raise ConfigInvalid(
            f"--pretrained {path}: weights of another network, whose {name} is {theirs}, where this one has {ours}; "
            "take those of a training with the same plans"
        )
    return {name: given[name] for name in wanted}


def _first(wanted: Mapping[str, "torch.Size"]) -> str:
    """Return the name of the first layer's kernel, whose second axis is the channels."""
    return next(name for name, shape in wanted.items() if len(shape) > 1)
