"""Two phases on one grid: that of the first, A."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from core.cancellation import Cancellation
from core.errors import ReasonCode, StudyRejected
from core.study_warning import StudyWarning, WarningCode
from core.volume import Volume, stack_channels
from dicom_io.images.grid.geometry import patient_of
from dicom_io.images.volume import combine_channels
from services.images.image_reader import Image
from services.images.registration import register


def on_first_grid(
    images: Sequence[Image],
    *,
    rigid: bool,
    on_other_grid: Literal["refuse", "resample"] = "resample",
    cancellation: Cancellation,
) -> Volume:
    """Stack images on the grid of the first.

    Parameters
    ----------
    images
        Of one patient, one channel each.
    rigid
        Whether the others are registered (moved and turned) onto the first; if not, patient coordinates are trusted.
    on_other_grid
        What happens to images on another grid that are not registered.
    cancellation
        Asked repeatedly while images are registered.

    Raises
    ------
    StudyRejected
        ``mixed_patients`` where the images tell; ``grids_differ`` if one covers too little of the first, or lies in
        another frame of reference and is not to be registered; ``registration_failed``.
    """
    patients = set().union(*(patient_of(image.series) for image in images if image.series is not None))
    if len(patients) > 1:
        raise StudyRejected(ReasonCode.MIXED_PATIENTS, f"The images are of {len(patients)} patients.")
    first, *others = (image.volume for image in images)
    if not rigid:
        return combine_channels([first, *others], on_other_grid)
    return stack_channels([first, *(_registered(other, first, cancellation) for other in others)])


def _registered(moving: Volume, fixed: Volume, cancellation: Cancellation) -> Volume:
    array, detail = register(moving, fixed, cancellation)
    return replace(
        moving,
        array=array,
        geometry=fixed.geometry,
        sop_instance_uids=fixed.sop_instance_uids,
        frame_numbers=fixed.frame_numbers,
        warnings=(*moving.warnings, StudyWarning(WarningCode.REGISTERED, detail, moving.series_uids[0] or None)),
    )
