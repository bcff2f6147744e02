"""Post-processing on anisotropic grids, held against nnU-Net's own function and scipy."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from core.label_map import LabelMap
from core.model_config import FillHoles, KeepLargest, LabelSpec, Open, PostprocessingStep, RemoveSmall, Smooth
from core.volume import Geometry
from segmentation.inference.memory_estimate import STEP_BYTES
from segmentation.inference.model_pool import resident_bytes
from segmentation.postprocessing.distances import deeper_than
from segmentation.postprocessing.steps import postprocess

SPACING = (5.0, 0.8, 0.7)
EVERY_NEIGHBOUR = np.ones((3, 3, 3))
RESET = Path("/proc/self/clear_refs")


def made(array: NDArray[np.uint8], spacing: tuple[float, float, float] = SPACING) -> LabelMap:
    geometry = Geometry(array.shape, spacing, (0.0, 0.0, 0.0), np.eye(3))  # type: ignore[arg-type]  # three axes
    labels = tuple(LabelSpec(value=v, name=f"label {v}") for v in range(1, max(4, int(array.max()) + 1)))
    return LabelMap(array, geometry, labels)


def run(array: NDArray[np.uint8], *steps: PostprocessingStep) -> NDArray[np.uint8]:
    before = array.copy()
    result = postprocess(made(array), steps).array
    assert np.array_equal(array, before), "the input was changed"
    assert result.dtype == array.dtype
    return result  # type: ignore[return-value]  # uint8 by the line above


def components(mask: NDArray[np.bool_]) -> int:
    return int(ndimage.label(mask, EVERY_NEIGHBOUR)[1])


def blobs(seed: int, shape: tuple[int, int, int] = (12, 30, 34)) -> NDArray[np.uint8]:
    """Make labels 0 to 3 in many pieces of all sizes, with corner contacts and ties."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.normal(size=(4, *shape)), (0, 0.4, 0.9, 0.9))
    fields[0] += 0.5
    return fields.argmax(0).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("chosen", [(1,), (2, 3), (1, 2, 3)])
def test_keep_largest_equals_nnunet(seed: int, chosen: tuple[int, ...]) -> None:
    from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation

    array = blobs(seed)
    together = remove_all_but_largest_component_from_segmentation(array, list(chosen))
    assert components(np.isin(array, chosen)) > 1
    assert np.array_equal(run(array, KeepLargest(step="keep_largest", labels=chosen, together=True)), together)

    each = array
    for value in chosen:
        each = remove_all_but_largest_component_from_segmentation(each, value)
    assert not np.array_equal(each, array)
    assert np.array_equal(run(array, KeepLargest(step="keep_largest", labels=chosen)), each)


def one_label_at_a_time(
    array: NDArray[np.uint8], step: KeepLargest | RemoveSmall, values: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Clear components as the step says, by scipy, with nothing but whole arrays and one label after the other."""
    result = array.copy()
    groups = [values] if isinstance(step, KeepLargest) and step.together else [(value,) for value in values]
    for group in groups:
        numbers, count = ndimage.label(np.isin(array, group), EVERY_NEIGHBOUR)
        sizes = ndimage.sum_labels(np.ones_like(array), numbers, range(1, count + 1))
        for number, size in enumerate(sizes, start=1):
            if isinstance(step, KeepLargest):
                drop = np.count_nonzero(sizes > size) >= step.components
            else:
                drop = size * np.prod(SPACING) < step.min_volume_mm3
            if drop:
                result[numbers == number] = 0
    return result


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("values", [(1,), (3, 1), (1, 2, 3)])
@pytest.mark.parametrize(
    "step",
    [
        {"step": "keep_largest", "components": 1},
        {"step": "keep_largest", "components": 3},
        {"step": "keep_largest", "components": 2, "together": True},
        {"step": "remove_small", "min_volume_mm3": 30.0},
    ],
    ids=str,
)
def test_labels_taken_in_one_pass_equal_one_label_at_a_time(
    seed: int, values: tuple[int, ...], step: dict[str, object]
) -> None:
    kind = KeepLargest if step["step"] == "keep_largest" else RemoveSmall
    chosen = kind.model_validate(step | {"labels": values})
    scattered = blobs(seed)
    apart = np.zeros_like(scattered)
    apart[:, :10], apart[:, 10:20], apart[:, 20:] = (scattered[:, a:b] == 1 for a, b in ((0, 10), (10, 20), (20, 30)))
    apart[:, 10:20] *= 2
    apart[:, 20:] *= 3
    for array in (scattered, apart):
        assert np.array_equal(run(array, chosen), one_label_at_a_time(array, chosen, values))


def test_keep_largest_keeps_all_of_equal_size_as_nnunet_does() -> None:
    from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation

    array = np.zeros((3, 8, 20), np.uint8)
    array[0, 1:3, 1:3] = array[0, 1:3, 8:10] = 1
    array[1, 3, 3] = 1  # touches the first at a corner only, which makes it the largest
    array[2, 5, 15] = 1
    expected = remove_all_but_largest_component_from_segmentation(array, 1)
    assert np.array_equal(run(array, KeepLargest(step="keep_largest")), expected)
    array[1, 3, 3] = 0
    expected = remove_all_but_largest_component_from_segmentation(array, 1)
    assert int(expected.sum()) == 8
    assert np.array_equal(run(array, KeepLargest(step="keep_largest")), expected)


def test_keep_largest_of_two_components_and_of_no_voxels() -> None:
    array = np.zeros((2, 6, 20), np.uint8)
    array[0, 0, 0:5] = array[0, 0, 7:11] = array[0, 0, 13:15] = 2
    kept = run(array, KeepLargest(step="keep_largest", components=2))
    assert int((kept == 2).sum()) == 9
    assert np.array_equal(run(array, KeepLargest(step="keep_largest", labels=(1,))), array)
    assert not run(np.zeros_like(array), KeepLargest(step="keep_largest", together=True)).any()


def test_remove_small_measures_in_mm3() -> None:
    array = np.zeros((4, 10, 10), np.uint8)
    array[0, 0, 0:3] = 1  # 3 voxels of 2.8 mm³
    array[2, 5, 5:9] = 1
    array[0, 8, 0:3] = 2
    volume = 5.0 * 0.8 * 0.7
    kept = run(array, RemoveSmall(step="remove_small", labels=(1,), min_volume_mm3=3.5 * volume))
    assert int((kept == 1).sum()) == 4
    assert int((kept == 2).sum()) == 3, "a label that is not named stays"
    exact = run(array, RemoveSmall(step="remove_small", min_volume_mm3=4 * volume))
    assert int((exact == 1).sum()) == 4
    assert int((exact == 2).sum()) == 0


@pytest.mark.parametrize("seed", range(3))
def test_fill_holes_equals_scipy_for_one_label(seed: int) -> None:
    array = (blobs(seed) == 0).astype(np.uint8)
    expected = ndimage.binary_fill_holes(array)
    assert int(expected.sum()) > int(array.sum())
    assert np.array_equal(run(array, FillHoles(step="fill_holes")), expected.astype(np.uint8))


def test_fill_holes_leaves_other_labels_and_nested_holes_to_their_own() -> None:
    array = np.zeros((9, 15, 15), np.uint8)
    array[1:8, 1:14, 1:14] = 1
    array[2:7, 3:10, 3:10] = 2
    array[4, 5, 5] = 0  # inside 2, which is inside 1
    array[4, 12, 12] = 0  # inside 1
    filled = run(array, FillHoles(step="fill_holes"))
    assert filled[4, 5, 5] == 2
    assert filled[4, 12, 12] == 1
    assert int((filled != array).sum()) == 2


def test_fill_holes_up_to_a_volume_and_never_at_the_border() -> None:
    array = np.ones((5, 12, 12), np.uint8)
    array[2, 3, 3:5] = 0
    array[2, 8, 3:9] = 0
    array[0, 0, 0] = 0  # open to the outside of the images
    volume = 5.0 * 0.8 * 0.7
    filled = run(array, FillHoles(step="fill_holes", labels=(1,), max_volume_mm3=2 * volume))
    assert filled[2, 3, 3:5].all()
    assert not filled[2, 8, 3:9].any()
    assert filled[0, 0, 0] == 0


def tube(shape: tuple[int, int, int] = (14, 40, 40)) -> NDArray[np.uint8]:
    """Make a thin vessel, one voxel wide and stepping over corners, out of a thick trunk beside an organ."""
    array = np.zeros(shape, np.uint8)
    array[1:13, 4:14, 4:14] = 1
    for step in range(20):
        array[2 + step // 2, 10 + step, 13 + step] = 1
    array[3:12, 22:38, 3:13] = 2
    return array


@pytest.mark.parametrize("sigma_mm", [0.7, 2.0, 6.0])
def test_smoothing_keeps_a_tube_of_one_voxel_in_one_piece(sigma_mm: float) -> None:
    array = tube()
    assert components(array == 1) == 1
    smooth = run(array, Smooth(step="smooth", sigma_mm=sigma_mm))
    assert components(smooth == 1) == 1
    assert smooth[11, 29, 32] == 1, "the vessel's end is there"
    assert np.array_equal(smooth, array) == (sigma_mm != 2.0)  # too narrow to act; wider than all there is


def test_smoothing_without_giving_back_would_cut_the_tube() -> None:
    array = tube()
    sigma = [2.0 / mm for mm in SPACING]
    scores = [ndimage.gaussian_filter((array == v).astype(np.float32), sigma) for v in range(3)]
    assert np.argmax(scores, axis=0)[11, 29, 32] == 0


@pytest.mark.parametrize("seed", range(4))
def test_smoothing_loses_and_splits_no_component(seed: int) -> None:
    array = blobs(seed)
    smooth = run(array, Smooth(step="smooth", sigma_mm=1.5))
    for value in (1, 2, 3):
        pieces, count = ndimage.label(array == value, EVERY_NEIGHBOUR)
        after, _ = ndimage.label(smooth == value, EVERY_NEIGHBOUR)
        for piece in range(1, count + 1):
            left = set(after[pieces == piece].tolist()) - {0}
            assert len(left) == 1, f"label {value} component {piece} became {len(left)}"


def test_smoothing_acts_in_mm_and_smooths() -> None:
    """A ball with noise on its surface comes closer to the ball; volume hardly changes."""
    z, y, x = np.meshgrid(*(np.arange(n) * mm for n, mm in zip((16, 64, 72), SPACING, strict=True)), indexing="ij")
    distance = np.sqrt((z - 38) ** 2 + (y - 25) ** 2 + (x - 25) ** 2)
    ball = distance < 18
    rng = np.random.default_rng(1)
    rough = (distance + rng.normal(scale=1.5, size=ball.shape)) < 18
    rough_array = ndimage.label(rough, EVERY_NEIGHBOUR)[0]
    rough_array = (rough_array == np.bincount(rough_array.ravel())[1:].argmax() + 1).astype(np.uint8)
    smooth = run(rough_array, Smooth(step="smooth", sigma_mm=2.5))
    assert int((smooth != ball).sum()) < 0.5 * int((rough_array != ball).sum())
    assert abs(int(smooth.sum()) - int(ball.sum())) < 0.05 * ball.sum()


def test_smoothing_leaves_other_labels_alone() -> None:
    array = blobs(0)
    smooth = run(array, Smooth(step="smooth", labels=(2,), sigma_mm=1.5))
    assert np.array_equal(smooth == 1, array == 1)
    assert np.array_equal(smooth == 3, array == 3)
    assert not np.array_equal(smooth == 2, array == 2)


def test_steps_run_in_order_on_16_bit_labels() -> None:
    array = np.zeros((3, 10, 10), np.uint16)
    array[1, 1:6, 1:6] = 300
    array[1, 3, 3] = 0
    array[1, 8, 8] = 300
    specs = (LabelSpec(value=300, name="far"),)
    label_map = LabelMap(array, Geometry(array.shape, SPACING, (0.0, 0.0, 0.0), np.eye(3)), specs)
    same = postprocess(label_map, ())
    assert same is label_map
    result = postprocess(label_map, (KeepLargest(step="keep_largest"), FillHoles(step="fill_holes")))
    assert result.array.dtype == np.uint16
    assert result.array[1, 8, 8] == 0
    assert result.array[1, 3, 3] == 0, "open towards the neighbouring slices"


@pytest.mark.parametrize("radius", [1.0, 2.9])
def test_open_equals_scipys_opening_with_a_ball(radius: float) -> None:
    """Inside the image, where the two treat its faces alike."""
    rng = np.random.default_rng(5)
    array = np.zeros((30, 40, 44), dtype=np.uint8)
    array[8:-8, 8:-8, 8:-8] = ndimage.gaussian_filter(rng.normal(size=(14, 24, 28)), 1.5) > 0
    reach = [int(radius // s) for s in (1.5, 0.8, 0.7)]
    axes = np.meshgrid(*(np.arange(-n, n + 1) * s for n, s in zip(reach, (1.5, 0.8, 0.7), strict=True)), indexing="ij")
    ball = np.sqrt(sum(axis**2 for axis in axes)) <= radius
    expected = ndimage.binary_opening(array, ball).astype(np.uint8)
    result = postprocess(made(array, (1.5, 0.8, 0.7)), (Open(step="open", radius_mm=radius),)).array
    assert 0 < expected.sum() < array.sum()
    assert np.array_equal(result, expected)


def test_open_removes_a_rim_keeps_a_block_at_the_images_face_and_touches_no_other_label() -> None:
    array = np.zeros((10, 60, 60), dtype=np.uint8)
    array[:, 30:, 30:] = 1
    array[:, 2:4, :50] = 1
    array[3, 10:12, :20] = 2
    result = run(array, Open(step="open", labels=(1,), radius_mm=3.0))
    assert not (result[:, 2:4] == 1).any()
    assert np.array_equal(result == 2, array == 2)
    block = array[:, 30:, 30:] == 1
    assert (result[:, 30:, 30:] == 1)[block].mean() > 0.99
    assert (result[0, 34:, 34:] == 1).all()


def test_open_leaves_a_label_that_fills_the_image() -> None:
    array = np.ones((4, 10, 10), dtype=np.uint8)
    assert np.array_equal(run(array, Open(step="open", radius_mm=50.0)), array)


@pytest.mark.parametrize("most_columns", [0, 4096])
@pytest.mark.parametrize("depth", [0.4, 3.0, 11.0, 200.0])
def test_depths_are_those_of_the_whole_mask(depth: float, most_columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segmentation.postprocessing.distances.MOST_COLUMNS", most_columns)
    monkeypatch.setattr("segmentation.postprocessing.distances.VOXELS_AT_ONCE", 1)
    mask = blobs(3, (50, 30, 34)) > 0
    mask[20:] |= ndimage.binary_dilation(mask[20:], iterations=4)
    mask[:9] = True  # parts without a voxel outside
    expected = ndimage.distance_transform_edt(mask, sampling=SPACING) > depth
    assert 0 < expected.sum() < mask.sum() or depth in (0.4, 200.0)
    assert np.array_equal(deeper_than(mask, depth, SPACING), expected)


@pytest.mark.skipif(not RESET.exists(), reason="the kernel keeps no peak of memory that can be reset")
@pytest.mark.parametrize(
    "step",
    [
        KeepLargest(step="keep_largest"),
        RemoveSmall(step="remove_small", min_volume_mm3=1e5),
        FillHoles(step="fill_holes"),
        Open(step="open", radius_mm=2.0),
        Smooth(step="smooth", sigma_mm=1.0),
    ],
    ids=lambda step: str(step.step),
)
def test_step_keeps_to_the_memory_that_a_study_has_reserved(
    step: PostprocessingStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segmentation.postprocessing.distances.VOXELS_AT_ONCE", 1)
    array = np.zeros((240, 140, 140), np.uint8)
    array[:, 5:-5, 5:-5] = 1
    array[40:200, 40:90, 40:120] = 0
    array[45:195, 45:85, 45:115] = 2
    array[:, 1, 1:-1] = array[:, -2, 1:-1] = 2  # a rim, which makes the box as large as the image
    postprocess(made(array[:20], (1.5, 1.5, 1.5)), (step,))  # what the step loads is no part of it
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = resident_bytes() - array.nbytes
    RESET.write_text("5")
    postprocess(made(array, (1.5, 1.5, 1.5)), (step,))
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    measured = (peak - before) / array.size
    assert measured < STEP_BYTES[step.step], f"{measured:.1f} bytes for each voxel"
