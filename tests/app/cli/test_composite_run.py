"""A composite runs by ``segnode run`` as any model does: one SEG with the labels of all of its parts."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread

from app.cli import main as cli
from segmentation.importing.totalsegmentator import add_totalsegmentator
from segmentation.importing.totalsegmentator_labels import STRUCTURES
from tests.app.cli.test_run import write_ct
from tests.support.totalsegmentator_folder import make_totalsegmentator

pytestmark = pytest.mark.slow


def test_a_study_becomes_one_seg_of_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_totalsegmentator(tmp_path / "weights", spacing=(6.0, 4.0, 4.0), patch_size=(32, 64, 64))
    package = add_totalsegmentator(tmp_path / "weights", "total", tmp_path / "models")
    uid = write_ct(tmp_path / "in")
    monkeypatch.setenv("SEGNODE_MODELS", str(tmp_path / "models"))
    arguments = ["run", str(tmp_path / "in"), str(tmp_path / "out"), "--model", "total", "--nifti", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["segnode", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    (model,) = json.loads((tmp_path / "out" / uid / "report.json").read_text())["models"]
    assert (model["name"], model["sha256"]) == ("total", package.sha256)
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / uid / "total_seg.nii.gz")))
    found = set(np.unique(mask).tolist()) - {0}
    parts = [found & {structure.value for structure in part} for part in STRUCTURES.values()]
    assert all(parts), "every part left something that the later ones did not overwrite"
    seg = dcmread(tmp_path / "out" / uid / "total.seg.dcm")
    described = {item.SegmentLabel: item for item in seg.SegmentSequence}
    names = {s.value: s for part in STRUCTURES.values() for s in part}
    assert {names[value].name for value in found} <= set(described)
    for value in found:
        structure = names[value]
        code = described[structure.name].SegmentedPropertyTypeCodeSequence[0]
        assert (code.CodeValue, code.CodingSchemeDesignator) == (structure.type.value, "SCT")
