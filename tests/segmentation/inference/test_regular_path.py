"""A regular series takes the path of before: nothing that is there for irregular stacks runs, and nothing changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from core.irregular_stack import IrregularStack
from dicom_io.images.volume import read_volume
from phantom.series import save_series
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from tests.support.series_helpers import ct_series, one_study, read_with_simpleitk
from tests.support.tiny_models import make_results_folder

COARSE: dict[str, Any] = {
    "spacing": (20.0, 6.0, 6.0),
    "patch_size": (16, 64, 64),
    "mirror_axes": None,
    "labels": {"background": 0, "organ": 1},
}
"""A plan that puts the series into a few patches."""


def test_no_code_of_irregular_stacks_runs_for_a_regular_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_series(ct_series(), tmp_path / "in")
    package = add_package(make_results_folder(tmp_path, "3d_fullres", **COARSE), "tiny", tmp_path / "models")
    assert package.config.geometry == "any"
    (series,) = one_study(tmp_path / "in").series
    volume = read_volume(series, geometry="any")
    labels = Engine(package, "cpu").segment(volume).label_map.array

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("code of irregular stacks ran")

    monkeypatch.setattr(IrregularStack, "__post_init__", fail)
    for module, name in (
        ("segmentation.preprocessing.shown_image", "regular_volume"),
        ("segmentation.labels.stack_labels", "labels_of_stack"),
        ("segmentation.labels.stack_points.StackPoints", "of"),
        ("dicom_io.images.grid.stack", "_even_runs"),
    ):
        monkeypatch.setattr(f"{module}.{name}", fail)
    (again,) = one_study(tmp_path / "in").series
    for rule in ("regular", "any"):
        found = read_volume(again, geometry=rule)  # type: ignore[arg-type]  # both are rules
        assert found.geometry.stack is None
        assert np.array_equal(found.array, volume.array)
        assert np.array_equal(found.geometry.affine, volume.geometry.affine)
    alone = Engine(package, "cpu").segment(found).label_map
    assert np.array_equal(alone.array, labels)
    image = read_with_simpleitk(tmp_path / "in")
    assert np.array_equal(found.array[0], sitk.GetArrayFromImage(image).astype(np.float32))
    assert found.geometry.origin == image.GetOrigin()
    assert found.geometry.spacing == image.GetSpacing()[::-1]
