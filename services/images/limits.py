"""Limits of one job: the size of its images, the number of their files, its time."""

from collections.abc import Sequence
from math import prod
from typing import Final

from pydantic import Field

from core.errors import RequestCode, RequestRefused
from core.frozen import Frozen

VOXEL_BYTES: Final = 4
"""Images are float32 once they are read."""
_GB: Final = 1e9


class Limits(Frozen):
    """Limits beyond which a request is refused; headers and file sizes are checked before a voxel is read."""

    image_gigabytes: float = Field(default=4.0, gt=0, description="one image, decoded: its voxels, 4 bytes each")
    files: int = Field(default=10_000, ge=1, description="in a folder of DICOM, with all that is below it")
    files_gigabytes: float = Field(default=4.0, gt=0, description="the files of one image, as they lie on the disk")
    job_minutes: float = Field(default=60.0, gt=0, le=10_080, description="a job that takes longer has failed")

    def check_voxels(self, shape: Sequence[int], field: str) -> None:
        """Check that an image is small enough to be decoded.

        Parameters
        ----------
        shape
            Voxels along its axes, as its header states.
        field
            The request's field that names it.

        Raises
        ------
        RequestRefused
            ``over_limits``.
        """
        size = VOXEL_BYTES * prod(shape) / _GB
        if size > self.image_gigabytes:
            sizes = " x ".join(map(str, shape))
            detail = f"{field}: {sizes} voxels are {size:.1f} GB; limits.image_gigabytes is {self.image_gigabytes:g}."
            raise RequestRefused(RequestCode.OVER_LIMITS, detail)

    def check_files(self, count: int, size: int, field: str) -> None:
        """Check that an image does not have too many files, or too large ones.

        Parameters
        ----------
        count, size
            Files and folders, and the bytes of them all.
        field
            The request's field that names it.

        Raises
        ------
        RequestRefused
            ``over_limits``.
        """
        if count > self.files:
            detail = f"{field}: more than {self.files} files and folders (limits.files)."
            raise RequestRefused(RequestCode.OVER_LIMITS, detail)
        if size > self.files_gigabytes * _GB:
            detail = f"{field}: its files are more than {self.files_gigabytes:g} GB (limits.files_gigabytes)."
            raise RequestRefused(RequestCode.OVER_LIMITS, detail)
