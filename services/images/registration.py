"""Bring one phase onto another by moving and turning it as a whole.

A patient breathes and shifts between two phases. A rigid motion corrects a part of that; a motion larger than a patient
on a table can make is refused, since a wrong registration is worse than none.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.cancellation import NEVER, Cancellation
from core.errors import Cancelled, RequestCode, RequestRefused
from core.volume import Geometry, Volume

LARGEST_SHIFT_MM: Final = 60.0
LARGEST_TURN_DEG: Final = 15.0
LEAST_CORRELATION: Final = 0.3
"""Correlation of intensities after registration; two phases of a patient lie far above, two body regions below."""

_SEED = 20
"""Seed of the voxels that are compared; equal in every run, in one thread, so that equal images give equal masks."""
_SAMPLES = 20_000
"""Samples of each level; more change the motion by hundredths of a millimetre."""
_SHRINK = (4, 2, 1)


def register(moving: Volume, fixed: Volume, cancellation: Cancellation = NEVER) -> tuple[NDArray[np.float32], str]:
    """Resample a volume onto the grid of another, after the rigid motion under which they share most information.

    Parameters
    ----------
    moving, fixed
        One channel each, LPS mm.
    cancellation
        Asked at each step of the search.

    Returns
    -------
    tuple
        float32 ``(1, slice, row, column)`` on the fixed grid, outside of the moving volume its lowest value; and a
        sentence that states how far it was moved.

    Raises
    ------
    RequestRefused
        ``registration_failed`` if no plausible motion is found.

    References
    ----------
    D. Mattes et al., PET-CT image registration in the chest using free-form deformations, IEEE TMI 22(1), 2003.
    """
    import SimpleITK as sitk

    still, moved = _image(fixed, sitk), _image(moving, sitk)
    transform = _fit(still, moved, sitk, cancellation)
    resampler: Any = sitk.ResampleImageFilter()  # type: ignore[no-untyped-call]  # published without types
    resampler.SetReferenceImage(still)
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetDefaultPixelValue(float(moving.array.min()))
    resampler.SetTransform(transform)
    array: NDArray[np.float32] = sitk.GetArrayFromImage(resampler.Execute(moved)).astype(np.float32, copy=False)
    shift, turn = _motion(transform, fixed.geometry)
    alike = float(np.corrcoef(array[::2, ::2, ::2].ravel(), fixed.array[0, ::2, ::2, ::2].ravel())[0, 1])
    told = f"moved by {shift:.1f} mm and turned by {turn:.1f} degrees"
    if shift > LARGEST_SHIFT_MM or turn > LARGEST_TURN_DEG or not alike >= LEAST_CORRELATION:
        raise RequestRefused(RequestCode.REGISTRATION_FAILED, f"The best fit, {told}, correlates by {alike:.2f}.")
    return array[np.newaxis], f"Registered onto the first image: {told}."


def _fit(still: Any, moved: Any, sitk: Any, cancellation: Cancellation) -> Any:
    method = sitk.ImageRegistrationMethod()
    # The sum of several work units depends on their order.
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    voxels = float(np.prod(still.GetSize()))
    method.SetMetricSamplingPercentagePerLevel([min(1.0, _SAMPLES * n**3 / voxels) for n in _SHRINK], _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 100, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(_SHRINK)
    method.SetSmoothingSigmasPerLevel([4.0, 2.0, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    centre = still.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in still.GetSize()])
    start = sitk.Euler3DTransform()
    start.SetCenter(centre)
    method.SetInitialTransform(start, inPlace=False)
    ended: list[Cancelled] = []

    def step() -> None:
        try:
            cancellation.raise_if_cancelled()
        except Cancelled as error:
            # It cannot be raised through the stack of another language.
            ended.append(error)
            method.StopRegistration()

    method.AddCommand(sitk.sitkIterationEvent, step)
    try:
        transform = method.Execute(still, moved)
    except RuntimeError as error:
        raise RequestRefused(RequestCode.REGISTRATION_FAILED, "The images overlap too little.") from error
    if ended:
        raise ended[0]
    return transform


def _motion(transform: Any, grid: Geometry) -> tuple[float, float]:
    """Return the distance in mm by which the middle of a grid is moved, and the angle in degrees."""
    middle = grid.index_to_lps((np.array(grid.shape) - 1) / 2)
    shift = float(np.linalg.norm(np.array(transform.TransformPoint(middle.tolist())) - middle))
    origin = np.array(transform.TransformPoint([0.0, 0.0, 0.0]))
    turned = np.stack([np.array(transform.TransformPoint(axis)) - origin for axis in np.eye(3).tolist()], axis=1)
    return shift, float(np.degrees(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1))))


def _image(volume: Volume, sitk: Any) -> Any:
    image = sitk.GetImageFromArray(volume.array[0])
    image.SetSpacing(volume.geometry.spacing[::-1])
    image.SetOrigin(volume.geometry.origin)
    image.SetDirection(volume.geometry.direction.ravel().tolist())
    return image
