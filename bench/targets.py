"""The targets of the comparison, and whether they are met."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.cases import ON_CPU
from bench.meter import STAGES

UP_TO_LABELS = STAGES[:4]
TIMED = ("preprocess", "labels")
Results = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """One line of the list.

    Attributes
    ----------
    what, unit
        Name and unit, in words.
    limit
        The least or the greatest value, as ``sense`` says.
    found
        The measured value; ``None`` if its rows did not run.
    """

    what: str
    sense: Literal["at least", "at most"]
    limit: float
    unit: str
    found: float | None

    @property
    def verdict(self) -> str:
        """``met``, ``NOT MET`` or ``not measured``."""
        if self.found is None:
            return "not measured"
        met = self.found >= self.limit if self.sense == "at least" else self.found <= self.limit
        return "met" if met else "NOT MET"

    @property
    def line(self) -> str:
        """The line of the list."""
        found = "-" if self.found is None else f"{self.found:.2f}"
        return f"  {self.verdict:<13}{found:>8}  {self.sense} {self.limit:g} {self.unit}: {self.what}"


def targets_of(results: Results) -> list[Target]:
    """List every target, in the order in which they were set."""
    stock, torch, exact = (_row(results, "ct-20", row) for row in ("stock", "torch", "exact"))
    differ = exact.get("labels_differ") if exact is not None else None
    named = "preprocess + labels, 20 classes"
    if differ is not None:
        named += f", {differ} LABELS DIFFER" if differ else ", every label equal"
    on_cpu = _row(results, "ct-20", ON_CPU)
    large, warm = _row(results, "large-118", "exact"), _row(results, "large-20", "exact")
    cold, seg = results.get("cold_start"), results.get("seg_writing")
    after = results.get("postprocessing")
    return [
        Target(f"{named}, against nnunetv2", "at least", 20, "times faster", ratio(stock, exact, TIMED)),
        Target(f"{named}, against torch resampling", "at least", 5, "times faster", ratio(torch, exact, TIMED)),
        Target("peak memory, 20 classes, against nnunetv2", "at most", 0.4, "of it", _memory(exact, stock)),
        Target("peak memory, 20 classes, against torch resampling", "at most", 0.3, "of it", _memory(exact, torch)),
        Target("peak memory, 400 slices, 118 classes", "at most", 8.0, "GB", peak_gb(large, STAGES) if large else None),
        Target("GPU: preprocess + labels against the CPU", "at least", 12, "times faster", ratio(on_cpu, exact, TIMED)),
        Target("GPU: DICOM to SEG, 400 slices, warm", "at most", 3.0, "s", total_s(warm) if warm else None),
        Target("cold `segnode run` added to its imports", "at most", 1.0, "s", cold["added_s"] if cold else None),
        Target(
            "SEG of 400 slices and 117 segments, made and written",
            "at most",
            3.0,
            "times numpy.packbits",
            (seg["build_s"] + seg["write_s"]) / seg["packbits_s"] if seg else None,
        ),
        Target("post-processing of a chest, 275 slices", "at most", 3.0, "s", after["total_s"] if after else None),
        *_targets_of_profiles(results),
        *_targets_of_load(results),
    ]


def _targets_of_load(results: Results) -> list[Target]:
    busy, queue = results.get("busy_core"), results.get("node_queue")
    return [
        Target("network beside one busy core", "at most", 1.7, "times as long", busy["slower"] if busy else None),
        Target(
            "two studies in the node's queue, against one after the other",
            "at least",
            1.15,
            "times the studies an hour",
            queue["ratio"] if queue else None,
        ),
    ]


def _targets_of_profiles(results: Results) -> list[Target]:
    demo = {row: _row(results, "crlm-1006", row) for row in ("exact", "equal", "fast")}
    equal_differs = demo["equal"].get("labels_differ") if demo["equal"] is not None else None
    of_equal = "" if equal_differs is None else f", {equal_differs} labels differ"
    stock, whole = _row(results, "ct-20", "stock"), _row(results, "ct-20", "equal")
    full = {row: _row(results, "sts-001-full", row) for row in ("exact", "equal", "fast")}
    return [
        Target(
            f"network, crlm-1006, equal against exact{of_equal}",
            "at least",
            2.5,
            "times faster",
            ratio(demo["exact"], demo["equal"], ("network",)),
        ),
        Target(
            "network, crlm-1006, fast against exact",
            "at least",
            6,
            "times faster",
            ratio(demo["exact"], demo["fast"], ("network",)),
        ),
        *(
            Target(
                f"network of nnU-Net's size, tile of 128 x 128 x 128, {row} against exact",
                "at least",
                limit,
                "times faster",
                ratio(full["exact"], full[row], ("network",)),
            )
            for row, limit in (("equal", 2), ("fast", 4))
        ),
        Target("all, 20 classes, equal against nnunetv2", "at least", 4, "times faster", ratio(stock, whole, STAGES)),
        Target("peak memory, 20 classes, equal against nnunetv2", "at most", 0.35, "of it", _memory(whole, stock)),
    ]


def warm_s(row: Results, stage: str) -> float | None:
    """Compute the median seconds of a stage over the warm runs, or those of the cold run if there is no other."""
    runs = row.get("runs", [])
    times = [run["seconds"][stage] for run in runs[1:] if stage in run["seconds"]]
    cold = [run["seconds"][stage] for run in runs[:1] if stage in run["seconds"]]
    return statistics.median(times or cold) if times or cold else None


def total_s(row: Results) -> float | None:
    """Add up the warm seconds of all stages."""
    times = [warm_s(row, stage) for stage in STAGES]
    return float(sum(time for time in times if time is not None)) if any(times) else None


def peak_gb(row: Results, stages: tuple[str, ...]) -> float:
    """Find the largest memory in GB in some stages of any run, or until the row was ended."""
    if "ended" in row:
        return float(row["peak_gb"])
    return max(float(run["peak_gb"][stage]) for run in row["runs"] for stage in stages if stage in run["peak_gb"])


def _row(results: Results, case: str, row: str) -> Results | None:
    found: Results | None = results.get("cases", {}).get(case, {}).get("rows", {}).get(row)
    return found


def ratio(slow: Results | None, fast: Results | None, stages: tuple[str, ...]) -> float | None:
    """Divide the warm seconds of some stages of two rows; ``None`` if one of them did not run."""
    return _quotient(slow, fast, lambda row: sum(warm_s(row, stage) or 0.0 for stage in stages))


def _memory(ours: Results | None, theirs: Results | None) -> float | None:
    return _quotient(ours, theirs, lambda row: peak_gb(row, UP_TO_LABELS))


def _quotient(one: Results | None, other: Results | None, value: Callable[[Results], float]) -> float | None:
    if one is None or other is None or "runs" not in one or "runs" not in other:
        return None
    return float(value(one) / value(other))
