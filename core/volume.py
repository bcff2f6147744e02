"""Geometry and voxels of one image, in the order that every room shares.

Arrays are ``(channel, slice, row, column)`` or ``(slice, row, column)``; lengths are mm; coordinates are DICOM's
patient system, LPS (x to the patient's left, y to the back, z to the head).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.irregular_stack import IrregularStack
from core.study_warning import StudyWarning

GEOMETRY_TOLERANCE = 1e-5
"""Largest absolute difference, in mm and in direction cosines, at which two geometries count as one."""

CHANNEL_TOLERANCE = 1e-2
"""Largest distance at which voxels of two channels are one, in voxels: headers round positions to micrometres."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """The places of an image's voxels in the patient: a regular grid, or parallel slices each at a place of its own.

    Attributes
    ----------
    shape
        Voxels along ``(slice, row, column)``.
    spacing
        Distance of neighbouring voxel centres in mm along ``(slice, row, column)``; of an irregular stack the median
        distance of its slices along the normal.
    origin
        LPS coordinates in mm of the centre of voxel ``(0, 0, 0)``.
    direction
        ``(3, 3)``; the columns are the LPS unit vectors along which the column, row and slice index grow, as in
        SimpleITK's ``GetDirection`` (which lists x, y, z of the array in this order).
    stack
        Each slice's height and in-plane offset where they form no regular grid; ``None`` for a regular grid.

    Raises
    ------
    ValueError
        If an axis has no voxels, a spacing is not a positive finite number, or the stack has another number of slices.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: NDArray[np.float64]
    stack: IrregularStack | None = None

    def __post_init__(self) -> None:
        """Check the grid, and make the direction a read-only float64 array."""
        direction = np.array(self.direction, dtype=np.float64).reshape(3, 3)
        direction.setflags(write=False)
        object.__setattr__(self, "direction", direction)
        if min(self.shape) < 1 or not all(np.isfinite(s) and s > 0 for s in self.spacing):
            raise ValueError(f"not a grid: shape {self.shape} must be at least 1, spacing {self.spacing} mm above 0")
        if self.stack is not None and len(self.stack.heights) != self.shape[0]:
            raise ValueError(f"{self.shape[0]} slices have {len(self.stack.heights)} heights")

    @property
    def is_regular(self) -> bool:
        """True if the voxels form a regular grid."""
        return self.stack is None

    @property
    def affine(self) -> NDArray[np.float64]:
        """``(4, 4)`` matrix from the index ``(slice, row, column, 1)`` to LPS mm, of a regular grid.

        Raises
        ------
        ValueError
            If the stack is irregular: no matrix says where its voxels are.
        """
        if self.stack is not None:
            raise ValueError("an irregular stack has no affine matrix; use index_to_lps and lps_to_index")
        affine = np.eye(4)
        affine[:3, :3] = self.direction[:, ::-1] * np.array(self.spacing)
        affine[:3, 3] = self.origin
        return affine

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm³, of a regular grid; an irregular stack has `slice_volumes_mm3`."""
        if self.stack is not None:
            raise ValueError("the voxels of an irregular stack differ in volume; use slice_volumes_mm3")
        return float(np.prod(self.spacing) * abs(np.linalg.det(self.direction)))

    @property
    def slice_volumes_mm3(self) -> NDArray[np.float64]:
        """Volume in mm³ of a voxel of each slice ``(slice,)``, by the slice's share along the normal."""
        if self.stack is None:
            return np.full(self.shape[0], self.voxel_volume_mm3)
        return self.stack.shares * self.spacing[1] * self.spacing[2]

    @property
    def slice_positions(self) -> NDArray[np.float64]:
        """LPS coordinates in mm ``(slice, 3)`` of the centre of each slice's first voxel."""
        index = np.zeros((self.shape[0], 3))
        index[:, 0] = np.arange(self.shape[0])
        return self.index_to_lps(index)

    def index_to_lps(self, index: ArrayLike) -> NDArray[np.float64]:
        """Convert voxel indices to patient coordinates.

        Parameters
        ----------
        index
            ``(..., 3)`` in ``(slice, row, column)`` order; fractions are allowed, and lie between two slices of an
            irregular stack as between two of a grid.

        Returns
        -------
        numpy.ndarray
            float64 ``(..., 3)``: LPS coordinates in mm.
        """
        places = np.asarray(index, dtype=np.float64)
        if self.stack is None:
            return places @ self.affine[:3, :3].T + self.affine[:3, 3]
        height, offset = self.stack.at(places[..., 0])
        lengths = np.stack([places[..., 2], places[..., 1]], axis=-1) * (self.spacing[2], self.spacing[1])
        return np.concatenate([lengths + offset[..., ::-1], height[..., None]], -1) @ self.direction.T + self.origin

    def lps_to_index(self, position: ArrayLike) -> NDArray[np.float64]:
        """Convert patient coordinates ``(..., 3)`` in mm to voxel indices ``(..., 3)``; undoes `index_to_lps`."""
        away = np.asarray(position, dtype=np.float64) - self.origin
        if self.stack is None:
            return np.asarray(np.linalg.solve(self.affine[:3, :3], away[..., None])[..., 0], dtype=np.float64)
        local = away @ self.direction
        index = self.stack.index_of(local[..., 2])
        _, offset = self.stack.at(index)
        in_plane = (local[..., 1::-1] - offset) / self.spacing[1:]
        return np.concatenate([index[..., None], in_plane], axis=-1)

    def same_grid(self, other: "Geometry", tolerance: float = GEOMETRY_TOLERANCE) -> bool:
        """Return whether both have equal shape and all corner voxels within ``tolerance`` mm of each other.

        Of an irregular stack these are the corners of every slice.
        """
        if self.shape != other.shape:
            return False
        if self.stack is not None or other.stack is not None:
            return self._same_slices(other, tolerance)
        last = np.array(self.shape, dtype=np.float64) - 1
        corners = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)]) * last
        return bool(np.abs(self.index_to_lps(corners) - other.index_to_lps(corners)).max() <= tolerance)

    def _same_slices(self, other: "Geometry", tolerance: float) -> bool:
        corners = np.array([[0, b, c] for b in (0, self.shape[1] - 1) for c in (0, self.shape[2] - 1)], np.float64)
        index = np.repeat(corners[None], self.shape[0], axis=0)
        index[..., 0] = np.arange(self.shape[0])[:, None]
        return bool(np.abs(self.index_to_lps(index) - other.index_to_lps(index)).max() <= tolerance)

    def same_channel_grid(self, other: "Geometry") -> bool:
        """Return whether both count as one for channels of a network: within ``CHANNEL_TOLERANCE`` of a voxel."""
        return self.same_grid(other, CHANNEL_TOLERANCE * min(self.spacing))


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels of one series, or of several stacked on one grid, as nnU-Net's SimpleITK reader would give them.

    Equal to SimpleITK's are the voxels of regular series of CT and MR, rescaled in float64 and cast once, padding
    included, and their grid. Not equal are, on purpose: MONOCHROME1, which stays as stored and rescaled, where ITK's
    reader turns dark and bright over; PET in a unit other than that of the rescaled images (`core.units`); and what
    SimpleITK reads and this program refuses, such as a missing slice, a tilt, a CT without rescaling.

    Attributes
    ----------
    array
        float32 ``(channel, slice, row, column)`` in the unit of the rescaled images (CT: HU).
    geometry
        The grid of every channel.
    sop_instance_uids
        For channel 0, the SOP Instance UID of each slice, in slice order.
    frame_numbers
        For channel 0, the 1-based frame within that instance for each slice; 1 throughout for classic images.
    series_uids
        Series Instance UID of each channel.
    frame_of_reference_uid
        Frame of Reference UID of channel 0.
    warnings
        Observations for the user, e.g. a gap in InstanceNumber; never patient data.
    padding_values
        For each channel, the value in ``array`` that marks voxels outside of the scanner's field of view (of a range
        the first), or ``None`` where the images state none; such voxels keep their values.
    volume_names
        For each channel, what sets its volume apart from the others of its series; empty for a series that is one.
    acquired
        bool ``(slice, row, column)``: the voxels that lie within an acquired slice, in an image that was made of an
        irregular stack; ``None`` where all do.

    Raises
    ------
    ValueError
        If the array is not float32 on the grid, or a slice lacks its SOP Instance UID or frame number.
    """

    array: NDArray[np.float32]
    geometry: Geometry
    sop_instance_uids: tuple[str, ...]
    frame_numbers: tuple[int, ...]
    series_uids: tuple[str, ...]
    frame_of_reference_uid: str
    warnings: tuple[StudyWarning, ...] = ()
    padding_values: tuple[float | None, ...] = ()
    volume_names: tuple[str, ...] = ()
    acquired: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Check that the array lies on the grid and that every slice is named."""
        if self.array.dtype != np.float32 or self.array.shape[1:] != self.geometry.shape:
            raise ValueError(f"array {self.array.dtype} {self.array.shape} is not float32 on {self.geometry.shape}")
        if not len(self.sop_instance_uids) == len(self.frame_numbers) == self.geometry.shape[0]:
            raise ValueError("every slice needs its SOP Instance UID and frame number")

    @property
    def nnunet_properties(self) -> dict[str, Any]:
        """The properties that nnU-Net's ``SimpleITKIO.read_images`` gives for the same image.

        References
        ----------
        nnU-Net v2 ``imageio/simpleitk_reader_writer.py``.
        """
        spacing = [float(s) for s in self.geometry.spacing]
        return {
            "sitk_stuff": {
                "spacing": tuple(spacing[::-1]),
                "origin": tuple(self.geometry.origin),
                "direction": tuple(self.geometry.direction.ravel()),
            },
            "spacing": spacing,
        }


def stack_channels(volumes: Sequence[Volume]) -> Volume:
    """Stack volumes on one grid along the channel axis; slices, acquired voxels and frame of reference are channel 0's.

    Parameters
    ----------
    volumes
        At least one, in channel order; grids count as one by :meth:`Geometry.same_channel_grid`.

    Returns
    -------
    Volume
        All channels, on the geometry of the first volume.

    Raises
    ------
    ValueError
        If the grids differ.
    """
    first = volumes[0]
    if len(volumes) == 1:
        return first
    if not all(first.geometry.same_channel_grid(v.geometry) for v in volumes[1:]):
        raise ValueError("channels lie on different grids")
    return Volume(
        array=np.concatenate([v.array for v in volumes]),
        geometry=first.geometry,
        sop_instance_uids=first.sop_instance_uids,
        frame_numbers=first.frame_numbers,
        series_uids=tuple(uid for v in volumes for uid in v.series_uids),
        frame_of_reference_uid=first.frame_of_reference_uid,
        warnings=tuple(w for v in volumes for w in v.warnings),
        padding_values=tuple(p for v in volumes for p in v.padding_values),
        volume_names=tuple(n for v in volumes for n in v.volume_names),
        acquired=first.acquired,
    )
