"""The loss and gain of each profile, measured on cases and kept beside the package.

As for golden cases, only hashes of the files are kept, and a measurement counts only for the weights and settings with
which it was made, and for the kind of processor on which it was made. One of schema 1, which compared ``fast`` with
``exact`` alone and named no processor, counts for every kind.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from core.backend import BackendName, Precision
from core.frozen import Frozen
from core.model_config import Profile
from core.study_warning import StudyWarning, WarningCode
from segmentation.package.package import Package
from segmentation.package.results_file import Result, read_results, settings_hash, write_results

MEASUREMENTS = "measurements.json"
UNUSED_SETTINGS = {"profile"}
"""Keys of ``inference`` that change no label in any profile."""

Dice = dict[str, float | None]
"""Dice by label name; null if neither mask holds the label."""


class ProfileRun(Frozen):
    """The run of one profile on one case.

    Attributes
    ----------
    seconds
        Time from the image in memory to the labels, with the networks already loaded.
    peak_bytes
        Peak memory of the process in that time, of the GPU if it ran there; null if the system does not report it.
    truth_dice
        Dice against the truth, if there is one.
    """

    seconds: float
    peak_bytes: int | None
    truth_dice: Dice | None


class Loss(Frozen):
    """The labels of one profile on one case against those of ``exact``, before post-processing.

    Attributes
    ----------
    mismatches
        Number of voxels with different labels.
    dice
        Dice of every label.
    components_lost, components_gained
        Connected components (26 neighbours) of a label in one mask, of which the other holds no voxel; null in a
        measurement of schema 1.
    largest_lost_ml
        Volume of the largest lost component.
    volume_change_ml
        Largest change of a label's volume.
    """

    mismatches: int
    dice: Dice
    components_lost: int | None = None
    components_gained: int | None = None
    largest_lost_ml: float | None = None
    volume_change_ml: float | None = None


class CaseMeasurement(Frozen):
    """The comparison of all profiles on one image.

    Attributes
    ----------
    runs
        The run of each profile.
    losses
        The loss of every profile but ``exact``.
    """

    image_sha256: tuple[str, ...]
    truth_sha256: str | None
    voxels: int
    runs: dict[Profile, ProfileRun]
    losses: dict[Profile, Loss]


class Measurement(Result):
    """The results of all cases of one call.

    Attributes
    ----------
    processor
        Kind of the processor (`segmentation.backends.processor_kind`); null, for every kind, in one of schema 1.
    backends
        The backend that was the quickest in each profile, which runs it on this kind of processor.
    precisions
        The type of numbers with which that backend was the quickest: bfloat16 is slower than single precision in some
        convolutions of processors that have units for it. Empty in one that tried no more than one type.
    tried
        Seconds of all cases by profile and by backend and type of numbers.
    """

    segnode: str
    device: str
    processor: str | None = None
    backends: dict[Profile, BackendName] = Field(default={})
    precisions: dict[Profile, Precision] = Field(default={})
    tried: dict[Profile, dict[str, float]] = Field(default={})
    cases: tuple[CaseMeasurement, ...]

    def counts_for(self, processor: str) -> bool:
        """Return whether it was made on such a processor, or before they were told apart."""
        return self.processor in (None, processor)

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The profiles that were compared with ``exact``."""
        return tuple(self.cases[0].losses) if self.cases else ()

    def seconds(self, profile: Profile) -> float:
        """Return the time of all cases together."""
        return sum(case.runs[profile].seconds for case in self.cases)

    def worst_dice(self, profile: Profile) -> Dice:
        """Return the lowest Dice of each label over all cases that hold it."""
        worst: Dice = {}
        for case in self.cases:
            for label, value in case.losses[profile].dice.items():
                known = worst.get(label)
                worst[label] = value if known is None else known if value is None else min(known, value)
        return worst

    def lowest_dice(self, profile: Profile) -> float | None:
        """Return the lowest Dice of any label in any case; ``None`` if no case holds any."""
        return min((value for value in self.worst_dice(profile).values() if value is not None), default=None)

    def mismatches(self, profile: Profile) -> int:
        """Return the number of voxels whose labels differ from those of ``exact``."""
        return sum(case.losses[profile].mismatches for case in self.cases)

    def summary(self) -> dict[Profile, dict[str, Any]]:
        """Return for each profile what `segnode models measure` keeps of it, over all cases."""
        return {profile: self._summary_of(profile) for profile in ("exact", *self.profiles)}

    def _summary_of(self, profile: Profile) -> dict[str, Any]:
        peaks = [case.runs[profile].peak_bytes for case in self.cases]
        known = [peak for peak in peaks if peak is not None]
        found: dict[str, Any] = {
            "backend": self.backends.get(profile),
            "precision": self.precisions.get(profile),
            "seconds": round(self.seconds(profile), 3),
            "peak_bytes": max(known, default=None),
        }
        if profile == "exact":
            return found
        losses = [case.losses[profile] for case in self.cases]
        return found | {
            "mismatches": self.mismatches(profile),
            "lowest_dice": self.lowest_dice(profile),
            "components_lost": _sum_of([loss.components_lost for loss in losses]),
            "components_gained": _sum_of([loss.components_gained for loss in losses]),
            "largest_lost_ml": _largest_of([loss.largest_lost_ml for loss in losses]),
            "volume_change_ml": _largest_of([loss.volume_change_ml for loss in losses]),
        }


class Measurements(Frozen):
    """The whole of ``measurements.json``, newest last."""

    schema_version: Literal[2] = 2
    measurements: tuple[Measurement, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_schema_1(cls, content: Any) -> Any:
        """Read a file of schema 1, whose cases have the two profiles side by side."""
        if not isinstance(content, dict) or content.get("schema_version", 1 if content else 2) != 1:
            return content
        listed = content.get("measurements", ())
        if not isinstance(listed, list):
            return content
        return content | {"schema_version": 2, "measurements": [_upgraded(one) for one in listed]}


def read_measurements(folder: Path) -> Measurements:
    """Read all measurements of a package; there are none if it was never measured.

    Raises
    ------
    PackageInvalid
        If the file is damaged.
    """
    return read_results(folder / MEASUREMENTS, Measurements)


def store_measurement(folder: Path, measurement: Measurement) -> None:
    """Append a measurement; the file is written whole or not at all."""
    known = read_measurements(folder).measurements
    write_results(folder / MEASUREMENTS, Measurements(measurements=(*known, measurement)))


def measurements_of(package: Package) -> tuple[Measurement, ...]:
    """Find the measurements with a package's present weights and settings, the newest of each kind of processor.

    Raises
    ------
    PackageInvalid
        If the file is damaged.
    """
    settings = settings_hash(package.config, UNUSED_SETTINGS)
    fitting = [
        one
        for one in read_measurements(package.folder).measurements
        if (one.seal, one.settings) == (package.seal, settings)
    ]
    newest = {one.processor: one for one in fitting}
    return tuple(one for one in fitting if newest[one.processor] is one)


def was_measured(package: Package, processor: str) -> bool:
    """Return whether the loss of a package's profile is known on such a processor.

    Raises
    ------
    PackageInvalid
        If what was measured is damaged.
    """
    profile = package.inference.profile
    return any(one.counts_for(processor) and profile in one.profiles for one in measurements_of(package))


def measured_backend(package: Package, processor: str) -> tuple[BackendName, Precision | None] | None:
    """Return the backend that was the quickest for a package's profile on such a processor; ``None`` if none was tried.

    Returns
    -------
    tuple
        The backend, and the type of numbers with which it was; ``None`` if no other was tried.

    Raises
    ------
    PackageInvalid
        If what was measured is damaged.
    """
    profile = package.inference.profile
    fitting = [one for one in measurements_of(package) if one.processor == processor]
    if not fitting or profile not in fitting[-1].backends:
        return None
    return fitting[-1].backends[profile], fitting[-1].precisions.get(profile)


def warning_of(package: Package, processor: str) -> StudyWarning | None:
    """Write a warning if the loss of a package's profile has not been measured on such a processor, else ``None``.

    Parameters
    ----------
    package
        A package that is settled: in the profile in which it really runs.

    Raises
    ------
    PackageInvalid
        If what was measured is damaged.
    """
    profile = package.inference.profile
    if profile == "exact" or was_measured(package, processor):
        return None
    detail = (
        f"{package.folder}: the loss of profile {profile} has not been measured with these weights and settings on "
        f"this kind of processor ({processor}); run: segnode models measure {package.folder.name} IMAGES"
    )
    code = WarningCode.FAST_NOT_MEASURED if profile == "fast" else WarningCode.EQUAL_NOT_MEASURED
    return StudyWarning(code, detail, model=package.config.name)


def _upgraded(measurement: Any) -> Any:
    if not isinstance(measurement, dict) or not isinstance(measurement.get("cases"), list):
        return measurement
    return measurement | {"cases": [_upgraded_case(case) for case in measurement["cases"]]}


def _upgraded_case(case: Any) -> Any:
    if not isinstance(case, dict) or not {"exact", "fast", "mismatches", "dice"} <= case.keys():
        return case
    rest: Mapping[str, Any] = {key: value for key, value in case.items() if key in _CASE_OF_SCHEMA_1}
    runs = {profile: case[profile] for profile in ("exact", "fast")}
    return {**rest, "runs": runs, "losses": {"fast": {"mismatches": case["mismatches"], "dice": case["dice"]}}}


_CASE_OF_SCHEMA_1 = ("image_sha256", "truth_sha256", "voxels")


def _sum_of(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _largest_of(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
