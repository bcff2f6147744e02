"""The benchmark of both profiles of a package on cases, which measures the loss and gain of ``fast``."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from core.errors import ConfigInvalid
from core.image_files.reader import read_image, read_mask
from core.model_config import Profile
from core.version import VERSION
from core.volume import Volume
from segmentation.inference.engine import Engine
from segmentation.package.golden_results import compare
from segmentation.package.hashes import sha256_of_file
from segmentation.package.package import Package
from segmentation.package.profile_results import (
    UNUSED_SETTINGS,
    CaseMeasurement,
    Dice,
    Measurement,
    ProfileRun,
    store_measurement,
)
from segmentation.package.results_file import now, settings_hash

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
PROFILES: tuple[Profile, Profile] = ("exact", "fast")
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
    """Segment every case in both profiles, compare, and keep the outcome with the package.

    Parameters
    ----------
    on_progress
        Called with the fraction done.

    Raises
    ------
    ConfigInvalid, RetryLater, StudyRejected
        If a file cannot be read, or a case cannot be segmented.
    """
    engines = {profile: Engine(package.in_profile(profile), device) for profile in PROFILES}
    measured = []
    for number, case in enumerate(cases):

        def tell(done: float, before: float = number / len(cases)) -> None:
            if on_progress:
                on_progress(before + done / len(cases))

        measured.append(_measure_case(engines, case, tell))
    measurement = Measurement(
        when=now(),
        segnode=VERSION,
        seal=package.seal,
        settings=settings_hash(package.config, UNUSED_SETTINGS),
        device=engines["fast"].device,
        cases=tuple(measured),
    )
    store_measurement(package.folder, measurement)
    return measurement


def _measure_case(engines: dict[Profile, Engine], case: Case, tell: Callable[[float], None]) -> CaseMeasurement:
    package = engines["exact"].package
    volume = read_image(case.images, len(package.manifest.channels))
    truth = read_mask(case.truth, volume.geometry) if case.truth is not None else None
    outputs = package.manifest.labels.outputs.items()
    masks, runs = {}, {}
    for number, profile in enumerate(PROFILES):

        def told(done: float, before: int = number) -> None:
            tell((before + done) / len(PROFILES))

        masks[profile], seconds, peak = _run(engines[profile], volume, told)
        dice: Dice | None = compare(masks[profile], truth, outputs)[0] if truth is not None else None
        runs[profile] = ProfileRun(seconds=round(seconds, 3), peak_bytes=peak, truth_dice=dice)
    return CaseMeasurement(
        image_sha256=tuple(sha256_of_file(path) for path in case.images),
        truth_sha256=sha256_of_file(case.truth) if case.truth is not None else None,
        voxels=int(masks["exact"].size),
        mismatches=int((masks["exact"] != masks["fast"]).sum()),
        dice=compare(masks["fast"], masks["exact"], outputs)[0],
        exact=runs["exact"],
        fast=runs["fast"],
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
