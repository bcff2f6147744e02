"""Label maps of structures: the order of overlaps, and what is not known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import CaseCode, CaseRefused
from training.datasets.compose import compose, from_values
from training.datasets.table import LabelTable, TableLabel

NAMES = ("liver", "tumour", "spleen")


def table(**options: object) -> LabelTable:
    labels = tuple(TableLabel(value=n, name=name) for n, name in enumerate(NAMES, 1))
    return LabelTable(labels=labels, **options)  # type: ignore[arg-type]


def box(*columns: int) -> NDArray[np.bool_]:
    mask = np.zeros((2, 3, 10), np.bool_)
    mask[..., list(columns)] = True
    return mask


@pytest.mark.parametrize("order", [("tumour", "liver"), ("tumour", "spleen", "liver")])
def test_innermost_label_counts_whatever_comes_first(order: tuple[str, ...]) -> None:
    masks = {"liver": box(1, 2, 3), "tumour": box(2), "spleen": box(6)}
    for names in (NAMES, NAMES[::-1]):
        made = compose({name: masks[name] for name in names}, set(NAMES), table(overlaps=order))
        assert made.labels[0, 0].tolist() == [0, 1, 2, 1, 0, 0, 3, 0, 0, 0]


@pytest.mark.parametrize("order", [(), ("tumour", "spleen")])
def test_overlap_without_an_order_is_refused(order: tuple[str, ...]) -> None:
    with pytest.raises(CaseRefused) as refused:
        compose({"liver": box(1, 2), "tumour": box(2)}, set(NAMES), table(overlaps=order))
    assert refused.value.code is CaseCode.LABELS_OVERLAP
    assert "6 voxels" in refused.value.detail


def test_background_is_ignored_where_a_structure_was_not_looked_for() -> None:
    made = compose({"liver": box(1, 2)}, {"liver", "tumour"}, table())
    assert made.labels[0, 0].tolist() == [4, 1, 1, 4, 4, 4, 4, 4, 4, 4]
    assert made.voxels == {"liver": 12, "tumour": 0, "spleen": 0, "ignore": 48}


def test_label_that_a_missing_structure_would_cover_is_ignored_too() -> None:
    masks = {"liver": box(1, 2), "spleen": box(6)}
    made = compose(masks, {"liver", "spleen"}, table(overlaps=("tumour", "liver")))
    assert made.labels[0, 0].tolist() == [4, 4, 4, 4, 4, 4, 3, 4, 4, 4]


def test_case_of_which_nothing_is_known_is_refused() -> None:
    with pytest.raises(CaseRefused) as refused:
        compose({"liver": box(1, 2)}, {"liver"}, table(overlaps=("tumour", "liver")))
    assert refused.value.code is CaseCode.NOTHING_LABELLED


def test_structure_that_was_looked_for_and_is_absent_leaves_background() -> None:
    made = compose({"liver": box()}, set(NAMES), table())
    assert not made.labels.any()


def test_values_are_mapped_and_unknown_ones_counted() -> None:
    values = table(unused_values=(9,))
    assert from_values(np.array([[[0, 1, 3, 9, 5]]]), values, 5).tolist() == [[[0, 1, 3, 0, 4]]]
    with pytest.raises(CaseRefused, match=r"7 \(2 voxels\)"):
        from_values(np.array([[[0, 7, 7]]]), values, None)
