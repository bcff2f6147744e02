"""Networks built from their normalised description, with a closed list of builders and operations.

nnU-Net's plans name classes that Python would import and call. Here a name selects from a table, and a name that is
not in the table is refused.
"""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.errors import PackageInvalid
from segmentation.package.network_spec import NetworkSpec

if TYPE_CHECKING:
    import torch

BUILDER_PATHS = {
    "dynamic_network_architectures.architectures.unet.PlainConvUNet": "PlainConvUNet",
    "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet": "ResidualEncoderUNet",
    "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet": "ResidualEncoderUNet",
    "dynamic_network_architectures.architectures.unet.ResidualUNet": "ResidualUNet",
}
"""Class names that plans may carry; ``residual_unet`` is where old versions kept the class."""

OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "conv_op": ("Conv2d", "Conv3d"),
    "norm_op": ("InstanceNorm2d", "InstanceNorm3d", "BatchNorm2d", "BatchNorm3d"),
    "dropout_op": ("Dropout", "Dropout2d", "Dropout3d"),
    "nonlin": ("LeakyReLU", "ReLU", "GELU", "SiLU", "ELU", "PReLU"),
    "block": ("BasicBlockD", "BottleneckD"),
}
"""The operations that a network may be built from, by the builder's keyword."""

MODULES = {
    "conv_op": ("torch.nn", "torch.nn.modules.conv"),
    "norm_op": ("torch.nn", "torch.nn.modules.instancenorm", "torch.nn.modules.batchnorm"),
    "dropout_op": ("torch.nn", "torch.nn.modules.dropout"),
    "nonlin": ("torch.nn", "torch.nn.modules.activation"),
    "block": ("dynamic_network_architectures.building_blocks.residual",),
}

ARGUMENTS = frozenset(
    {
        "n_stages",
        "features_per_stage",
        "kernel_sizes",
        "strides",
        "n_conv_per_stage",
        "n_blocks_per_stage",
        "n_conv_per_stage_decoder",
        "conv_bias",
        "norm_op_kwargs",
        "dropout_op_kwargs",
        "nonlin_kwargs",
        "nonlin_first",
        "bottleneck_channels",
        "stem_channels",
    }
)
SIZES = frozenset({"n_stages", "features_per_stage", "kernel_sizes", "strides", "stem_channels"})
"""Arguments whose numbers are sizes; of none of anything a network is built with a warning alone."""
MAX_ARGUMENT = 4096
"""Largest integer in a network's arguments; real plans stay below 512, and a huge one would stall the builder."""


def short_operation(keyword: str, path: str | None) -> str | None:
    """Turn the import path of an operation in plans (``torch.nn.modules.conv.Conv3d``) into its short name.

    Raises
    ------
    PackageInvalid
        If the path is not one of the known operations.
    """
    if path is None and keyword not in ("conv_op", "block"):
        return None
    module, _, name = str(path).rpartition(".")
    if module not in MODULES.get(keyword, ()) or name not in OPERATIONS[keyword]:
        raise PackageInvalid(f"plans name {path!r} as {keyword}, which is not a known operation")
    return name


def build_network(spec: NetworkSpec, device: str = "cpu") -> "torch.nn.Module":
    """Build a network without deep supervision, in evaluation mode, its weights not set.

    Parameters
    ----------
    device
        ``meta`` builds it without memory, to compare shapes.

    Raises
    ------
    PackageInvalid
        If the arguments do not fit the builder.
    """
    import torch
    from dynamic_network_architectures.architectures import unet

    builder = getattr(unet, spec.builder)
    _check_arguments(spec, set(inspect.signature(builder).parameters))
    operations = {keyword: _operation(keyword, name) for keyword, name in spec.operations.items()}
    try:
        with torch.device(device):
            network: torch.nn.Module = builder(
                input_channels=spec.input_channels,
                num_classes=spec.outputs,
                deep_supervision=False,
                **operations,
                **spec.arguments,
            )
    except (AssertionError, TypeError, ValueError, RuntimeError, LookupError, AttributeError, ArithmeticError) as error:
        raise PackageInvalid(f"the plans' arguments do not make a {spec.builder}: {error}") from error
    return network.eval()


def shared_names(network: "torch.nn.Module") -> dict[str, str]:
    """Map names in the state dict to an earlier name of the same tensor; names of distinct tensors are left out."""
    first: dict[int, str] = {}
    aliases = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        original = first.setdefault(id(tensor), name)
        if original != name:
            aliases[name] = original
    return aliases


def check_weights(network: "torch.nn.Module", weights: Mapping[str, "torch.Tensor"], where: str) -> None:
    """Compare names, shapes and kinds of weights with a network, strictly.

    Raises
    ------
    PackageInvalid
        If weights are missing, left over, or of another shape or type; the text names the first of them.
    """
    expected = network.state_dict()
    missing, extra = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing or extra:
        raise PackageInvalid(
            f"{where}: weights do not fit the plans' network: {len(missing)} missing {missing[:3]}, "
            f"{len(extra)} unknown {extra[:3]}"
        )
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise PackageInvalid(
                f"{where}: {name} has shape {tuple(tensor.shape)}, the plans' network {tuple(expected[name].shape)}"
            )
        if tensor.is_floating_point() != expected[name].is_floating_point() or tensor.is_complex():
            raise PackageInvalid(f"{where}: {name} is {tensor.dtype}, the network needs {expected[name].dtype}")


def _operation(keyword: str, name: str | None) -> Any:
    import torch
    from dynamic_network_architectures.building_blocks import residual

    if name is None:
        return None
    if name not in OPERATIONS.get(keyword, ()):
        raise PackageInvalid(f"{name!r} is not a known {keyword}")
    return getattr(residual if keyword == "block" else torch.nn, name)


def _check_arguments(spec: NetworkSpec, parameters: set[str]) -> None:
    unknown = (set(spec.arguments) - (ARGUMENTS & parameters)) | (set(spec.operations) - (set(OPERATIONS) & parameters))
    if unknown:
        raise PackageInvalid(f"{spec.builder} takes no argument {sorted(unknown)}")
    for name, value in spec.arguments.items():
        for number in _numbers(value):
            if number > MAX_ARGUMENT:
                raise PackageInvalid(f"{name} of the network is {number}, more than {MAX_ARGUMENT}")
            if name in SIZES and number < 1:
                raise PackageInvalid(f"{name} of the network is {number}, less than 1")


def _numbers(value: Any) -> list[float]:
    if isinstance(value, list | tuple):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int | float) else []
