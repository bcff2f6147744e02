"""The loss of a mask against another: voxels, Dice, components and volumes."""

from collections.abc import Iterable
from math import prod
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from core.volume import Geometry
from segmentation.package.golden_results import compare
from segmentation.package.profile_results import Loss


def loss_of(found: NDArray[Any], exact: NDArray[Any], labels: Iterable[tuple[str, int]], geometry: Geometry) -> Loss:
    """Compare a mask with that of profile ``exact``.

    Parameters
    ----------
    found, exact
        Masks ``(slice, row, column)`` of one shape.
    labels
        Name and value of each label.
    geometry
        Their grid.
    """
    labels = tuple(labels)
    voxel_ml = prod(geometry.spacing) / 1000
    lost, gained = _components_without(exact, found), _components_without(found, exact)
    changes = [abs(int((found == value).sum()) - int((exact == value).sum())) for _, value in labels]
    return Loss(
        mismatches=int((found != exact).sum()),
        dice=compare(found, exact, labels)[0],
        components_lost=len(lost),
        components_gained=len(gained),
        largest_lost_ml=round(max(lost, default=0) * voxel_ml, 6),
        volume_change_ml=round(max(changes, default=0) * voxel_ml, 6),
    )


def _components_without(mask: NDArray[Any], other: NDArray[Any]) -> list[int]:
    """List the voxels of each component of a label of which the other mask holds no voxel."""
    components, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    kept = set(np.unique(components[mask == other]).tolist())
    return [int(sizes[number]) for number in range(1, count + 1) if number not in kept]
