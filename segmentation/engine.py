"""Run a model package on a volume: orientation in, networks, labels, orientation back."""

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigInvalid, OutOfMemory, PackageInvalid
from core.label_map import LabelMap
from core.volume import Volume
from segmentation.checkpoints import read_weights
from segmentation.hashes import sha256_of_bytes
from segmentation.manifest import Configuration
from segmentation.network import build_network, check_weights
from segmentation.orientation import reorientation
from segmentation.package import Package

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from segmentation.preprocessing import Grids

Result = TypeVar("Result")
Progress = Callable[[float], None]
STAGES = ("preprocess", "network", "labels")


@dataclass(frozen=True)
class EngineResult:
    """Labels on the volume's grid, and seconds spent in each of ``preprocess``, ``network`` and ``labels``."""

    label_map: LabelMap
    timings_s: dict[str, float]


def resolve_device(device: str) -> str:
    """Turn ``auto`` into ``cuda`` where a GPU can be used, else ``cpu``; check a device that is asked for.

    Raises
    ------
    ConfigInvalid
        If the name is unknown, or ``cuda`` is asked for and not there.
    """
    import torch

    if device not in ("auto", "cuda", "cpu"):
        raise ConfigInvalid(f"device {device!r}: use auto, cuda or cpu")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ConfigInvalid("device cuda: no CUDA device can be used here; use auto or cpu")
    return "cuda" if available and device != "cpu" else "cpu"


def precision_of(device: "torch.device", *, bf16: bool) -> "torch.dtype | None":
    """In which precision networks compute: nnU-Net's, or bfloat16 where that is asked for and made by hardware."""
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if bf16 else torch.float16
    # Without such units it takes several times as long as single precision.
    return torch.bfloat16 if bf16 and torch.cpu.get_capabilities().get("amx_bf16") else None


@dataclass
class _Run:
    """Seconds and progress of one call."""

    networks: int
    on_progress: Progress | None
    timings: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    done: int = 0
    reached: float = 0.0

    @contextmanager
    def timed(self, stage: str) -> "Iterator[None]":
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings[stage] += time.perf_counter() - start

    def on_tile(self, networks: float) -> None:
        """Tell that this many networks of the current configuration are through; a repeated one does not go back."""
        self.reached = max(self.reached, (self.done + networks) / self.networks)
        if self.on_progress:
            self.on_progress(self.reached)


class Engine:
    """A package's networks, loaded and ready; use it for one volume at a time.

    Parameters
    ----------
    package
        As :func:`segmentation.package.load_package` gives it.
    device
        ``auto``, ``cuda`` or ``cpu``.

    Raises
    ------
    ConfigInvalid
        If the device is not there.
    PackageInvalid
        If weights changed since the package was loaded, or do not fit their network.
    RetryLater
        If the GPU's memory does not hold the networks now.
    """

    def __init__(self, package: Package, device: str = "auto") -> None:
        import torch

        self.package = package
        self.device = resolve_device(device)
        self._torch_device = torch.device(self.device)
        with _out_of_memory_is_transient():
            self._networks = {c.id: self._load(c) for c in package.network.configurations}

    def segment(self, volume: Volume, on_progress: Progress | None = None) -> EngineResult:
        """Segment a volume; it is not modified.

        Parameters
        ----------
        volume
            With as many channels as the model.
        on_progress
            Called with the fraction done, 0 to 1, after each tile of a network.

        Raises
        ------
        RetryLater
            If the GPU's memory does not suffice now.
        PackageInvalid
            If the network's logits overflow, or its plans ask for a resampling that is not supported.
        StudyRejected
            If the image has none of the network's voxels, or not the range of the model's images.
        ValueError
            If the number of channels is not the model's.
        """
        wanted = len(self.package.network.channels)
        if volume.array.shape[0] != wanted:
            raise ValueError(f"the volume has {volume.array.shape[0]} channels, the model {wanted}")
        from segmentation.framing import frame

        run = _Run(self._network_count(), on_progress)
        with run.timed("preprocess"):
            framed, spacing, framing = frame(volume.array, volume.geometry.spacing, self.package.manifest)
        turn = reorientation(volume.geometry, self.package.manifest.orientation)
        with _out_of_memory_is_transient():
            labels = self._label(turn.apply(framed), turn.spacing(spacing), run)
        with run.timed("labels"):
            values = [spec.value for spec in self.package.manifest.labels]
            kind = np.uint8 if max(values) < 256 else np.uint16
            array = framing.undo(turn.undo(labels).astype(kind, copy=False))
        specs = tuple(sorted(self.package.manifest.labels, key=lambda spec: spec.value))
        return EngineResult(LabelMap(array, volume.geometry, specs), run.timings)

    def _label(self, image: NDArray[np.float32], spacing: tuple[float, ...], run: _Run) -> NDArray[np.integer[Any]]:
        from segmentation.export import Prediction, labels_of_ensemble
        from segmentation.sliding_window import predict_logits

        members = [self.package.network.configuration(member) for member in self.package.network.members]
        if len(members) == 1:
            return self._labels_of(members[0], image, spacing, run)
        predictions = []
        for member in members:
            data, grids = self._preprocess(member, image, spacing, run)
            # The members are compared at the end, so their logits stay, on the network's grid.
            logits = self._within_memory(member, data, run, partial(predict_logits, shape=grids.new_shape))
            predictions.append(Prediction(logits, grids, member))
        with run.timed("labels"):
            return labels_of_ensemble(predictions, self.package.network.labels)

    def _labels_of(
        self, configuration: Configuration, image: NDArray[np.float32], spacing: tuple[float, ...], run: _Run
    ) -> NDArray[np.integer[Any]]:
        from segmentation.export import labels_of_slabs

        data, grids = self._preprocess(configuration, image, spacing, run)
        labels = self.package.network.labels
        return self._within_memory(
            configuration, data, run, lambda slabs: labels_of_slabs(slabs, grids, configuration, labels)
        )

    def _preprocess(
        self, configuration: Configuration, image: NDArray[np.float32], spacing: tuple[float, ...], run: _Run
    ) -> tuple["torch.Tensor", "Grids"]:
        from segmentation.preprocessing import preprocess

        previous = None
        if configuration.previous_stage:
            stage = self.package.network.configuration(configuration.previous_stage)
            previous = self._labels_of(stage, image, spacing, run)
        with run.timed("preprocess"):
            labels = self.package.network.labels
            return preprocess(image, spacing, configuration, labels, previous, self._torch_device)

    def _within_memory(
        self,
        configuration: Configuration,
        data: "torch.Tensor",
        run: _Run,
        use: "Callable[[Iterator[torch.Tensor]], Result]",
    ) -> "Result":
        """Give ``use`` the slabs of logits, kept on the CPU where the GPU's memory does not hold them."""
        import torch

        done = run.done
        try:
            return self._timed(use, self._slabs(configuration, data, run, self._torch_device), run)
        except torch.cuda.OutOfMemoryError:
            run.done = done
        # Outside of the handler, where the error's frames no longer hold what was allocated.
        torch.cuda.empty_cache()
        return self._timed(use, self._slabs(configuration, data, run, torch.device("cpu")), run)

    def _timed(
        self, use: "Callable[[Iterator[torch.Tensor]], Result]", slabs: "Iterator[torch.Tensor]", run: _Run
    ) -> "Result":
        before = run.timings["network"]
        with run.timed("labels"):
            result = use(slabs)
        run.timings["labels"] -= run.timings["network"] - before
        return result

    def _slabs(
        self, configuration: Configuration, data: "torch.Tensor", run: _Run, results_device: "torch.device"
    ) -> "Iterator[torch.Tensor]":
        from segmentation.sliding_window import Window, predict_slabs

        networks = self._networks[configuration.id]
        settings = self.package.manifest.inference.active
        window = Window(
            configuration.patch_size,
            settings.step_size,
            configuration.mirror_axes if settings.mirroring else (),
            precision_of(self._torch_device, bf16=settings.bf16),
        )
        slabs = predict_slabs(
            networks,
            data,
            window,
            self._torch_device,
            results_device,
            lambda fraction: run.on_tile(fraction * len(networks)),
        )
        while True:
            with run.timed("network"):
                slab = next(slabs, None)
            if slab is None:
                break
            yield slab
        run.done += len(networks)

    def _network_count(self) -> int:
        passes = [
            self.package.network.configuration(identifier)
            for member in self.package.network.members
            for identifier in (self.package.network.configuration(member).previous_stage, member)
            if identifier
        ]
        return sum(len(self._networks[configuration.id]) for configuration in passes)

    def _load(self, configuration: Configuration) -> list["torch.nn.Module"]:
        wanted = self.package.manifest.inference.folds
        folds = [fold for fold in configuration.folds if not wanted or fold.fold in wanted]
        networks = []
        for fold in folds:
            path = self.package.folder / fold.file
            try:
                content = path.read_bytes()
            except OSError as error:
                raise PackageInvalid(f"{path}: {error.strerror or error}") from error
            # Hashed again: the bytes that count are those that are used.
            if sha256_of_bytes(content) != self.package.sums[fold.file]:
                raise PackageInvalid(f"{path}: changed since the package was loaded")
            weights = read_weights(content, str(path))
            network = build_network(configuration.network)
            check_weights(network, weights, str(path))
            network.load_state_dict(weights, strict=True)
            networks.append(network.to(self._torch_device))
        return networks


@contextmanager
def _out_of_memory_is_transient() -> "Iterator[None]":
    import torch

    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise OutOfMemory(f"the GPU's memory does not suffice now: {str(error).splitlines()[0]}") from error
