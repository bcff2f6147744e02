"""Components lost and gained, and changes of volume, counted by hand."""

import numpy as np

from core.volume import Geometry
from segmentation.verification.loss import loss_of

LABELS = (("liver", 1), ("tumour", 2))


def test_components_and_volumes_are_counted() -> None:
    geometry = Geometry((6, 20, 20), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    exact = np.zeros(geometry.shape, np.uint8)
    exact[:, 1:4, 1:4] = 1  # kept, one voxel smaller
    exact[0:2, 10:13, 10:13] = 2  # lost: 18 voxels of 2 mm3
    exact[4, 10, 10] = 2  # lost: one voxel
    found = np.zeros_like(exact)
    found[:, 1:4, 1:4] = 1
    found[0, 1, 1] = 0
    found[5, 18, 18] = 1  # gained
    found[0:2, 10:13, 10:13] = 1  # gained: another label's component
    loss = loss_of(found, exact, LABELS, geometry)
    assert loss.mismatches == 1 + 1 + 1 + 18
    assert (loss.components_lost, loss.components_gained) == (2, 2)
    assert loss.largest_lost_ml == 0.036
    assert loss.volume_change_ml == 0.038
    assert loss.dice == {"liver": round(2 * 53 / (54 + 72), 6), "tumour": 0.0}


def test_equal_masks_lose_nothing() -> None:
    geometry = Geometry((2, 3, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    mask = (np.arange(24).reshape(geometry.shape) % 3).astype(np.uint8)
    loss = loss_of(mask, mask, LABELS, geometry)
    assert loss.model_dump(exclude={"dice"}) == {
        "mismatches": 0,
        "components_lost": 0,
        "components_gained": 0,
        "largest_lost_ml": 0.0,
        "volume_change_ml": 0.0,
    }
