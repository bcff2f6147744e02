from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from core.volume import Geometry, Volume, stack_channels

OBLIQUE = np.array([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]) @ np.array(
    [[1.0, 0.0, 0.0], [0.0, 0.28, -0.96], [0.0, 0.96, 0.28]]
)


def make_geometry(shape: tuple[int, int, int] = (4, 5, 6)) -> Geometry:
    return Geometry(shape=shape, spacing=(3.0, 0.7, 0.9), origin=(-10.0, 20.0, 5.0), direction=OBLIQUE)


def make_volume(geometry: Geometry, series: str = "1.2") -> Volume:
    slices = geometry.shape[0]
    return Volume(
        array=np.zeros((1, *geometry.shape), np.float32),
        geometry=geometry,
        sop_instance_uids=tuple(f"1.2.{i}" for i in range(slices)),
        frame_numbers=(1,) * slices,
        series_uids=(series,),
        frame_of_reference_uid="1.9",
    )


def test_index_to_lps_equals_simpleitk() -> None:
    geometry = make_geometry()
    image = sitk.Image(list(geometry.shape[::-1]), sitk.sitkInt16)
    image.SetSpacing(geometry.spacing[::-1])
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction.ravel().tolist())
    for index in [(0, 0, 0), (3, 1, 5), (2, 4, 0)]:
        expected = image.TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose(geometry.index_to_lps(index), expected, atol=1e-12)


def test_voxel_volume() -> None:
    assert make_geometry().voxel_volume_mm3 == pytest.approx(3.0 * 0.7 * 0.9)


@pytest.mark.parametrize(
    "change",
    [{"origin": (-10.0, 20.0, 5.1)}, {"spacing": (3.1, 0.7, 0.9)}, {"shape": (4, 5, 7)}, {"direction": np.eye(3)}],
)
def test_another_grid_is_not_the_same_grid(change: dict[str, object]) -> None:
    geometry = make_geometry()
    values = {name: getattr(geometry, name) for name in ("shape", "spacing", "origin", "direction")}
    assert geometry.same_grid(make_geometry())
    assert not geometry.same_grid(Geometry(**{**values, **change}))


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, float("nan"))])
def test_a_spacing_that_is_not_a_length_is_an_error(spacing: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="not a grid"):
        Geometry(shape=(2, 2, 2), spacing=spacing, origin=(0, 0, 0), direction=np.eye(3))


def test_a_geometry_cannot_be_changed_through_its_direction() -> None:
    with pytest.raises(ValueError, match="read-only"):
        make_geometry().direction[0, 0] = 2.0


def test_nnunet_properties_equal_those_of_nnunets_reader(tmp_path: object) -> None:
    from pathlib import Path

    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    geometry = make_geometry()
    image = sitk.GetImageFromArray(np.zeros(geometry.shape, np.float32))
    image.SetSpacing(geometry.spacing[::-1])
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction.ravel().tolist())
    path = Path(str(tmp_path)) / "image.mha"
    sitk.WriteImage(image, str(path))
    _, expected = SimpleITKIO().read_images([str(path)])
    properties = make_volume(geometry).nnunet_properties
    assert properties["spacing"] == pytest.approx(expected["spacing"])
    for key in ("spacing", "origin", "direction"):
        assert properties["sitk_stuff"][key] == pytest.approx(expected["sitk_stuff"][key], abs=1e-6)


def test_channels_are_stacked_on_one_grid_only() -> None:
    first, second = make_volume(make_geometry(), "1.2"), make_volume(make_geometry(), "1.3")
    stacked = stack_channels([first, second])
    assert stacked.array.shape == (2, 4, 5, 6)
    assert stacked.series_uids == ("1.2", "1.3")
    with pytest.raises(ValueError, match="different grids"):
        stack_channels([first, make_volume(make_geometry((4, 5, 7)))])


def test_stacked_channels_keep_what_was_acquired() -> None:
    """Else the wedges of two channels that were made of one tilted stack would count for crop and normalisation."""
    acquired = np.ones(make_geometry().shape, dtype=bool)
    acquired[0, 0] = False
    first = replace(make_volume(make_geometry(), "1.2"), acquired=acquired)
    assert stack_channels([first, make_volume(make_geometry(), "1.3")]).acquired is acquired


def test_a_volume_is_float32_on_its_grid_with_every_slice_named() -> None:
    geometry = make_geometry()
    good = make_volume(geometry)
    with pytest.raises(ValueError, match="not float32"):
        Volume(good.array.astype(np.float64), geometry, good.sop_instance_uids, good.frame_numbers, ("1",), "1.9")
    with pytest.raises(ValueError, match="every slice"):
        Volume(good.array, geometry, good.sop_instance_uids[1:], good.frame_numbers, ("1",), "1.9")
