"""The packages behind the tasks, kept warm as long as an alias names them."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from core.model_manifest import ProfileSettings
from core.volume import Volume
from segmentation.engine import Engine, EngineResult
from segmentation.hashes import SUMS
from segmentation.package import MODEL_YAML, Package, load_package
from services.aliases import Aliases, check_fits
from services.inference import Progress
from services.requests import Task

FINEST_MM: Final = 1.0
"""Of totalseg: organs need no finer voxels, and the network sees none."""

_Stamp = tuple[tuple[int, int, int], ...]


class WarmModels:
    """Loads packages and engines at first use.

    A job keeps the package that it began with; one that begins after an alias was changed gets the new one.

    Parameters
    ----------
    aliases
        What stands behind each task.
    device
        ``auto``, ``cuda`` or ``cpu``.
    """

    def __init__(self, aliases: Aliases, device: str = "auto") -> None:
        self._aliases = aliases
        self._device = device
        self._packages: dict[Path, tuple[_Stamp, Package]] = {}
        self._engines: dict[str, Engine] = {}

    def package(self, task: Task) -> Package:
        """The package that a task's alias names now, verified; loaded again only if it was changed.

        Raises
        ------
        RequestRefused
            If no alias is set.
        PackageInvalid
            If it is missing, or its hashes do not match.
        ConfigInvalid
            If it does not take the images that the task has.
        """
        folder = self._aliases.package(task)
        stamp = _stamp_of(folder)
        known = self._packages.get(folder)
        if known is None or known[0] != stamp:
            known = stamp, load_package(folder)
            self._packages[folder] = known
        check_fits(task, known[1])
        return _no_finer(known[1], FINEST_MM) if task == "totalseg" else known[1]

    def segment(self, package: Package, volume: Volume, on_progress: Progress) -> EngineResult:
        """Run a package on a volume."""
        key = f"{package.sha256} {package.manifest.inference.model_dump_json()}"
        if key not in self._engines:
            self._drop_unused()
            self._engines[key] = Engine(package, self._device)
        return self._engines[key].segment(volume, on_progress)

    def _drop_unused(self) -> None:
        """Forget the engines that no alias names any more."""
        named = set()
        for task in self._aliases.read():
            package = self.package(task)
            named.add(f"{package.sha256} {package.manifest.inference.model_dump_json()}")
        self._engines = {key: engine for key, engine in self._engines.items() if key in named}


def _stamp_of(folder: Path) -> _Stamp:
    # Weights are sealed by SHA256SUMS, and an engine hashes what it reads.
    stats = [path.stat() for path in (folder / SUMS, folder / MODEL_YAML) if path.exists()]
    return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)


def _no_finer(package: Package, finest_mm: float) -> Package:
    """The same package, which looks at no voxels finer than this."""
    inference = package.manifest.inference
    settings = inference.active
    finest = max(finest_mm, settings.finest_useful_spacing or 0.0)
    limited = ProfileSettings(**{**settings.model_dump(), "finest_useful_spacing": finest})
    # What `exact` leaves as it is, is said where the other profile's settings stand.
    limited_inference = inference.model_copy(update={"profile": "fast", "fast": limited})
    return replace(package, manifest=package.manifest.model_copy(update={"inference": limited_inference}))
