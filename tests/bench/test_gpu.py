"""The run for a GPU goes through all of its steps, and what fails in it costs its own line only."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.gpu.items import Clock, Setting, measured
from bench.gpu.report import report_of, targets_of

ROOT = Path(__file__).parents[2]
MODULE = """
import json, os, sys, time
for item in sys.argv[4:]:
    if item == "hangs":
        os.fork() or time.sleep(600)
        time.sleep(600)
    if item == "crashes":
        os.abort()
    if item == "fails":
        raise ValueError("no memory is left")
    print("nnU-Net says this", flush=True)
    print(json.dumps({"item": item}), flush=True)
"""


@pytest.mark.slow
def test_every_step_runs_on_the_cpu(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own script
        [str(ROOT / "bench" / "gpu.sh"), "--dry-run", "--results", str(tmp_path / "gpu.json")],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "gpu.json").read_text())
    assert list(results) == [
        *("machine", "prepared", "dicom_to_seg", "table", "parity", "options", "components", "peers")
    ]
    assert all(kind["labels_differ"] == 0 for kind in results["parity"].values())
    assert results["table"]["exact"]["labels_differ"] == 0
    assert results["components"]["components"]["same"]
    assert results["dicom_to_seg"]["large"]["warm"]["all_s"] > 0
    assert {target.verdict for target in targets_of(results)} == {"not measured"}
    assert "FastSegmentator" in done.stdout
    assert done.stdout.count("not measured") == 6


@pytest.mark.peers
def test_an_item_that_fails_crashes_or_hangs_costs_its_own_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some_items.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    items = ("first", "fails", "crashes", "hangs", "last")
    found = dict(measured("some_items", items, Setting("cpu", "tiny", tmp_path), 6, Clock(600)))
    assert found == {
        "first": {"item": "first"},
        "fails": {"failed": "ended with 1: ValueError: no memory is left"},
        "crashes": {"failed": "ended with -6: it said nothing"},
        "hangs": {"failed": "out of time"},
        "last": {"item": "last"},
    }
    late = dict(measured("some_items", items[:2], Setting("cpu", "tiny", tmp_path), 6, Clock(0)))
    assert {figures["failed"] for figures in late.values()} == {"no time was left of 0 s"}


def test_targets_are_those_of_a_gpu_alone() -> None:
    """With figures that would meet or miss each of them."""
    run = {"seconds": {"preprocess": 1.0, "labels": 1.0}, "peak_gb": {"labels": 1.0}, "gpu_gb": {}}
    slow = run | {"seconds": {"preprocess": 13.0, "labels": 13.0}}
    results = {
        "machine": {"cuda": {"gpu": "some", "cpu": "some"}},
        "dicom_to_seg": {
            "large": {"warm": {"all_s": 41.0, "stages_s": {}}, "cold": {"all_s": 50.0}, "ram_gb": 2.0, "gpu_gb": 7.0},
            "small": {"failed": "out of time"},
        },
        "table": {"exact": {"runs": [run]}, "exact-cpu": {"runs": [slow]}},
        "parity": {"2d": {"labels_differ": 3, "stock_differs_from_itself": 2}},
    }
    assert [target.verdict for target in targets_of(results)] == [
        *("NOT MET", "not measured", "met", "met", "met", "NOT MET")
    ]
    results["parity"]["regions"] = {"failed": "ended with 1"}
    assert targets_of(results)[-1].verdict == "not measured"
    results["machine"] = {"cuda": {"failed": "ended with 1: no CUDA"}}
    assert {target.verdict for target in targets_of(results)} == {"not measured"}
    results["table"] = {row: {"failed": "its case could not be prepared"} for row in ("stock", "exact")}
    text = report_of(results)
    assert "small                       out of time" in text
    assert "the machine: ended with 1: no CUDA" in text
