"""Weights of a package as safetensors: each tensor once, with a table of the names that share a tensor."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import PackageInvalid

if TYPE_CHECKING:
    import torch


ALIASES = "aliases"


def write_weights(weights: Mapping[str, "torch.Tensor"], aliases: Mapping[str, str], path: Path) -> None:
    """Write weights to safetensors, each tensor once; further names go into the file's metadata.

    Parameters
    ----------
    aliases
        Names that the network shares, each with the name under which the tensor is stored.

    Raises
    ------
    PackageInvalid
        If two names that share a tensor hold different numbers (the result would depend on their order), or a number
        is not finite.
    """
    import torch
    from safetensors.torch import save_file

    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise PackageInvalid(f"{path.name}: {name} holds values that are not finite")
    for alias, name in aliases.items():
        if not torch.equal(weights[alias], weights[name]):
            raise PackageInvalid(f"{path.name}: {alias} and {name} are one tensor in the network but differ")
    stored = {name: tensor.contiguous() for name, tensor in weights.items() if name not in aliases}
    save_file(stored, path, metadata={ALIASES: json.dumps(dict(sorted(aliases.items())))})


def read_weights(content: bytes, where: str) -> dict[str, "torch.Tensor"]:
    """Read a file of :func:`write_weights`: the full state dict, with shared tensors under all of their names.

    Raises
    ------
    PackageInvalid
        If the bytes are not a safetensors file with this project's table of aliases.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        aliases = json.loads(header["__metadata__"][ALIASES])
        stored = load(content)
        return stored | {alias: stored[name] for alias, name in aliases.items()}
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PackageInvalid(f"{where}: not weights of a package: {error}") from error
