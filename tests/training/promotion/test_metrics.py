"""Figures of masks, against those of the package ``surface-distance``."""

from pathlib import Path

import numpy as np
import pytest
import surface_distance
from scipy.ndimage import gaussian_filter

from training.promotion.evaluation import CaseFigures, means, unpredicted, worst_cases
from training.promotion.metrics import LabelFigures, compare_masks


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # in surface-distance itself
@pytest.mark.parametrize("seed", range(6))
def test_figures_agree_with_an_independent_implementation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spacing = tuple(rng.uniform(0.7, 3.0, 3))
    smooth = gaussian_filter(rng.standard_normal((24, 30, 28)), 3)
    true = smooth > 0.02
    predicted = np.roll(smooth, rng.integers(-2, 3, 3), (0, 1, 2)) > 0.015
    own = compare_masks(true, predicted, spacing)
    distances = surface_distance.compute_surface_distances(true, predicted, spacing)
    assert own.dice == pytest.approx(surface_distance.compute_dice_coefficient(true, predicted))
    # Its surfaces lie between voxels and are weighted by their area; ours are voxels.
    assert own.hd95_mm == pytest.approx(
        surface_distance.compute_robust_hausdorff(distances, 95.0), abs=float(np.linalg.norm(spacing))
    )
    assert own.true_ml == pytest.approx(true.sum() * np.prod(spacing) / 1000.0)


def test_known_shapes_have_known_distances() -> None:
    true = np.zeros((20, 20, 20), dtype=bool)
    true[4:10, 4:10, 4:10] = True
    moved = np.roll(true, 3, axis=2)
    figures = compare_masks(true, moved, (1.0, 1.0, 2.0))
    assert figures.dice == pytest.approx(0.5)
    assert figures.hd95_mm == pytest.approx(6.0)
    assert compare_masks(true, true, (1.0, 1.0, 2.0)) == LabelFigures(1.0, 0.0, 0.432, 0.432)


def test_an_absent_label_has_no_figure() -> None:
    none = np.zeros((4, 4, 4), dtype=bool)
    one = none.copy()
    one[1, 1, 1] = True
    assert compare_masks(none, none, (1, 1, 1)) == LabelFigures(None, None, 0.0, 0.0)
    assert compare_masks(none, one, (1, 1, 1)) == LabelFigures(0.0, None, 0.0, 0.001)


def test_means_leave_out_what_is_unknown_and_the_worst_come_first() -> None:
    found = [
        CaseFigures("a", "liver", LabelFigures(0.9, 2.0, 1.0, 1.0)),
        CaseFigures("b", "liver", LabelFigures(None, None, 0.0, 0.0)),
        CaseFigures("c", "liver", LabelFigures(0.5, None, 1.0, 0.0)),
    ]
    assert means(found)["liver"] == {
        "dice": pytest.approx(0.7),
        "hd95_mm": 2.0,
        "true_ml": pytest.approx(2 / 3),
        "predicted_ml": pytest.approx(1 / 3),
    }
    assert worst_cases(found) == ["c", "a"]


def test_cases_without_a_prediction_are_named(tmp_path: Path) -> None:
    for name in ("true/a.nrrd", "true/b.nrrd", "predicted/b.nrrd", "predicted/c.nrrd"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert unpredicted(tmp_path / "predicted", tmp_path / "true", ".nrrd") == ["a"]
