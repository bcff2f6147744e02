"""The benchmark of a package's profiles on cases, which measures the loss and gain of each against ``exact``."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from core.backend import BackendName
from core.errors import ConfigInvalid
from core.files import replace_file
from core.image_files.reader import read_image, read_mask
from core.model_config import Profile
from core.version import VERSION
from core.volume import Volume
from segmentation.backends.choice import precisions_of, with_backend
from segmentation.backends.processor_kind import kind_of_processor
from segmentation.inference.engine import Engine, resolve_device
from segmentation.package.golden_results import compare
from segmentation.package.hashes import sha256_of_file
from segmentation.package.package import MODEL_YAML, Package
from segmentation.package.profile_results import (
    UNUSED_SETTINGS,
    CaseMeasurement,
    Dice,
    Loss,
    Measurement,
    ProfileRun,
    store_measurement,
)
from segmentation.package.results_file import now, settings_hash
from segmentation.package.used_profile import with_profile
from segmentation.verification.loss import loss_of

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
PROFILES: tuple[Profile, ...] = ("exact", "equal", "fast")
"""The profiles in the order of their runs; what the others lose is counted against the first one."""
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Case:
    """One image with a file per channel, and the truth if it is known."""

    images: tuple[Path, ...]
    truth: Path | None


def find_cases(paths: Sequence[Path], channels: int, truth: Path | None) -> list[Case]:
    """Find cases among files and folders by nnU-Net's names: ``NAME_0000.nii.gz``, one number per channel.

    A model of one channel takes files of any name.

    Parameters
    ----------
    truth
        A folder of masks ``NAME.nii.gz``, as nnU-Net's ``labelsTr``.

    Raises
    ------
    ConfigInvalid
        If there is no image, a channel is missing, or a case has no truth in the folder.
    """
    files = [
        file
        for path in paths
        for file in (sorted(path.iterdir()) if path.is_dir() else [path])
        if file.name.endswith(ENDINGS)
    ]
    if not files:
        raise ConfigInvalid(f"no image ({', '.join(ENDINGS)}) in {', '.join(map(str, paths))}")
    cases: dict[tuple[Path, str], list[Path]] = {}
    for file in files:
        name = _stem(file)
        cases.setdefault((file.parent, re.sub(r"_\d{4}$", "", name)), []).append(file)
    found = []
    for (folder, name), images in cases.items():
        if len(images) != channels:
            counts = f"the model needs {channels} image(s), one per channel, but there are {len(images)}"
            raise ConfigInvalid(f"{folder / name}: {counts}")
        found.append(Case(tuple(sorted(images)), _truth_of(name, truth) if truth is not None else None))
    return found


def measure(
    package: Package,
    cases: Sequence[Case],
    device: str = "auto",
    on_progress: Callable[[float], None] | None = None,
) -> Measurement:
    """Segment every case in every profile, compare, and keep the outcome with the package.

    Where several backends can run a profile, or several types of numbers, each does, and the quickest is written down.

    Parameters
    ----------
    on_progress
        Called with the fraction done.

    Raises
    ------
    ConfigInvalid, RetryLater, StudyRejected
        If a file cannot be read, or a case cannot be segmented.
    """
    device = resolve_device(device)
    engines = {profile: _engines_of(package, profile, device) for profile in PROFILES}
    measured = []
    for number, case in enumerate(cases):

        def tell(done: float, before: float = number / len(cases)) -> None:
            if on_progress:
                on_progress(before + done / len(cases))

        measured.append(_MeasuredCase.of(engines, case, tell))
    tried = {
        profile: {way: round(sum(case.runs[profile][way].seconds for case in measured), 3) for way in engines[profile]}
        for profile in PROFILES
    }
    quickest = {profile: min(seconds, key=lambda way: seconds[way]) for profile, seconds in tried.items()}
    chosen = {profile: engines[profile][way].backend for profile, way in quickest.items()}
    measurement = Measurement(
        when=now(),
        segnode=VERSION,
        seal=package.seal,
        settings=settings_hash(package.config, UNUSED_SETTINGS),
        device=device,
        processor=kind_of_processor(device),
        backends={profile: backend.name for profile, backend in chosen.items()},
        precisions={profile: backend.precision for profile, backend in chosen.items()},
        tried=tried,
        cases=tuple(case.run_by(quickest) for case in measured),
    )
    store_measurement(package.folder, measurement)
    return measurement


def quickest_profile(measurement: Measurement, dice: float | None) -> Profile:
    """Return the fastest profile that lost no label, or, where less is allowed, whose every Dice is high enough.

    Parameters
    ----------
    dice
        The lowest Dice that is allowed of any label in any case; ``None`` allows no label to differ.
    """

    def is_allowed(profile: Profile) -> bool:
        if profile == "exact" or measurement.mismatches(profile) == 0:
            return True
        lowest = measurement.lowest_dice(profile)
        return dice is not None and lowest is not None and lowest >= dice

    return min(filter(is_allowed, PROFILES), key=measurement.seconds)


def use_profile(package: Package, profile: Profile, dice: float | None) -> None:
    """Write a profile into ``model.yaml``, with the mark that a measurement chose it.

    Parameters
    ----------
    dice
        What was allowed, as for :func:`quickest_profile`.

    Raises
    ------
    ConfigInvalid
        If the file is written in a way in which the line cannot be found or added.
    """
    path = package.folder / MODEL_YAML
    limits = "" if dice is None else f" --dice {dice:g}"
    replace_file(path, with_profile(path.read_text(encoding="utf-8"), profile, limits, path).encode())


Way = str
"""A backend and the type of its numbers, as ``openvino bfloat16``."""


def _engines_of(package: Package, profile: Profile, device: str) -> dict[Way, Engine]:
    """Load a profile in each way that it can run; in torch, ``equal`` would be ``exact``."""
    asked = package.in_profile(profile)
    if profile == "exact" or device == "cuda":
        engines = [Engine(asked, device)]
    else:
        names: tuple[BackendName, ...] = ("openvino",) if profile == "equal" else ("openvino", "torch")
        ways = product(names, precisions_of(asked))
        engines = [Engine(with_backend(asked, name, precision), device) for name, precision in ways]
    return {f"{engine.backend.name} {engine.backend.precision}": engine for engine in engines}


@dataclass(frozen=True)
class _MeasuredCase:
    """One case in every profile and way."""

    images: tuple[str, ...]
    truth: str | None
    voxels: int
    runs: dict[Profile, dict[Way, ProfileRun]]
    losses: dict[Profile, dict[Way, Loss]]

    @classmethod
    def of(
        cls, engines: dict[Profile, dict[Way, Engine]], case: Case, tell: Callable[[float], None]
    ) -> "_MeasuredCase":
        (first,) = engines["exact"].values()
        package = first.package
        volume = read_image(case.images, len(package.manifest.channels))
        truth = read_mask(case.truth, volume.geometry) if case.truth is not None else None
        outputs = package.manifest.labels.outputs.items()
        runs: dict[Profile, dict[Way, ProfileRun]] = {}
        losses: dict[Profile, dict[Way, Loss]] = {}
        every = [(profile, way, engine) for profile in PROFILES for way, engine in engines[profile].items()]
        exact: NDArray[Any] | None = None
        for number, (profile, way, engine) in enumerate(every):

            def told(done: float, before: int = number) -> None:
                tell((before + done) / len(every))

            mask, seconds, peak = _run(engine, volume, told)
            dice: Dice | None = compare(mask, truth, outputs)[0] if truth is not None else None
            run = ProfileRun(seconds=round(seconds, 3), peak_bytes=peak, truth_dice=dice)
            runs.setdefault(profile, {})[way] = run
            if exact is None:
                exact = mask  # the first profile's
            else:
                losses.setdefault(profile, {})[way] = loss_of(mask, exact, outputs, volume.geometry)
        return cls(
            images=tuple(sha256_of_file(path) for path in case.images),
            truth=sha256_of_file(case.truth) if case.truth is not None else None,
            voxels=int(volume.array[0].size),
            runs=runs,
            losses=losses,
        )

    def run_by(self, chosen: dict[Profile, Way]) -> CaseMeasurement:
        """Return the runs in one way for each profile."""
        return CaseMeasurement(
            image_sha256=self.images,
            truth_sha256=self.truth,
            voxels=self.voxels,
            runs={profile: runs[chosen[profile]] for profile, runs in self.runs.items()},
            losses={profile: losses[chosen[profile]] for profile, losses in self.losses.items()},
        )


def _run(engine: Engine, volume: Volume, tell: Callable[[float], None]) -> tuple[NDArray[Any], float, int | None]:
    import torch

    on_gpu = engine.device == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    elif _RESET.exists():
        _RESET.write_text("5", encoding="ascii")
    start = time.perf_counter()
    mask = engine.segment(volume, tell).label_map.array
    seconds = time.perf_counter() - start
    return mask, seconds, int(torch.cuda.max_memory_allocated()) if on_gpu else _peak_rss()


def _peak_rss() -> int | None:
    if not _RESET.exists():
        return None
    return int(_STATUS.read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) * 1024


def _truth_of(name: str, folder: Path) -> Path:
    for ending in ENDINGS:
        if (folder / f"{name}{ending}").is_file():
            return folder / f"{name}{ending}"
    raise ConfigInvalid(f"{folder}: no mask {name} in the folder ({', '.join(ENDINGS)})")


def _stem(path: Path) -> str:
    return next(path.name.removesuffix(ending) for ending in ENDINGS if path.name.endswith(ending))
