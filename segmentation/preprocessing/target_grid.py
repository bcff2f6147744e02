"""nnU-Net's rules for the target grid: its shape, and the axis of an anisotropic image that is resampled on its own."""

from collections.abc import Sequence

from core.errors import PackageInvalid, ReasonCode, StudyRejected
from segmentation.package.network_spec import Resampling

ANISOTROPY_THRESHOLD = 3.0
"""Ratio of the largest to the smallest spacing above which nnU-Net takes an image as anisotropic."""

Shape3 = tuple[int, int, int]


def resampled_shape(shape: Sequence[int], spacing: Sequence[float], new_spacing: Sequence[float]) -> Shape3:
    """Compute the voxels along each axis after resampling from ``spacing`` to ``new_spacing`` (mm, array order).

    Raises
    ------
    StudyRejected
        ``too_small``, if less than half a voxel of an axis would be left.

    References
    ----------
    nnU-Net v2 ``default_resampling.py``, ``compute_new_shape``.
    """
    sizes = [round(old / new * size) for old, new, size in zip(spacing, new_spacing, shape, strict=True)]
    if min(sizes) < 1:
        raise StudyRejected(
            ReasonCode.TOO_SMALL,
            f"Its content is {tuple(shape)} voxels of {tuple(spacing)} mm; a voxel of the network is "
            f"{tuple(new_spacing)} mm.",
        )
    return sizes[0], sizes[1], sizes[2]


def separate_axis(
    spacing: Sequence[float],
    new_spacing: Sequence[float],
    force: bool | None = None,
    threshold: float = ANISOTROPY_THRESHOLD,
) -> int | None:
    """Find the axis that is resampled apart from the two others, or ``None`` if all are resampled together.

    Parameters
    ----------
    spacing, new_spacing
        In mm, in array order, before and after.
    force
        ``force_separate_z`` of the plans: ``None`` lets the spacings decide.

    References
    ----------
    nnU-Net v2 ``default_resampling.py``, ``determine_do_sep_z_and_axis``.
    """
    if force is False:
        return None
    deciding = spacing
    if force is None and not _is_anisotropic(spacing, threshold):
        if not _is_anisotropic(new_spacing, threshold):
            return None
        deciding = new_spacing
    coarsest = max(deciding)
    # nnU-Net compares the ratio, which is 1 for values that are nearly equal too.
    axes = [axis for axis, value in enumerate(deciding) if coarsest / value == 1]
    # Two coarse axes, as in (0.24, 1.25, 1.25), are no slices that could be taken apart.
    return axes[0] if len(axes) == 1 else None


def _is_anisotropic(spacing: Sequence[float], threshold: float) -> bool:
    return max(spacing) / min(spacing) > threshold


def axis_of(resampling: Resampling, spacing: Sequence[float], new_spacing: Sequence[float]) -> int | None:
    """Call :func:`separate_axis` with a plan's arguments.

    ``resample_data_or_seg_to_shape`` of nnU-Net separates no axis unless the plan says so.
    """
    unless_said = False if resampling.function == "resample_data_or_seg_to_shape" else None
    force = resampling.arguments.get("force_separate_z", unless_said)
    threshold = resampling.arguments.get("separate_z_anisotropy_threshold", ANISOTROPY_THRESHOLD)
    return separate_axis(spacing, new_spacing, None if force is None else bool(force), float(threshold or 0))


def order_of(resampling: Resampling) -> int:
    """Read the order of the splines from a plan's arguments.

    Raises
    ------
    PackageInvalid
        If the order across slices is not 0 (nearest slice); no known model needs another one.
    """
    if int(resampling.arguments.get("order_z") or 0) != 0:
        raise PackageInvalid(f"plans.json: {resampling.function} with order_z other than 0 is not supported")
    return int(resampling.arguments.get("order", 3) or 0)
