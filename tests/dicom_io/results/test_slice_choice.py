"""The choice of slices: those of the largest components, not those with most specks."""

import numpy as np
import pytest

from dicom_io.results import slice_choice
from dicom_io.results.slice_choice import best_slices


def test_specks_do_not_outvote_the_largest_component() -> None:
    labels = np.zeros((10, 30, 30), np.uint8)
    labels[2, 10:14, 10:14] = 1
    labels[7, ::2, ::2] = 1
    assert best_slices(labels, [1])[0] == 2


def test_a_large_label_does_not_outvote_two_small_ones() -> None:
    labels = np.zeros((10, 40, 40), np.uint8)
    labels[2:6, :30, :30] = 1
    labels[5, 32:35, 32:35] = 2
    labels[5, 36:39, 36:39] = 3
    assert best_slices(labels, [1, 2, 3])[0] == 5


def test_only_labels_that_are_shown_count() -> None:
    labels = np.zeros((10, 12, 14), np.uint16)
    labels[2, 1:11, 1:13] = 300
    labels[7, 3:5, 3:5] = 2
    assert best_slices(labels, [2]) == [7, 3, 3]
    assert best_slices(labels, [300]) == [2, 1, 1]


def test_the_middle_is_shown_where_nothing_was_found() -> None:
    assert best_slices(np.zeros((10, 12, 14), np.uint8), []) == [5, 6, 7]
    assert best_slices(np.zeros((10, 12, 14), np.uint8), [3]) == [5, 6, 7]


def test_a_large_box_is_searched_on_a_coarser_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[4:8, 4:8, 4:8] = 1
    labels[20:36, 10:30, 10:30] = 1
    exact = best_slices(labels, [1])
    monkeypatch.setattr(slice_choice, "SEARCH_VOXELS", 4000)
    coarse = best_slices(labels, [1])
    assert exact == [20, 10, 10]
    assert all(abs(a - b) <= 3 for a, b in zip(exact, coarse, strict=True))
