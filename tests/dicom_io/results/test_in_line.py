"""Pictures of tilted and uneven stacks show a ball as round."""

import numpy as np
import pytest

from core.label_map import LabelMap
from core.model_config import LabelSpec
from core.regular_grid import regular_grid
from core.volume import Volume
from dicom_io.results.in_line import in_line
from dicom_io.results.views import draw_views
from tests.support.stacks import made_stack, points_of

BALL = (LabelSpec(value=1, name="ball", colour=(255, 0, 0)),)
RADIUS_MM = 21.0


@pytest.mark.parametrize("degrees", [0.0, 25.0, -25.0])
@pytest.mark.parametrize("gaps", [[3.0] * 25, [1.5] * 25 + [4.0] * 9], ids=["even", "uneven"])
def test_a_ball_is_round(gaps: list[float], degrees: float) -> None:
    geometry = made_stack(gaps, degrees, in_plane=(60, 64), pixels=(1.2, 1.0))
    grid = regular_grid(geometry)
    mask = (np.linalg.norm(points_of(geometry), axis=-1) < RADIUS_MM).astype(np.uint8)
    away = np.linalg.norm(points_of(grid), axis=-1)
    shown = in_line(mask, geometry)
    nearest = np.hypot(max(gaps) / 2, 1.2)  # half a gap, and half a pixel along both axes
    assert shown[away < RADIUS_MM - nearest].all()
    assert not shown[away > RADIUS_MM + nearest].any()
    count = geometry.shape[0]
    array = np.where(mask, 100, -1000).astype(np.float32)[None]
    volume = Volume(array, geometry, tuple(f"1.2.{n}" for n in range(count)), (1,) * count, ("1.3",), "1.4")
    views = draw_views(volume, LabelMap(mask, geometry, BALL), BALL, "HU")
    for view in views.rows[0].views:
        rows, columns = np.nonzero((np.asarray(view.picture) == (255, 0, 0)).all(axis=-1))
        sides = np.array([np.ptp(rows), np.ptp(columns)]) / views.scale
        assert sides == pytest.approx(2 * RADIUS_MM, abs=2 * nearest), view.position


def test_a_regular_grid_is_shown_as_it_is() -> None:
    array = np.zeros((3, 4, 5), np.uint8)
    assert in_line(array, regular_grid(made_stack([2.0, 2.0], in_plane=(4, 5)))) is array
