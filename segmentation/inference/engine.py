"""The engine: a model package's networks, loaded on a device and run on one volume after the other."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.backend import Backend
from core.cancellation import NEVER, Cancellation
from core.errors import ConfigInvalid, OutOfMemory
from core.label_map import LabelMap
from core.regular_grid import regular_grid
from core.volume import Geometry, Volume
from segmentation.inference.shared_images import SharedImages
from segmentation.package.package import Package

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segmentation.inference.predictor import Predictor

Progress = Callable[[float], None]


@dataclass(frozen=True)
class EngineResult:
    """The outcome of one volume.

    Attributes
    ----------
    label_map
        The labels on the volume's grid.
    timings_s
        The seconds spent in each of ``preprocess``, ``network`` and ``labels``.
    package
        The package with the profile and backend that its networks ran in.
    backend
        The backend that computed them.
    regular
        The labels on the regular grid of an irregular stack, where they were asked for.
    """

    label_map: LabelMap
    timings_s: dict[str, float]
    package: Package
    backend: Backend
    regular: LabelMap | None = None


def resolve_device(device: str) -> str:
    """Turn ``auto`` into ``cuda`` if a GPU can be used, else ``cpu``; check a device that is named explicitly.

    Parameters
    ----------
    device
        ``auto``, ``cuda`` or ``cpu``.

    Returns
    -------
    str
        ``cuda`` or ``cpu``.

    Raises
    ------
    ConfigInvalid
        If the name is unknown, or ``cuda`` is named and there is no usable GPU.
    """
    import torch

    if device not in ("auto", "cuda", "cpu"):
        raise ConfigInvalid(f"device {device!r} is unknown; use auto, cuda or cpu")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ConfigInvalid("device cuda: there is no CUDA device that can be used here; use auto or cpu")
    return "cuda" if available and device != "cpu" else "cpu"


class Engine:
    """A package's networks, loaded and ready; use it for one volume at a time.

    Parameters
    ----------
    package
        The package, as :func:`segmentation.package.package.load_package` returns it.
    device
        ``auto``, ``cuda`` or ``cpu``.

    Raises
    ------
    ConfigInvalid
        If the device is not available.
    PackageInvalid
        If weights changed since the package was loaded, or do not fit their network.
    RetryLater
        If the GPU has too little free memory now to hold the networks.

    Attributes
    ----------
    package
        The package with the profile and backend in which it runs.
    backend
        What computes its networks.
    """

    def __init__(self, package: Package, device: str = "auto") -> None:
        import torch

        from segmentation.backends.choice import backend_of, settle
        from segmentation.backends.loading import load_networks

        self.device = resolve_device(device)
        self.package = settle(package, self.device)
        self.backend = backend_of(self.package, self.device)
        self._torch_device = torch.device(self.device)
        with _out_of_memory_is_transient():
            self._networks = {
                configuration.id: load_networks(self.package, configuration, self.backend, self._torch_device)
                for configuration in package.manifest.configurations
            }

    def segment(
        self,
        volume: Volume,
        on_progress: Progress | None = None,
        shared: SharedImages | None = None,
        *,
        cancellation: Cancellation = NEVER,
        results_on_gpu: bool = True,
        tiles_at_once: int = 1,
        regular_too: bool = False,
    ) -> EngineResult:
        """Segment a volume, which is not modified: labels before post-processing, and the seconds of each stage.

        Parameters
        ----------
        volume
            float32 ``(channel, slice, row, column)`` with as many channels as the model.
        on_progress, cancellation
            Called with the fraction done, 0 to 1, and asked, after each tile of a network.
        shared
            The images that this model shares with others of the same study; ``None`` if it runs alone.
        results_on_gpu
            True keeps image, logits and accumulators on the GPU, too; False keeps there only one tile at a time.
        tiles_at_once
            Tiles that a network sees together; with one, labels equal nnU-Net's own.
        regular_too
            Whether the labels on an irregular stack's regular grid are wanted beside those at its own voxels.

        Raises
        ------
        Cancelled, RetryLater
            If the work is cancelled; if the GPU has too little free memory now.
        PackageInvalid
            If the network's logits overflow, or its plans ask for a resampling that is not supported.
        StudyRejected
            If the image is smaller than half a voxel of the network along an axis (``too_small``), or an RGB channel
            leaves the range 0 to 255 (``colour_range``).
        ValueError
            If the number of channels is not the model's.
        """
        import torch

        from segmentation.inference.predictor import Predictor

        wanted = len(self.package.manifest.channels)
        if volume.array.shape[0] != wanted:
            raise ValueError(f"the volume has {volume.array.shape[0]} channels, but the model needs {wanted}")
        predictor = Predictor(
            self.package,
            self._networks,
            volume,
            shared or SharedImages([(self.package, volume)]),
            on_progress,
            cancellation,
            self._torch_device,
            self._torch_device if results_on_gpu else torch.device("cpu"),
            tiles_at_once,
            regular_too=regular_too,
        )
        return self._result(predictor, volume.geometry)

    def _result(self, predictor: "Predictor", geometry: Geometry) -> EngineResult:
        with _out_of_memory_is_transient():
            array = predictor.labels()
        specs = tuple(sorted(self.package.config.labels, key=lambda spec: spec.value))
        beside = predictor.regular_labels
        regular = None if beside is None else LabelMap(beside, regular_grid(geometry), specs)
        return EngineResult(LabelMap(array, geometry, specs), predictor.timings, self.package, self.backend, regular)


@contextmanager
def _out_of_memory_is_transient() -> "Iterator[None]":
    import torch

    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise OutOfMemory(f"out of GPU memory now; retry later: {str(error).splitlines()[0]}") from error
