"""nnU-Net's checkpoints, read without running them, and the safetensors that a package keeps instead.

A checkpoint is a pickle. It is read with torch's ``weights_only`` unpickler, which builds tensors and plain containers
and nothing else; the allow-list below adds numbers and arrays of numpy, which nnU-Net's training log leaves in it, and
paths, for which a string is built. No class is imported because a file names it.
"""

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import PackageInvalid
from segmentation.importing.source_files import refuse_stand_in

if TYPE_CHECKING:
    import torch

MAX_CHECKPOINT_BYTES = 8 * 2**30
"""Largest checkpoint that is read; nnU-Net's largest preset with its optimizer state stays below 3 GiB."""
_NEEDED = ("network_weights", "trainer_name", "init_args", "inference_allowed_mirroring_axes")

# What reading a damaged or hostile archive raises, besides the unpickler's own refusal.
_DAMAGE = (
    RuntimeError,
    EOFError,
    KeyError,
    IndexError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
    OSError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class Checkpoint:
    """The parts of one ``checkpoint_final.pth`` that a package needs.

    Attributes
    ----------
    weights
        State dict of the network, on the CPU.
    mirror_axes
        Spatial axes that inference may mirror; empty if training did not mirror, or the checkpoint does not say.
    """

    weights: dict[str, "torch.Tensor"]
    trainer: str
    configuration: str
    mirror_axes: tuple[int, ...]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; no code of the file runs.

    Raises
    ------
    PackageInvalid
        If the file is not an nnU-Net v2 checkpoint, is damaged, compressed or too large, or holds more than tensors.
    """
    refuse_stand_in(path)
    _check_archive(path)
    content = _load(path)
    try:
        weights = content["network_weights"]
        mirror_axes = content.get("inference_allowed_mirroring_axes")
        mirror_axes = () if mirror_axes is None or mirror_axes is False else mirror_axes
        checkpoint = Checkpoint(
            weights=dict(weights),
            trainer=str(content["trainer_name"]),
            configuration=str(content["init_args"]["configuration"]),
            mirror_axes=tuple(int(axis) for axis in mirror_axes),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        kind = "of nnU-Net v1, which is not supported" if _is_v1(content) else "not an nnU-Net v2 checkpoint"
        raise PackageInvalid(f"{path.name}: {kind}: {error!r}") from error
    _check_tensors(checkpoint.weights, path.name)
    return checkpoint


def read_weights(path: Path) -> dict[str, "torch.Tensor"]:
    """Read the network's state dict alone, of a checkpoint or of pretrained weights; no code of the file runs.

    Raises
    ------
    PackageInvalid
        If the file has no ``network_weights``, is damaged, compressed or too large, or holds more than tensors.
    """
    refuse_stand_in(path)
    _check_archive(path)
    content = _load(path)
    if not isinstance(content, dict) or not isinstance(content.get("network_weights"), Mapping):
        raise PackageInvalid(f"{path.name}: holds no network_weights, as nnU-Net's checkpoints do")
    weights = dict(content["network_weights"])
    _check_tensors(weights, path.name)
    return weights


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise PackageInvalid(f"{path.name}: not a checkpoint as torch.save writes it: {error}") from error
    size = sum(entry.file_size for entry in entries)
    # torch.save never compresses; a compressed entry could unfold to any size in memory.
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise PackageInvalid(f"{path.name}: holds compressed entries, which torch.save never writes")
    if max(size, path.stat().st_size) > MAX_CHECKPOINT_BYTES:
        raise PackageInvalid(f"{path.name}: {size} bytes, more than the allowed {MAX_CHECKPOINT_BYTES}")


def _load(path: Path) -> Any:
    import torch

    try:
        with torch.serialization.safe_globals([*_numpy(), *_paths()]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        reason = next((line.strip() for line in str(error).splitlines() if "GLOBAL" in line.upper()), str(error)[:300])
        raise PackageInvalid(
            f"{path.name}: refused, it holds more than weights: {reason}. No class that a file names is ever built; "
            f"save it anew, with nothing but {', '.join(_NEEDED)}"
        ) from error
    except _DAMAGE as error:
        raise PackageInvalid(f"{path.name}: damaged: {str(error)[:300]}") from error


def _numpy() -> list[Any]:
    import numpy as np
    from numpy._core.multiarray import _reconstruct, scalar

    kinds = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    dtypes = [type(np.dtype(name)) for name in (*kinds, "float16", "float32", "float64", "U1", "S1")]
    # The second spelling is what numpy 1 wrote, and with it most checkpoints that exist.
    moved = [(scalar, "numpy.core.multiarray.scalar"), (_reconstruct, "numpy.core.multiarray._reconstruct")]
    return [scalar, _reconstruct, *moved, np.ndarray, np.dtype, *dtypes]


def _paths() -> list[Any]:
    kinds = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")
    return [(_path_as_text, f"{module}.{kind}") for module in ("pathlib", "pathlib._local") for kind in kinds]


def _path_as_text(*parts: object) -> str:
    return "/".join(map(str, parts))


def _is_v1(content: object) -> bool:
    return isinstance(content, dict) and "state_dict" in content and "plot_stuff" in content


def _check_tensors(weights: Mapping[str, Any], where: str) -> None:
    import torch

    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
            raise PackageInvalid(f"{where}: {name!r} in network_weights is not a plain tensor")
