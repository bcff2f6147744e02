"""The comparison runs, its rows agree, and its statements about them follow from the measurements."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.cases import Case, prepare
from bench.children import Limits, run_child
from bench.peers import RESULTS
from bench.table import BEGIN, END, PAGE, page_with, table_of
from bench.targets import Target, targets_of, warm_s

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MACHINE = {
    **{"cpu": "some", "cores": 2, "threads": 2, "memory_gb": 8.0, "gpu": None, "torch": "2", "amx_bf16": False},
    **{"moved_gb_per_s": 10.0, "single_gflop_per_s": 100.0, "double_gflop_per_s": 50.0},
}


def test_a_small_case_runs_and_its_rows_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.peers", "--quick", "--cases", "quick", "--rows", "stock", "exact"]
    where = ["--results", str(tmp_path / "peers.json"), "--work", str(tmp_path / "work")]
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [*command, *where],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "peers.json").read_text())["cases"]["quick"]["rows"]
    exact, stock = rows["exact"], rows["stock"]
    assert exact["labels_differ"] == 0
    assert exact["planes_equal"] == exact["planes"] == 24
    assert exact["data_sd"] < 1e-3
    assert exact["boundary_share"] == stock["boundary_share"] > 0
    assert [set(run["seconds"]) for run in exact["runs"]] == [
        {"read", "preprocess", "network", "labels", "SEG"},
        {"read", "preprocess", "labels", "SEG"},  # made logits: further runs show what lies around the network
    ]
    assert all(0 < peak < 4 for row in rows.values() for run in row["runs"] for peak in run["peak_gb"].values())
    assert "segnode exact" in done.stdout
    assert "0 of 92160 labels differ" in done.stdout


def test_a_row_that_needs_too_much_memory_is_a_result(tmp_path: Path) -> None:
    assert prepare(Case("small", 3, (8, 24, 24), patch=(8, 16, 16)), tmp_path)
    found = run_child("exact", tmp_path, "cpu", 1, Limits(memory_gb=0.05, seconds=500))
    assert found["ended"] == "out of memory"
    assert found["stage"] == "start"
    assert found["peak_gb"] > 0.05


def test_a_row_that_breaks_says_so_and_takes_no_other_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(Case("small", 3, (8, 24, 24), patch=(8, 16, 16)), tmp_path)
    (tmp_path / "models" / "model" / "manifest.json").unlink()
    found = run_child("exact", tmp_path, "cpu", 1, Limits(memory_gb=4, seconds=500))
    assert (found["ended"], found["stage"]) == ("failed", "start")
    assert "PackageInvalid" in capsys.readouterr().err


def row(preprocess: float, labels: float, peak: float, **more: Any) -> dict[str, Any]:
    """Make a row with a warm run, and a cold one that took twice as long."""
    stages = {"read": 1.0, "preprocess": preprocess, "network": 9.0, "labels": labels, "SEG": 1.0}
    return {
        "runs": [
            {"seconds": {n: 2 * s for n, s in stages.items()}, "peak_gb": {"labels": peak, "SEG": 99.0}, "gpu_gb": {}},
            {"seconds": {n: s for n, s in stages.items() if n != "network"}, "peak_gb": {"labels": 0.1}, "gpu_gb": {}},
        ],
        "boundary_share": 0.04,
        **more,
    }


def test_targets_follow_from_warm_seconds_and_the_largest_peak() -> None:
    rows = {
        "stock": row(10, 90, 6.0),
        "torch": row(5, 15, 10.0),
        "exact": row(1, 3, 2.7, labels_differ=0, voxels=100, data_sd=1e-7, planes_equal=1, planes=1),
    }
    results: dict[str, Any] = {"machine": MACHINE, "cases": {"ct-20": {"what": "a case", "rows": rows}}}
    targets = targets_of(results)
    assert [(t.verdict, t.found) for t in targets[:4]] == [
        ("met", 25.0),
        ("met", 5.0),
        ("NOT MET", pytest.approx(0.45)),
        ("met", pytest.approx(0.27)),
    ]
    assert {t.verdict for t in targets[4:]} == {"not measured"}
    assert "every label equal" in targets[0].what
    assert warm_s(rows["exact"], "network") == 18.0  # there is no warm one
    rows["exact"]["labels_differ"] = 1
    rows["torch"] = {"ended": "out of memory", "stage": "labels", "peak_gb": 7.0, "limit_gb": 7.0}
    assert "LABELS DIFFER" in targets_of(results)[0].what
    assert targets_of(results)[1].verdict == "not measured"
    text = table_of(results)
    assert text.index("targets") < text.index("ct-20: a case")
    assert "out of memory in labels, at 7.0 GB (limit 7.0 GB)" in text
    assert "1 of 100 labels differ" in text


@pytest.mark.parametrize(("sense", "verdict"), [("at least", "NOT MET"), ("at most", "met")])
def test_a_target_has_a_sense(sense: Any, verdict: str) -> None:
    assert Target("something", sense, 3.0, "s", 2.0).verdict == verdict


def test_the_page_shows_what_was_measured() -> None:
    if RESULTS.exists():
        assert PAGE.read_text() == page_with(json.loads(RESULTS.read_text()))
    else:
        assert BEGIN + END in PAGE.read_text()
