"""The memory that a model needs for an image, estimated before anything is read, and the refusal if there is less.

The estimate counts what grows with the image, the patch and the classes: the volume, the network's image, the
accumulators of the tiles, one tile with the network's own values, the labels. A test compares it with measured peaks:
``tests/segmentation/inference/test_memory_estimate.py``.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from core.backend import BackendName
from core.errors import ReasonCode, StudyRejected
from core.regular_grid import regular_grid
from core.volume import Geometry
from segmentation.inference.available_memory import Memory
from segmentation.inference.shared_images import image_key
from segmentation.package.network_spec import Configuration, NetworkSpec
from segmentation.package.package import Package
from segmentation.preprocessing.field_of_view import blocks_of
from segmentation.preprocessing.orientation import reorientation
from segmentation.preprocessing.target_grid import Shape3, resampled_shape

HELD_AT_ONCE: Mapping[BackendName, int] = {"torch": 9, "openvino": 5}
"""Copies of the first stage's features that a network holds at its widest: skip, upsampled, both, their result."""
BAND_PLANES = 2 * 21 + 16
"""Number of planes that a spline reaches, plus those that are computed from them at a time."""
MASK_BYTES = 7
"""Bytes per voxel while an image's nonzero mask is made: its components are numbered with 32 bits."""
DEVIATION_BYTES = 8
"""Bytes per voxel of one channel while its standard deviation is computed."""
STAGE_BYTES = 6
"""Bytes per voxel while the first stage's labels are resampled for the second."""
FINISHING_BYTES = 6
"""Bytes per voxel after the networks: labels, pictures and DICOM object."""
STEP_BYTES = {"keep_largest": 13, "remove_small": 13, "fill_holes": 18, "open": 16, "smooth": 45}
"""Bytes per voxel, labels included, at the peak of a post-processing step on a label whose box is the whole image."""
LABELLING = {"cpu": 100 * 2**20, "cuda": 3 * 2**30}
"""Bytes that turning logits into labels takes besides the logits, whatever their size."""
SMALLEST_LABELLING = 200 * 2**20
"""The same on a GPU if it goes in the smallest steps."""
MOST_TILES = 4
"""Largest number of tiles at once; more do not keep a GPU busier."""
BASE = 1.5 * 2**30
"""Bytes that the process takes without any study, mostly for its libraries."""


@dataclass(frozen=True)
class Need:
    """Peak memory in bytes, on the host beyond the process itself, and on the GPU.

    Attributes
    ----------
    volume
        The image, which is held from reading to the end.
    host
        Host memory besides the volume while the networks run.
    after
        Host memory besides the volume once they have run: labels, post-processing, pictures, the DICOM object.
    gpu
        GPU memory; 0 on a CPU.
    labels
        The part of ``after`` that stays until the study is written.
    """

    volume: int
    host: int
    after: int
    gpu: int
    labels: int

    @property
    def total(self) -> int:
        """The peak on the host, in bytes."""
        return self.volume + max(self.host, self.after)

    def __str__(self) -> str:
        """Write the peaks in GB (1e9 bytes) for messages."""
        gpu = f" and {self.gpu / 1e9:.1f} GB on the GPU" if self.gpu else ""
        return f"{self.total / 1e9:.1f} GB{gpu}"


def predict(package: Package, geometry: Geometry, device: str, *, results_on_gpu: bool = True) -> Need:
    """Estimate the memory that a package needs for an image.

    Parameters
    ----------
    package
        The model, in the profile and backend in which it runs (`segmentation.backends.choice.settle`).
    geometry
        The grid of the image, or the places of an irregular stack's slices.
    device
        ``cpu`` or ``cuda``.
    results_on_gpu
        True if a GPU also keeps image, logits and accumulators; False if it keeps only one tile at a time.

    Returns
    -------
    Need
        The peaks in bytes.

    Raises
    ------
    StudyRejected
        ``too_small``, if the image is smaller than half a voxel of a network along an axis.
    """
    if not geometry.is_regular:
        return _of_stack(package, geometry, device, results_on_gpu=results_on_gpu)
    config, manifest = package.config, package.manifest
    turn = reorientation(geometry, config.orientation)
    blocks = blocks_of(geometry.spacing, geometry.shape, package.inference.active.finest_useful_spacing)
    framed: list[int] = [-(-size // block) for size, block in zip(geometry.shape, blocks, strict=True)]
    shape = framed[turn.axes[0]], framed[turn.axes[1]], framed[turn.axes[2]]
    coarser = [value * block for value, block in zip(geometry.spacing, blocks, strict=True)]
    spacing = turn.spacing((coarser[0], coarser[1], coarser[2]))
    volume = 4 * len(manifest.channels) * prod(geometry.shape)
    copies = 4 * len(manifest.channels) * prod(framed) if blocks != (1, 1, 1) else 0
    passes = [_Pass.of(package, c, shape, spacing, device, results_on_gpu=results_on_gpu) for c in package.passes]
    kept = sum(one.logits for one in passes) if manifest.is_ensemble else 0
    labels = (1 if len(manifest.labels.outputs) < 255 else 2) * prod(geometry.shape)
    after = max([FINISHING_BYTES, *(STEP_BYTES[s.step] for s in config.postprocessing)]) * prod(geometry.shape)
    waiting = _waiting([image_key(package, c) for c in package.passes], [one.image for one in passes])
    on_gpu = device != "cpu" and results_on_gpu
    host = max(one.host + (0 if on_gpu else held) for one, held in zip(passes, waiting, strict=True))
    gpu = max(one.gpu + (held if on_gpu else 0) for one, held in zip(passes, waiting, strict=True))
    host += (3 if manifest.parts else 2) * labels + kept + copies
    # OpenVINO keeps the weights twice: as they were read, and in the order in which it computes.
    host += package.weight_bytes if _backend_of(package) == "openvino" else 0
    return Need(volume, host, after, gpu, labels)


def _of_stack(package: Package, geometry: Geometry, device: str, *, results_on_gpu: bool) -> Need:
    """Estimate as for the regular grid, with the slices themselves, the mask of acquired voxels and a second mask."""
    grid = regular_grid(geometry)
    need = predict(package, grid, device, results_on_gpu=results_on_gpu)
    own = 4 * len(package.manifest.channels) * prod(geometry.shape)
    return replace(need, volume=need.volume + own, host=need.host + prod(grid.shape) + need.labels)


def least(package: Package, geometry: Geometry, device: str) -> Need:
    """Estimate the memory that a package needs at least: on a GPU, everything but one tile then lies on the host.

    On a CPU the result is that of :func:`predict`, since slabs there are never larger than a patch requires.

    Raises
    ------
    StudyRejected
        As :func:`predict`.
    """
    return predict(package, geometry, device, results_on_gpu=False)


def tiles_that_fit(package: Package, free: int) -> int:
    """Compute the tiles that a GPU with ``free`` bytes left may see together; 1 in profile ``exact``, as in nnU-Net.

    ``free`` is the number of bytes left besides those of :func:`predict`, which counts one tile.
    """
    if package.inference.profile == "exact":
        return 1
    return max(1, min(MOST_TILES, 1 + max(free, 0) // max(_of_tile(package, c) for c in package.passes)))


def check(package: Package, geometry: Geometry, device: str, host: Memory, gpu: Memory | None) -> None:
    """Refuse an image that would not fit even if no other process held memory.

    Parameters
    ----------
    device
        ``cpu`` or ``cuda``.
    host, gpu
        The memory of this machine; ``gpu`` is ``None`` on a CPU.

    Raises
    ------
    StudyRejected
        ``too_large``, with the figures; ``too_small`` as :func:`predict`.
    """
    need = least(package, geometry, device)
    if need.total > host.total - BASE or (gpu is not None and need.gpu > gpu.total):
        has = f"{host.total / 1e9:.1f} GB" + (f" and {gpu.total / 1e9:.1f} GB on the GPU" if gpu else "")
        sizes = " x ".join(map(str, geometry.shape))
        raise StudyRejected(
            ReasonCode.TOO_LARGE, f"{package.name} needs {need} for {sizes} voxels; this machine has {has}."
        )


def together(needs: Sequence[Need]) -> int:
    """Compute the bytes that overlapping studies need on the host, while the networks run for one of them at a time."""
    return sum(need.volume + need.after for need in needs) + max(max(need.host - need.after, 0) for need in needs)


def of_study(needs: Mapping[object, Sequence[Need]]) -> Need:
    """Combine the needs of one study whose models run one after the other; ``needs`` lists them by the image read."""
    every = [need for found in needs.values() for need in found]
    return Need(
        volume=sum(max(need.volume for need in found) for found in needs.values()),
        host=max(need.host for need in every),
        after=sum(need.labels for need in every) + max(need.after for need in every),
        gpu=max(need.gpu for need in every),
        labels=sum(need.labels for need in every),
    )


def _waiting(keys: Sequence[Hashable], images: Sequence[int]) -> list[int]:
    """Compute, for each pass, the bytes of other images that an earlier pass made and a later one will use."""
    return [
        sum(images[keys.index(key)] for key in set(keys[:index]) & set(keys[index + 1 :]) if key != keys[index])
        for index in range(len(keys))
    ]


@dataclass(frozen=True)
class _Pass:
    """Memory in bytes of one configuration's run: its peaks on host and GPU, its image, and its whole logits."""

    host: int
    gpu: int
    image: int
    logits: int

    @classmethod
    def of(
        cls,
        package: Package,
        configuration: Configuration,
        shape: Shape3,
        spacing: tuple[float, float, float],
        device: str,
        *,
        results_on_gpu: bool,
    ) -> "_Pass":
        """Estimate one configuration's run; ``shape`` and ``spacing`` (mm) are in the model's axis order."""
        forward = configuration.transpose_forward
        old = [shape[axis] for axis in forward]
        old_spacing = [spacing[axis] for axis in forward]
        new_spacing = (*old_spacing[: 3 - len(configuration.spacing)], *configuration.spacing)
        grid = old if _keeps_its_grid(configuration) else list(resampled_shape(old, old_spacing, new_spacing))
        patch = (*[1] * (3 - len(configuration.patch_size)), *configuration.patch_size)
        padded = [max(size, least) for size, least in zip(grid, patch, strict=True)]
        spec, voxels = configuration.network, prod(old)
        folds = len(package.folds_of(configuration))

        kept_image = 4 * spec.input_channels * prod(grid)
        image = kept_image
        image += 4 * spec.input_channels * prod(padded) if padded != grid else 0
        accumulators = 2 * (folds * spec.outputs + 1) * patch[0] * padded[1] * padded[2]
        tile = _of_tile(package, configuration)
        logits = 2 * spec.outputs * prod(grid)
        kept = configuration.resampling_probabilities.function == "resample_torch_fornnunet"

        preparing = _of_preparing(configuration, voxels) + 2 * 8 * BAND_PLANES * grid[1] * grid[2] + 2**24
        running = accumulators + tile + (logits + 12 * voxels if kept else 0)
        if device == "cpu":
            return cls(image + max(preparing, running + LABELLING["cpu"]), 0, kept_image, logits)
        if results_on_gpu:
            host = preparing + (logits + 12 * voxels if kept else 0)
            gpu = image + max(2 * 4 * BAND_PLANES * grid[1] * grid[2], running + LABELLING["cuda"])
            return cls(host, gpu, kept_image, logits)
        host = image + max(preparing, running + LABELLING["cpu"])
        return cls(host, tile + SMALLEST_LABELLING, kept_image, logits)


def _keeps_its_grid(configuration: Configuration) -> bool:
    return configuration.resampling_data.function == "no_resampling_hack"


def _of_preparing(configuration: Configuration, voxels: int) -> int:
    """Estimate the bytes besides the image and the network's image while one is made from the other."""
    cascade = configuration.previous_stage is not None
    masked = cascade or any(n.use_mask for n in configuration.normalisation)
    deviates = any(n.scheme == "ZScoreNormalization" for n in configuration.normalisation)
    whole = configuration.resampling_data.function == "resample_torch_fornnunet"
    per_voxel = masked * MASK_BYTES + deviates * DEVIATION_BYTES + cascade * STAGE_BYTES + whole * 12
    return per_voxel * voxels


def _of_tile(package: Package, configuration: Configuration) -> int:
    """Estimate the bytes of one tile's logits, and of the network while it computes them."""
    patch, spec = configuration.patch_size, configuration.network
    mirrored = package.inference.active.mirroring and bool(configuration.mirror_axes)
    held = HELD_AT_ONCE[_backend_of(package)]
    return prod(patch) * 4 * spec.outputs * (3 if mirrored else 2) + _of_network(spec, patch, held)


def _backend_of(package: Package) -> BackendName:
    return package.options.backend.name if package.options.backend is not None else "torch"


def _of_network(spec: NetworkSpec, patch: tuple[int, ...], held: int) -> int:
    """Estimate the bytes of a network's own values on one patch, in single precision."""
    features = spec.arguments.get("features_per_stage")
    first = features[0] if isinstance(features, list) else features
    widest = first if isinstance(first, int) else 32
    return 4 * held * widest * prod(patch)
