"""The part of an image that profile ``fast`` shows a network: fewer voxels, and of a CT only the patient; and back.

Voxels are averaged in whole blocks and the box has whole blocks as its sides, so that every label's place on the
image's own grid is exact. Profile ``exact`` shows the whole image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.model_config import ModelConfig, ProfileSettings
from segmentation.boxes import Box
from segmentation.preprocessing.target_grid import Shape3

BODY_HU = -500.0
"""Tissue has higher HU; air, and most of what lies on the patient, lower. The lung is enclosed by tissue."""
LOOKED_AT_MM = 4.0
"""Distance in mm of the voxels among which the body is looked for."""
LEAST_PART_ML = 10.0
"""Smaller parts (ml) are taken as noise; an arm or a hand is larger."""
MARGIN_MM = 25.0
"""Margin in mm around the body: for lung without a wall at the edge of a small field of view, and for context."""

Spacing3 = tuple[float, float, float]


@dataclass(frozen=True)
class FieldOfView:
    """The part of an image that the networks see.

    Attributes
    ----------
    shape
        ``(slice, row, column)`` of the whole image.
    blocks
        Number of voxels that are averaged, along each axis.
    box
        The blocks that are kept.
    """

    shape: Shape3
    blocks: Shape3
    box: Box

    @property
    def is_whole(self) -> bool:
        """True if the networks see the image as it is."""
        return self.blocks == (1, 1, 1) and all(
            part == slice(0, size) for part, size in zip(self.box, self.shape, strict=True)
        )

    def undo(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Put labels of the part back on the whole image's grid, with background around them; contiguous."""
        if self.is_whole:
            return np.ascontiguousarray(labels)
        result = np.zeros(self.shape, labels.dtype)
        inside = [
            slice(part.start * block, min(part.stop * block, size))
            for part, block, size in zip(self.box, self.blocks, self.shape, strict=True)
        ]
        part = result[tuple(inside)]
        for index, plane in enumerate(labels):
            repeated = np.repeat(np.repeat(plane, self.blocks[1], 0), self.blocks[2], 1)
            start = index * self.blocks[0]
            part[start : start + self.blocks[0]] = repeated[: part.shape[1], : part.shape[2]]
        return result


def frame(
    image: NDArray[np.float32], spacing: Sequence[float], config: ModelConfig, settings: ProfileSettings
) -> tuple[NDArray[np.float32], Spacing3, FieldOfView]:
    """Cut an image to the part that a run shows its networks.

    Parameters
    ----------
    image
        ``(channel, slice, row, column)``; not modified.
    spacing
        In mm, in array order.
    config
        The model's; only CT is cut to the body.
    settings
        The settings with which this run shows the image to the networks.

    Returns
    -------
    tuple
        The image (itself, a view, or averaged), its spacing in mm, and its place in the whole image.
    """
    blocks = blocks_of(spacing, image.shape[1:], settings.finest_useful_spacing)
    reduced = average(image, blocks) if blocks != (1, 1, 1) else image
    coarser = spacing[0] * blocks[0], spacing[1] * blocks[1], spacing[2] * blocks[2]
    box = (slice(0, reduced.shape[1]), slice(0, reduced.shape[2]), slice(0, reduced.shape[3]))
    if settings.crop_to_body and config.channels[0].series.modality == ("CT",):
        box = body_box(reduced[0], coarser)
    found = FieldOfView((image.shape[1], image.shape[2], image.shape[3]), blocks, box)
    return (reduced if found.is_whole else reduced[(slice(None), *box)]), coarser, found


def average(image: NDArray[np.float32], blocks: Shape3) -> NDArray[np.float32]:
    """Average every block of voxels; blocks at the far ends may hold fewer voxels.

    Parameters
    ----------
    image
        ``(channel, slice, row, column)``; not modified.
    blocks
        Number of voxels in a block along ``(slice, row, column)``.

    Returns
    -------
    numpy.ndarray
        float32 ``(channel, slice, row, column)``, one voxel for each block.
    """
    starts = [np.arange(0, size, block) for size, block in zip(image.shape[1:], blocks, strict=True)]
    counts = [
        np.minimum(start + block, size) - start
        for start, block, size in zip(starts, blocks, image.shape[1:], strict=True)
    ]
    in_plane = (counts[1][:, None] * counts[2]).astype(np.float32)
    result = np.empty((image.shape[0], *map(len, starts)), np.float32)
    for channel, out in zip(image, result, strict=True):
        for start, count, plane in zip(starts[0], counts[0], out, strict=True):
            total = channel[start : start + count].sum(axis=0)
            np.add.reduceat(np.add.reduceat(total, starts[1], 0), starts[2], 1, out=plane)
            plane /= in_plane * np.float32(count)
    return result


def body_box(image: NDArray[np.float32], spacing: Sequence[float]) -> Box:
    """Find a box around the patient of a CT with a margin; all of an image in which no patient is found.

    The search uses few voxels. Every part of some size counts, so that an arm that lies apart stays in (and so does
    the table).

    Parameters
    ----------
    image
        HU ``(slice, row, column)``.
    spacing
        In mm.
    """
    import cc3d

    steps = [max(1, round(LOOKED_AT_MM / value)) for value in spacing]
    looked_at = image[:: steps[0], :: steps[1], :: steps[2]] > BODY_HU
    voxel_ml = float(np.prod([step * value for step, value in zip(steps, spacing, strict=True)])) / 1000
    parts = cc3d.dust(np.ascontiguousarray(looked_at), threshold=int(LEAST_PART_ML / voxel_ml), connectivity=6)
    box: list[slice] = []
    for axis, (step, value, size) in enumerate(zip(steps, spacing, image.shape, strict=True)):
        used = np.flatnonzero(parts.any(axis=tuple(other for other in range(3) if other != axis)))
        if used.size == 0:
            return slice(0, image.shape[0]), slice(0, image.shape[1]), slice(0, image.shape[2])
        margin = int(np.ceil(MARGIN_MM / value)) + step  # what lies between two voxels that were looked at
        start, stop = int(used[0]) * step - margin, int(used[-1]) * step + 1 + margin
        box.append(slice(max(0, start), min(size, stop)))
    return box[0], box[1], box[2]


def blocks_of(spacing: Sequence[float], shape: Sequence[int], finest: float | None) -> Shape3:
    """Compute how many voxels are averaged along each axis.

    Parameters
    ----------
    spacing, shape
        Spacing in mm, and voxels, along ``(slice, row, column)``.
    finest
        Largest size in mm of an averaged voxel, unless a single voxel is larger; ``None`` averages nothing.
    """
    if finest is None:
        return 1, 1, 1
    sizes = [max(1, min(int(finest / value + 1e-6), size)) for value, size in zip(spacing, shape, strict=True)]
    return sizes[0], sizes[1], sizes[2]
