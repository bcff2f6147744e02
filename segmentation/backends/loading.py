"""The networks of a package, loaded on a device for the backend that runs them."""

from typing import TYPE_CHECKING, Literal, cast

import torch

from core.backend import Backend
from core.errors import RetryLater
from segmentation.backends.converted import ConversionFailed, conversions_of, load_module
from segmentation.backends.openvino_network import OpenVinoNetwork
from segmentation.backends.torch_network import TorchNetwork
from segmentation.package.network_spec import Configuration
from segmentation.package.package import Package

if TYPE_CHECKING:
    from segmentation.backends.tile_network import TileNetwork

_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": None}


def load_networks(
    package: Package, configuration: Configuration, backend: Backend, device: torch.device
) -> "list[TileNetwork]":
    """Load the folds with which a configuration runs.

    Parameters
    ----------
    backend
        As `segmentation.backends.choice.backend_of` gives it.

    Raises
    ------
    PackageInvalid
        If weights changed since the package was loaded, or do not fit their network.
    RetryLater
        If a converted network is gone since the backend was chosen, and cannot be made again.
    """
    folds = package.folds_of(configuration)
    if backend.name == "torch":
        modules = (load_module(package, configuration, fold).to(device) for fold in folds)
        return [TorchNetwork(module, _TYPES[backend.precision]) for module in modules]
    precision = cast("Literal['float32', 'bfloat16']", backend.precision)
    networks: list[TileNetwork] = []
    for conversion in conversions_of(package):
        if conversion.configuration is not configuration or conversion.fold not in folds:
            continue
        try:
            graph, numbers = conversion.read() or conversion.make()
        except (OSError, ConversionFailed) as error:
            raise RetryLater(
                f"{conversion.place}: the converted network is gone and cannot be made: {error}"
            ) from error
        networks.append(OpenVinoNetwork(graph, numbers, precision, torch.get_num_threads()))
    return networks
