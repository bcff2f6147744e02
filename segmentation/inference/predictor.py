"""The run of one volume through a package's networks: preprocess, slabs of logits, labels; with timing and progress."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from core.cancellation import Cancellation
from core.regular_grid import regular_grid
from core.volume import Volume
from segmentation.backends.tile_network import TileNetwork
from segmentation.inference import sliding_window
from segmentation.inference.shared_images import SharedImages, frame_key, image_key
from segmentation.labels.composite import overlay
from segmentation.labels.export_prediction import Prediction, labels_of_ensemble, labels_of_slabs, predict_logits
from segmentation.labels.stack_labels import Labelled, labels_of_stack, labels_of_stack_ensemble
from segmentation.labels.stack_points import StackPoints
from segmentation.package.network_spec import Configuration, Labels
from segmentation.package.package import Package
from segmentation.preprocessing.orientation import reorientation
from segmentation.preprocessing.preprocess import Grids, preprocess
from segmentation.preprocessing.shown_image import ShownImage, shown_image

Result = TypeVar("Result")
STAGES = ("preprocess", "network", "labels")


class Predictor:
    """The run of one volume through a package's networks; it is used once.

    Parameters
    ----------
    package
        The model, with its active profile.
    networks
        For each configuration's id its folds, on ``device``.
    volume
        float32 ``(channel, slice, row, column)``; not modified.
    shared
        The images that other models of the same study made of the same volume, or will use.
    on_progress
        Called with the fraction done, 0 to 1, after each tile of a network.
    device
        Device on which the networks run.
    results_device
        Device on which image, logits and accumulators are kept.
    tiles_at_once
        Tiles that a network sees together.
    regular_too
        Whether the labels of an irregular stack's regular grid are wanted beside its own.

    Attributes
    ----------
    timings
        Seconds in each of ``STAGES`` so far.
    regular_labels
        After :meth:`labels`, those of an irregular stack's regular grid, if they were asked for.
    """

    def __init__(
        self,
        package: Package,
        networks: Mapping[str, Sequence[TileNetwork]],
        volume: Volume,
        shared: SharedImages,
        on_progress: Callable[[float], None] | None,
        cancellation: Cancellation,
        device: torch.device,
        results_device: torch.device,
        tiles_at_once: int = 1,
        *,
        regular_too: bool = False,
    ) -> None:
        self.regular_labels: NDArray[np.uint8] | NDArray[np.uint16] | None = None
        self._regular_too = regular_too and not volume.geometry.is_regular
        self._points: StackPoints | None = None
        self.timings = dict.fromkeys(STAGES, 0.0)
        self._package, self._networks, self._volume, self._shared = package, networks, volume, shared
        self._on_progress, self._device, self._results_device = on_progress, device, results_device
        self._cancellation, self._tiles_at_once = cancellation, tiles_at_once
        self._turn = reorientation(volume.geometry, package.config.orientation)
        self._count = sum(len(networks[configuration.id]) for configuration in package.passes)
        self._done = 0
        self._reached = 0.0

    def labels(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Compute the labels ``(slice, row, column)`` on the volume's grid, contiguous, uint8 or else uint16.

        Those of an irregular stack are decided at the true place of each of its voxels.
        """
        with self._timed("preprocess"):
            shown = self._shared.get(
                self._volume,
                frame_key(self._package),
                lambda: shown_image(self._volume, self._package.config, self._package.inference.active),
            )
        grid = self._volume.geometry
        if not grid.is_regular:
            points = StackPoints.of(grid, regular_grid(grid)).framed(shown.field_of_view)
            self._points = points.turned(self._turn)
        found = self._label(shown.turned(self._turn))
        with self._timed("labels"):
            if self._points is None:
                return self._whole(found.main, shown)
            if found.beside is not None:
                self.regular_labels = self._whole(found.beside, shown)
            return np.ascontiguousarray(found.main.astype(self._kind, copy=False))

    @property
    def _kind(self) -> type[np.uint8] | type[np.uint16]:
        return np.uint8 if max(spec.value for spec in self._package.config.labels) < 256 else np.uint16

    def _whole(self, labels: NDArray[np.integer[Any]], shown: ShownImage) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Bring labels of the image in the model's order back to the whole grid in its own."""
        whole: NDArray[np.uint8] | NDArray[np.uint16]
        whole = shown.field_of_view.undo(self._turn.undo(labels).astype(self._kind, copy=False))
        return whole

    def _label(self, image: ShownImage) -> Labelled:
        manifest = self._package.manifest
        if manifest.parts:
            return self._merged(image)
        members = [manifest.configuration(member) for member in manifest.members]
        if len(members) == 1:
            return self._labels_of(members[0], manifest.labels, image)
        predictions = []
        for member in members:
            data, grids = self._preprocess(member, image)
            # The members are compared at the end, so their logits stay, on the network's grid.
            logits = self._within_memory(member, data, partial(predict_logits, shape=grids.new_shape))
            predictions.append(Prediction(logits, grids, member))
        with self._timed("labels"):
            if self._points is None:
                return Labelled(labels_of_ensemble(predictions, manifest.labels))
            beside = labels_of_ensemble(predictions, manifest.labels) if self._regular_too else None
            return Labelled(labels_of_stack_ensemble(predictions, manifest.labels, self._points), beside)

    def _merged(self, image: ShownImage) -> Labelled:
        """Write the labels of each part of a composite over those of the parts before it."""
        manifest = self._package.manifest
        kind = np.uint8 if max(manifest.labels.outputs.values()) < 256 else np.uint16
        shape = image.array.shape[1:] if self._points is None else self._points.shape
        merged = Labelled(np.zeros(shape, kind), np.zeros(image.array.shape[1:], kind) if self._regular_too else None)
        for part in manifest.parts:
            found = self._labels_of(manifest.configuration(part.configuration), part.labels, image)
            with self._timed("labels"):
                overlay(merged.main, found.main, part.values)
                if merged.beside is not None and found.beside is not None:
                    overlay(merged.beside, found.beside, part.values)
        return merged

    def _labels_of(self, configuration: Configuration, labels: Labels, image: ShownImage) -> Labelled:
        points = self._points
        if points is None:
            return Labelled(self._labels_on_grid(configuration, labels, image))
        data, grids = self._preprocess(configuration, image)
        return self._within_memory(
            configuration,
            data,
            lambda slabs: labels_of_stack(slabs, grids, configuration, labels, points, regular=self._regular_too),
        )

    def _labels_on_grid(
        self, configuration: Configuration, labels: Labels, image: ShownImage
    ) -> NDArray[np.integer[Any]]:
        data, grids = self._preprocess(configuration, image)
        return self._within_memory(
            configuration, data, lambda slabs: labels_of_slabs(slabs, grids, configuration, labels)
        )

    def _preprocess(self, configuration: Configuration, image: ShownImage) -> tuple[torch.Tensor, Grids]:
        labels = self._package.manifest.labels
        make = partial(
            preprocess,
            image.array,
            image.spacing,
            configuration,
            labels,
            device=self._results_device,
            acquired=image.acquired,
        )
        if configuration.previous_stage:
            stage = self._package.manifest.configuration(configuration.previous_stage)
            previous = self._labels_on_grid(stage, labels, image)
            with self._timed("preprocess"):
                return make(previous=previous)
        with self._timed("preprocess"):
            return self._shared.get(self._volume, image_key(self._package, configuration), make)

    def _within_memory(
        self, configuration: Configuration, data: torch.Tensor, use: Callable[[Iterator[torch.Tensor]], Result]
    ) -> Result:
        """Pass the slabs of logits to ``use``; keep them on the CPU if the GPU turns out to have too little memory."""
        done = self._done
        try:
            return self._use(use, self._slabs(configuration, data, self._results_device))
        except torch.cuda.OutOfMemoryError:
            self._done = done
        # Outside of the handler, where the error's frames no longer hold what was allocated.
        torch.cuda.empty_cache()
        return self._use(use, self._slabs(configuration, data, torch.device("cpu")))

    def _use(self, use: Callable[[Iterator[torch.Tensor]], Result], slabs: Iterator[torch.Tensor]) -> Result:
        before = self.timings["network"]
        with self._timed("labels"):
            result = use(slabs)
        self.timings["labels"] -= self.timings["network"] - before
        return result

    def _slabs(
        self, configuration: Configuration, data: torch.Tensor, results_device: torch.device
    ) -> Iterator[torch.Tensor]:
        networks = self._networks[configuration.id]
        settings = self._package.inference.active
        window = sliding_window.Window(
            configuration.patch_size,
            settings.step_size,
            configuration.mirror_axes if settings.mirroring else (),
            self._tiles_at_once,
        )
        slabs = sliding_window.predict_slabs(
            networks, data, window, self._device, results_device, lambda fraction: self._tell(fraction * len(networks))
        )
        while True:
            with self._timed("network"):
                slab = next(slabs, None)
            if slab is None:
                break
            yield slab
        self._done += len(networks)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings[stage] += time.perf_counter() - start

    def _tell(self, networks: float) -> None:
        """Report how many networks of the configuration are done; a repeated run never lowers the fraction."""
        self._cancellation.raise_if_cancelled()
        self._reached = max(self._reached, (self._done + networks) / self._count)
        if self._on_progress:
            self._on_progress(self._reached)
