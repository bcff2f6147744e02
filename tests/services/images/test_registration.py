"""A known motion is found and undone."""

import numpy as np
import pytest
import SimpleITK as sitk

from core.cancellation import Cancellation
from core.errors import Cancelled, RequestCode, RequestRefused
from core.volume import Volume
from phantom import make_phantom, trunk_geometry
from services.images.registration import register
from tests.support.tiny_models import volume_of

pytestmark = pytest.mark.slow

GRID = trunk_geometry((8.0, 4.0, 4.0))


@pytest.fixture(scope="module")
def phases() -> tuple[Volume, Volume]:
    """One made patient in the arterial and the portal phase."""
    arterial, portal = (make_phantom(GRID, phase=phase).array.astype(np.float32)[None] for phase in ("A", "P"))
    return volume_of(arterial, GRID), volume_of(portal, GRID)


def moved(volume: Volume, shift: tuple[float, float, float], turn_deg: float) -> Volume:
    """The same, as if the patient had moved by a rigid motion, by SimpleITK."""
    image = sitk.GetImageFromArray(volume.array[0])
    image.SetSpacing(GRID.spacing[::-1])
    image.SetOrigin(GRID.origin)
    centre = GRID.index_to_lps((np.array(GRID.shape) - 1) / 2).tolist()
    motion = sitk.Euler3DTransform(centre, 0.0, 0.0, float(np.radians(turn_deg)), shift)
    array = sitk.GetArrayFromImage(sitk.Resample(image, motion, sitk.sitkLinear, -1024.0))
    return volume_of(array[None].astype(np.float32), GRID)


@pytest.mark.parametrize(
    ("shift", "turn_deg"), [((0.0, 0.0, 0.0), 0.0), ((12.0, -9.0, 6.0), 0.0), ((6.0, 4.0, -8.0), 5.0)]
)
def test_a_known_motion_is_undone(
    shift: tuple[float, float, float], turn_deg: float, phases: tuple[Volume, Volume]
) -> None:
    arterial, portal = phases
    array, note = register(moved(portal, shift, turn_deg), arterial)
    # Away from the faces, where nothing came in from outside.
    inner = (slice(4, -4), slice(12, -12), slice(12, -12))
    error = np.abs(array[0] - portal.array[0])[inner]
    unregistered = np.abs(moved(portal, shift, turn_deg).array[0] - portal.array[0])[inner]
    assert note.startswith("Registered onto the first image: moved by ")
    if any(shift):
        assert error.mean() < 0.35 * unregistered.mean()
    else:
        assert error.mean() < 5.0


def test_the_same_images_give_the_same_bytes(phases: tuple[Volume, Volume]) -> None:
    arterial, portal = phases
    first, again = (register(moved(portal, (8.0, 0.0, 0.0), 2.0), arterial)[0] for _ in range(2))
    assert first.tobytes() == again.tobytes()


def test_a_search_that_is_cancelled_ends(phases: tuple[Volume, Volume]) -> None:
    steps = []

    def is_cancelled() -> bool:
        steps.append(len(steps))
        return len(steps) > 2

    with pytest.raises(Cancelled):
        register(moved(phases[1], (12.0, -9.0, 6.0), 0.0), phases[0], Cancellation(is_cancelled))
    assert len(steps) < 10


def test_images_that_cannot_be_of_one_patient_are_refused(phases: tuple[Volume, Volume]) -> None:
    noise = np.random.default_rng(3).normal(0, 300, GRID.shape).astype(np.float32)[None]
    with pytest.raises(RequestRefused) as caught:
        register(volume_of(noise, GRID), phases[0])
    assert caught.value.code is RequestCode.REGISTRATION_FAILED
