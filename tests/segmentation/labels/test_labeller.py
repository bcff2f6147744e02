"""Labels against nnU-Net's own export, on every voxel."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from numpy.typing import NDArray

from core.errors import PackageInvalid
from segmentation.labels import labeller as labels
from segmentation.labels.label_handling import Decision, LargestLogit, RegionsInOrder, region_threshold
from segmentation.labels.labeller import Labeller
from segmentation.preprocessing.target_grid import Shape3, separate_axis
from tests.support.made_logits import anatomy_logits, random_logits

Spacing = tuple[float, float, float]
ISOTROPIC: Spacing = (1.0, 1.0, 1.0)


def stock_labels(
    logits: torch.Tensor, shape: Shape3, spacing: Spacing, new_spacing: Spacing, manager: LabelManager, order: int = 1
) -> NDArray[np.integer]:
    """Label by nnU-Net's own resampling and decision."""
    resampled = resample_data_or_seg_to_shape(
        logits.clone(), shape, spacing, new_spacing, is_seg=False, order=order, order_z=0, force_separate_z=None
    )
    return np.asarray(manager.convert_logits_to_segmentation(resampled))


def our_labels(
    logits: torch.Tensor, shape: Shape3, axis: int | None, decision: Decision, order: int = 1
) -> torch.Tensor:
    labeller = Labeller(logits.shape[1:], shape, decision, axis, order)
    result = torch.full(shape, 99)
    for slab in labeller.slabs(logits.device):
        result[slab.target] = labeller.label(logits[:, slab.source], slab).long()
    return result


def compare(
    logits: torch.Tensor,
    shape: Shape3,
    spacing: Spacing = ISOTROPIC,
    new_spacing: Spacing = ISOTROPIC,
    regions: tuple[int, ...] | None = None,
    order: int = 1,
) -> None:
    outputs = len(logits)
    if regions:
        named: dict[str, object] = {f"r{i}": list(range(i + 1, outputs + 1)) for i in range(outputs)}
        manager = LabelManager({"background": 0, **named}, list(regions))
        decision: Decision = RegionsInOrder(regions)
    else:
        manager = LabelManager({"background": 0, **{str(i): i for i in range(1, outputs)}}, None)
        decision = LargestLogit(outputs)
    before = logits.clone()
    theirs = stock_labels(logits, shape, spacing, new_spacing, manager, order)
    ours = our_labels(logits, shape, separate_axis(spacing, new_spacing), decision, order)
    assert torch.equal(logits, before)
    assert np.array_equal(ours.numpy(), theirs), f"{int((ours.numpy() != theirs).sum())} of {theirs.size} differ"


@pytest.mark.parametrize("make", [random_logits, anatomy_logits])
@pytest.mark.parametrize("classes", [2, 3, 20, 60])
@pytest.mark.parametrize(
    ("old", "new"), [((16, 19, 18), (16, 37, 35)), ((15, 14, 13), (22, 25, 31)), ((15, 24, 26), (9, 17, 12))],
    ids=["in plane", "finer", "coarser"],
)  # fmt: skip
def test_every_voxel_equals_nnunet(make, classes: int, old: Shape3, new: Shape3) -> None:  # type: ignore[no-untyped-def]  # one of two functions above
    compare(make(classes, old), new)


@pytest.mark.parametrize(
    ("old", "new", "spacing", "new_spacing"),
    [
        ((8, 20, 22), (8, 41, 40), (5.0, 1.6, 1.6), (5.0, 0.8, 0.8)),
        ((8, 20, 22), (13, 31, 30), (5.0, 1.6, 1.6), (3.0, 1.1, 1.1)),
        ((20, 9, 22), (33, 7, 30), (1.0, 5.0, 1.1), (0.6, 6.5, 0.8)),
        ((14, 18, 9), (9, 25, 20), (0.8, 0.8, 5.0), (1.2, 0.6, 2.2)),
        ((9, 18, 17), (9, 18, 17), (5.0, 1.0, 1.0), (5.0, 1.0, 1.0)),
    ],
    ids=["thick slices", "more slices", "axis 1", "axis 2", "no change"],
)
def test_slices_that_are_interpolated_in_plane_only(
    old: Shape3, new: Shape3, spacing: Spacing, new_spacing: Spacing
) -> None:
    compare(anatomy_logits(5, old), new, spacing, new_spacing)
    compare(random_logits(3, old), new, spacing, new_spacing)


@given(
    old=st.tuples(*[st.integers(1, 14)] * 3),
    new=st.tuples(*[st.integers(1, 20)] * 3),
    classes=st.integers(2, 6),
    seed=st.integers(0, 99),
    anisotropic=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_grid(old: Shape3, new: Shape3, classes: int, seed: int, anisotropic: bool) -> None:
    spacing = (5.0, 1.0, 1.0) if anisotropic else ISOTROPIC
    compare(random_logits(classes, old, seed), new, spacing, spacing)


@pytest.mark.parametrize("order", [0, 1])
def test_order_of_the_plans_is_kept(order: int) -> None:
    compare(random_logits(4, (7, 12, 11)), (9, 20, 8), order=order)


@pytest.mark.parametrize("regions", [(1, 2, 3), (3, 1, 2), (2, 2, 300)])
@pytest.mark.parametrize(("old", "new"), [((12, 14, 15), (12, 31, 29)), ((12, 14, 15), (17, 9, 22))])
def test_regions_equal_nnunet(regions: tuple[int, ...], old: Shape3, new: Shape3) -> None:
    compare(anatomy_logits(3, old), new, regions=regions)
    compare(random_logits(3, old), new, regions=regions)


def test_regions_around_the_threshold_equal_nnunet() -> None:
    """Logits of a few of the smallest half-precision numbers: sigmoid of the smallest is 0.5 in single precision."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 6, (3, 9, 10, 11)).astype(np.int16) | rng.choice([0, -32768], (3, 9, 10, 11)).astype(
        np.int16
    )
    tiny = torch.from_numpy(bits).view(torch.half)
    assert region_threshold() > float(tiny[tiny > 0].min())
    compare(tiny, (9, 21, 20), regions=(1, 2, 3))


def test_ties_go_to_the_lower_class_as_in_nnunet() -> None:
    """Few different values, so that classes are equal at many corners and after rounding at many voxels."""
    rng = np.random.default_rng(0)
    for scale in (1.0, 1000.0, 2.0**-24):
        steps = torch.from_numpy(rng.integers(-2, 3, (4, 9, 10, 11)) * scale).half()
        compare(steps, (13, 21, 20))
        compare(steps, (9, 20, 22))


def test_roundings_that_decide_equal_nnunet() -> None:
    """Two classes a step or two of half precision apart everywhere: rounding decides nearly every voxel."""
    base = anatomy_logits(1, (12, 13, 14))[0]
    near = base.view(torch.int16) + torch.from_numpy(np.random.default_rng(0).integers(-2, 3, base.shape)).to(
        torch.int16
    )
    logits = torch.stack([base, near.view(torch.half), base - 5])
    compare(logits, (12, 25, 27))
    compare(logits, (19, 25, 9))


def test_equal_logits_everywhere() -> None:
    compare(torch.zeros((3, 5, 6, 7), dtype=torch.half), (5, 11, 12))
    compare(torch.full((3, 5, 6, 7), -65504.0, dtype=torch.half), (5, 11, 12))


def test_many_classes() -> None:
    compare(anatomy_logits(140, (6, 8, 9)), (6, 15, 14))


def test_slabs_and_parts_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = anatomy_logits(5, (20, 21, 22))
    shape = (31, 37, 35)
    whole = our_labels(logits, shape, None, LargestLogit(5))
    for name, size in (("LOGITS_AT_ONCE", 900), ("DECIDED_AT_ONCE", 300), ("CELLS_AT_ONCE", 70)):
        monkeypatch.setitem(getattr(labels, name), "cpu", size)
    labeller = Labeller(logits.shape[1:], shape, LargestLogit(5))
    slabs = list(labeller.slabs(logits.device))
    assert len(slabs) == 6
    assert max(slab.source.stop - slab.source.start for slab in slabs) < 7
    assert torch.equal(our_labels(logits, shape, None, LargestLogit(5)), whole)


@pytest.mark.parametrize("decision", [LargestLogit(3), RegionsInOrder((1, 2, 3))])
@pytest.mark.parametrize("bad", [float("inf"), -float("inf"), float("nan")])
@pytest.mark.parametrize("output", [0, 2])
def test_logits_that_are_not_finite_are_refused(decision: Decision, bad: float, output: int) -> None:
    logits = random_logits(3, (4, 5, 6))
    logits[output, 2, 3, 4] = bad
    with pytest.raises(PackageInvalid, match="overflow"):
        our_labels(logits, (4, 9, 9), None, decision)
