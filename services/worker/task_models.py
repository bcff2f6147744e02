"""The packages of the tasks, as the aliases name them now."""

from pathlib import Path
from typing import Final

from core.errors import RequestCode, RequestRefused
from core.run_options import RunOptions
from segmentation.backends.processor_kind import kind_of_processor
from segmentation.inference.engine import resolve_device
from segmentation.package.hashes import SUMS
from segmentation.package.open_decisions import forbidding_questions
from segmentation.package.package import MODEL_YAML, Package, load_package
from segmentation.package.package_warnings import log_warnings, warnings_at_loading
from services.aliases import Aliases, check_fits

TOTALSEG: Final = RunOptions(finest_spacing=1.0)
"""Organs need no finer voxels, and the network of totalseg sees none."""

_Stamp = tuple[tuple[int, int, int], ...]


class Packages:
    """The loaded packages: each is loaded at first use, and again after a change.

    A job keeps the package that it began with; one that begins after an alias was changed gets the new one.

    Parameters
    ----------
    aliases
        The package of each task.
    """

    def __init__(self, aliases: Aliases) -> None:
        self._aliases = aliases
        self._known: dict[Path, tuple[_Stamp, Package]] = {}

    def of(self, alias: str) -> Package:
        """Load and verify the package that a task or other alias names now, and log what is to be known of it.

        Raises
        ------
        RequestRefused
            If none is set; ``package_undecided``, with the questions, while one about it is open.
        PackageInvalid
            If it is missing, or its hashes do not match.
        ConfigInvalid
            If it does not take the images of the task.
        """
        folder = self._aliases.package(alias)
        stamp = _stamp_of(folder)
        known = self._known.get(folder)
        if known is None or known[0] != stamp:
            known = stamp, load_package(folder)
            log_warnings(warnings_at_loading(known[1], kind_of_processor(resolve_device("auto"))))
            self._known[folder] = known
        check_fits(alias, known[1])
        _require_decided(known[1])
        return known[1].with_options(TOTALSEG) if alias == "totalseg" else known[1]

    def all(self) -> list[Package]:
        """Return every package that an alias names, those aside that no job may use yet; the log has these."""
        found = []
        for alias in self._aliases.read():
            try:
                found.append(self.of(alias))
            except RequestRefused as refusal:
                if refusal.code is not RequestCode.PACKAGE_UNDECIDED:
                    raise
        return found


def _require_decided(package: Package) -> None:
    # The refusal of the package's own room names folders, which callers are not told.
    if questions := forbidding_questions(package):
        asked = "; ".join(f"{one.key}: {one.text}" for one in questions)
        raise RequestRefused(RequestCode.PACKAGE_UNDECIDED, f"{package.name}: {asked}")


def _stamp_of(folder: Path) -> _Stamp:
    # Weights are sealed by SHA256SUMS, and an engine hashes what it reads.
    stats = [path.stat() for path in (folder / SUMS, folder / MODEL_YAML) if path.exists()]
    return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)
