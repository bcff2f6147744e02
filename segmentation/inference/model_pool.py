"""Networks kept ready on one device within a budget, and memory reserved for the studies that use them.

Two studies overlap: one is read, post-processed or written while another has the device. Their needs are added up, so
that a study waits if it does not fit beside another one of this process, and is refused if it does not fit at all.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from core.backend import Backend
from core.cancellation import NEVER, Cancellation
from core.errors import RetryLater, StudyRejected
from core.event_log import EventLog
from core.run_options import RunOptions
from core.volume import Geometry, Volume
from segmentation.inference.available_memory import Memory, gpu_memory, host_memory
from segmentation.inference.engine import Engine, EngineResult, Progress, resolve_device
from segmentation.inference.memory_estimate import Need, check, least, of_study, predict, tiles_that_fit, together
from segmentation.inference.shared_images import SharedImages
from segmentation.package.package import Package

GPU_SHARE = 0.5
"""Share of a GPU's memory that networks may keep; the rest is for images, logits and the networks' own values."""
HOST_SHARE = 0.25
"""The same share of the host's memory on a machine without a GPU."""

_log = EventLog()


@dataclass(frozen=True)
class MemoryRequest:
    """One model that is to run on one image.

    Attributes
    ----------
    image
        Hashable identity of the image: requests for one image share its volume.
    """

    package: Package
    geometry: Geometry
    image: object


class ModelPool:
    """The engines of one process.

    Parameters
    ----------
    device
        ``auto``, ``cuda`` or ``cpu``.
    budget
        Bytes of weights that are kept; by default a share of the device's memory.
    host, gpu
        Functions that measure the memory of the host and of the GPU.

    Attributes
    ----------
    processor
        Kind of the processor that networks run on (`segmentation.backends.processor_kind`).

    Raises
    ------
    ConfigInvalid
        If ``cuda`` is requested and there is no usable GPU.
    """

    def __init__(
        self,
        device: str = "auto",
        budget: int | None = None,
        *,
        host: Callable[[], Memory] = host_memory,
        gpu: Callable[[], Memory] = gpu_memory,
    ) -> None:
        self.device = resolve_device(device)
        self._host, self._gpu = host, gpu
        share = gpu().total * GPU_SHARE if self.device == "cuda" else host().total * HOST_SHARE
        self._budget = int(share) if budget is None else budget
        self.processor = _kind_of_processor(self.device)
        self._settled: dict[tuple[str, RunOptions], Package] = {}
        self._engines: OrderedDict[tuple[str, str, Backend | None], Engine] = OrderedDict()
        self._running = threading.Lock()
        self._reserved: dict[int, Need] = {}
        self._changed = threading.Condition()
        self._at_rest = 0

    def segment(
        self,
        package: Package,
        volume: Volume,
        on_progress: Progress | None = None,
        shared: SharedImages | None = None,
        cancellation: Cancellation = NEVER,
        *,
        regular_too: bool = False,
    ) -> EngineResult:
        """Run a package's networks on a volume as soon as the device is free.

        Parameters
        ----------
        on_progress
            As :meth:`segmentation.inference.engine.Engine.segment` takes it.
        shared
            The images that the models of one study share.
        cancellation
            Asked after each tile of a network.
        regular_too
            As :meth:`segmentation.inference.engine.Engine.segment` takes it.

        Raises
        ------
        Cancelled, PackageInvalid, RetryLater, StudyRejected, ValueError
            As :class:`segmentation.inference.engine.Engine` and its ``segment``.
        """
        with self._running:
            engine = self._load(package)
            if self.device != "cuda":
                return engine.segment(volume, on_progress, shared, cancellation=cancellation, regular_too=regular_too)
            spare = self._make_room(package, volume.geometry)
            tiles = tiles_that_fit(package, spare)
            return engine.segment(
                volume,
                on_progress,
                shared,
                cancellation=cancellation,
                results_on_gpu=spare >= 0,
                tiles_at_once=tiles,
                regular_too=regular_too,
            )

    def settled(self, package: Package) -> Package:
        """Return a package with the profile and backend in which it runs here, the same in every call.

        Raises
        ------
        PackageInvalid
            As :func:`segmentation.backends.choice.settle`.
        """
        from segmentation.backends.choice import settle

        key = package.sha256, package.options
        if key not in self._settled:
            self._settled[key] = settle(package, self.device)
        return self._settled[key]

    def warm(self, packages: Sequence[Package]) -> None:
        """Load networks before the first study needs them, as many as the budget and the device hold now.

        Raises
        ------
        PackageInvalid
            As :class:`segmentation.inference.engine.Engine`.
        """
        total = 0
        for package in packages:
            total += package.weight_bytes
            if total > self._budget:
                break
            try:
                with self._running:
                    self._load(package)
            except RetryLater as problem:
                _log.warning("model_not_warmed", model=package.name, problem=str(problem))
                break

    @contextmanager
    def reservation(
        self, waiting: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> Iterator["MemoryReservation"]:
        """Open a reservation by which one study reserves memory; all of it is given back at the end of the block.

        Parameters
        ----------
        waiting
            Returns a context in which the study waits for memory that others hold.
        """
        reservation = MemoryReservation(self, waiting)
        try:
            yield reservation
        finally:
            with self._changed:
                self._reserved.pop(id(reservation), None)
                self._changed.notify_all()

    def _load(self, package: Package) -> Engine:
        package = self.settled(package)
        key = package.sha256, package.inference.model_dump_json(), package.options.backend
        if key in self._engines:
            self._engines.move_to_end(key)
            return self._engines[key]
        while self._engines and self._held() + package.weight_bytes > self._budget:
            self._unload_oldest()
        engine = Engine(package, self.device)
        self._engines[key] = engine
        return engine

    def _make_room(self, package: Package, geometry: Geometry) -> int:
        """Unload other models if the GPU is short of memory, and return its spare bytes.

        These are the bytes that are left if everything lies on the GPU; below 0, not everything fits.
        """
        need = predict(package, geometry, self.device).gpu
        while need > self._gpu().free and len(self._engines) > 1:
            self._unload_oldest()
        return self._gpu().free - need

    def _unload_oldest(self) -> None:
        (sha256, *_), engine = self._engines.popitem(last=False)
        _log.info("model_unloaded", model=engine.package.name, sha256=sha256[:12])
        del engine
        if self.device == "cuda":
            import torch

            torch.cuda.empty_cache()

    def _held(self) -> int:
        return sum(engine.package.weight_bytes for engine in list(self._engines.values()))

    def _beside_weights(self) -> int:
        return resident_bytes() - (0 if self.device == "cuda" else self._held())

    def _admit(self, reservation: "MemoryReservation", requests: Sequence[MemoryRequest]) -> list[StudyRejected | None]:
        host, gpu = self._host(), self._gpu() if self.device == "cuda" else None
        verdicts: list[StudyRejected | None] = []
        needs: dict[object, list[Need]] = {}
        for request in requests:
            try:
                check(request.package, request.geometry, self.device, host, gpu)
            except StudyRejected as rejection:
                verdicts.append(rejection)
            else:
                verdicts.append(None)
                needs.setdefault(request.image, []).append(least(request.package, request.geometry, self.device))
        if needs:
            self._wait_for(reservation, of_study(needs))
        return verdicts

    def _wait_for(self, reservation: "MemoryReservation", need: Need) -> None:
        with self._changed:
            while True:
                if not self._reserved:
                    self._at_rest = self._beside_weights()
                # What this process's studies hold by now is no longer free, but it is part of what they need.
                there = self._host().free + max(0, self._beside_weights() - self._at_rest)
                if together([*self._reserved.values(), need]) <= there:
                    self._reserved[id(reservation)] = need
                    return
                if not self._reserved:
                    free = f"{there / 1e9:.1f} GB are free"
                    raise RetryLater(f"not enough memory now, retry later: {need} are needed, {free}")
                with reservation.waiting():
                    self._changed.wait()


class MemoryReservation:
    """The memory reserved for one study."""

    def __init__(self, models: ModelPool, waiting: Callable[[], AbstractContextManager[None]]) -> None:
        self._models = models
        self.waiting = waiting

    def reserve(self, requests: Sequence[MemoryRequest]) -> list[StudyRejected | None]:
        """Reserve the memory of all models of a study at once, before it is read; wait while other studies hold memory.

        Returns
        -------
        list
            For each request, the reason for which this machine cannot fulfil it, or ``None``.

        Raises
        ------
        RetryLater
            If the machine has enough memory, but other processes hold it.
        """
        return self._models._admit(self, requests)


def _kind_of_processor(device: str) -> str:
    from segmentation.backends.processor_kind import kind_of_processor

    return kind_of_processor(device)


def resident_bytes() -> int:
    """Measure the resident memory of this process, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) * 1024
