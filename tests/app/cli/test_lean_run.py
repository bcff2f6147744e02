"""Modules that a whole run loads, from DICOM to SEG: nothing of nnU-Net, no second image library, tables or plots."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import write_series
from tests.support.node_process import ROOT

pytestmark = pytest.mark.slow

HEAVY = ("nnunetv2", "batchgenerators", "pandas", "SimpleITK", "matplotlib")
PROGRAM = """
import json, sys
from app.run_folder import run_folder
from pathlib import Path

code = run_folder(Path(sys.argv[1]), Path(sys.argv[2]), ["demo"], device="cpu")
print(json.dumps([code, [name for name in sys.argv[3:] if name in sys.modules]]))
"""


def test_a_run_of_the_demo_model_loads_nothing_of_training(tmp_path: Path) -> None:
    geometry = trunk_geometry((10.0, 6.0, 6.0), extent=(120.0, 240.0, 300.0))
    write_series(make_phantom(geometry, phase="P"), tmp_path / "in")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "in"), str(tmp_path / "out"), *HEAVY]
    environment = {name: value for name, value in os.environ.items() if name != "SEGNODE_MODELS"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 - our own interpreter and program text
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]
