"""Images in any axis order reach the network in the order it was trained in, and labels come exactly back."""

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from core.volume import Geometry, Volume
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.package.package import load_package
from segmentation.preprocessing.orientation import reorientation
from tests.support import stock_nnunet as stock
from tests.support.tiny_models import make_directional, make_results_folder, make_volume, volume_of

# Columns: where column, row and slice index grow, in LPS.
AXIAL = np.eye(3)
SAGITTAL = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], dtype=float)
CORONAL = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=float)
AXIAL_FROM_THE_HEAD = np.diag([1.0, 1.0, -1.0])
NIFTI = np.diag([-1.0, -1.0, 1.0])


def rotation(degrees: float, axis: int) -> NDArray[np.float64]:
    """Build a rotation about a patient axis."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = [a for a in range(3) if a != axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


ACQUISITIONS = {
    "axial": AXIAL,
    "sagittal": SAGITTAL,
    "coronal": CORONAL,
    "axial, slices to the feet": AXIAL_FROM_THE_HEAD,
    "oblique axial": rotation(17, 0) @ rotation(11, 2),
    "oblique sagittal": rotation(20, 2) @ rotation(9, 1) @ SAGITTAL,
    "oblique coronal": rotation(-24, 0) @ CORONAL,
}


def blob(direction: NDArray[np.float64], shape: tuple[int, int, int] = (30, 34, 32)) -> Volume:
    """Make a bright ball around the patient's origin, 2 mm voxels, in any acquisition order."""
    geometry = Geometry(shape, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), direction)
    centre = geometry.index_to_lps((np.array(shape) - 1) / 2)
    geometry = Geometry(shape, geometry.spacing, tuple(-centre), direction)
    distance = np.linalg.norm(geometry.index_to_lps(np.moveaxis(np.indices(shape), 0, -1)), axis=-1)
    return volume_of((1000 * np.exp(-((distance / 14) ** 2)))[None].astype(np.float32), geometry)


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
@pytest.mark.parametrize("orientation", ["RAS", "LPS"])
def test_network_sees_the_patient_the_way_it_was_trained(acquisition: str, orientation: str, tmp_path: Path) -> None:
    """A voxel where the ball gets brighter to the patient's right lies on the ball's left, and so on."""
    package = add_package(make_directional(tmp_path), "directional", tmp_path / "models")
    _set_orientation(package.folder, orientation)
    package = load_package(package.folder)
    volume = blob(ACQUISITIONS[acquisition])
    labels = Engine(package, "cpu").segment(volume).label_map
    assert labels.array.shape == volume.geometry.shape
    # In LPS order the array's columns and rows grow to the left and the back, which the names mean for RAS.
    turn = 1 if orientation == "RAS" else -1
    expected = {1: (turn, 0, 0), 2: (-turn, 0, 0), 3: (0, turn, 0), 4: (0, -turn, 0), 5: (0, 0, -1), 6: (0, 0, 1)}
    for value, side in expected.items():
        found = np.argwhere(labels.array == value)
        assert len(found) > 0.01 * labels.array.size
        position = volume.geometry.index_to_lps(found).mean(axis=0)
        assert position @ side > 0.8 * np.linalg.norm(position)
        assert np.linalg.norm(position) > 5


def _set_orientation(folder: Path, orientation: str) -> None:
    path = folder / "model.yaml"
    path.write_text(path.read_text().replace("orientation: RAS", f"orientation: {orientation}"))


def test_wrong_orientation_is_noticed(tmp_path: Path) -> None:
    """The network of these tests does tell: fed as acquired, left and right change places."""
    package = add_package(make_directional(tmp_path), "directional", tmp_path / "models")
    right_order = Engine(package, "cpu").segment(blob(AXIAL)).label_map.array
    _set_orientation(package.folder, "acquired")
    as_acquired = Engine(load_package(package.folder), "cpu").segment(blob(AXIAL)).label_map.array
    # Not all: tiles start elsewhere in a turned image, and the network normalises each tile by itself.
    assert (as_acquired[right_order == 1] == 2).mean() > 0.9
    assert (as_acquired[right_order == 3] == 4).mean() > 0.9


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_labels_equal_those_of_nnunets_reorienting_reader(acquisition: str, tmp_path: Path) -> None:
    """``SimpleITKIOWithReorient`` on nnU-Net's side, on an image without any symmetry."""
    source = make_results_folder(
        tmp_path, "3d_fullres", reader="SimpleITKIOWithReorient", channels=("T1",), mirror_axes=None
    )
    volume = make_volume(direction=ACQUISITIONS[acquisition])
    files = stock.write_images(volume, tmp_path / "images", ".mha")
    package = add_package(source, "tiny", tmp_path / "models")
    ours = Engine(package, "cpu").segment(volume).label_map.array
    # nnU-Net writes the mask as .nrrd whatever it read; both formats keep the geometry in float64.
    theirs = stock.predict(source, files, tmp_path / "out")
    assert np.bincount(theirs.ravel()).min() > 0.01 * theirs.size
    assert int((ours != theirs).sum()) == 0


@pytest.mark.parametrize("orientation", ["RAS", "LPS"])
def test_every_axis_order_is_turned_as_itk_turns_it(orientation: str) -> None:
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            direction = np.zeros((3, 3))
            direction[list(order), range(3)] = signs
            image = SimpleITK.GetImageFromArray(array)
            image.SetDirection((rotation(8, 1) @ rotation(-5, 2) @ direction).ravel().tolist())
            image.SetSpacing((1.0, 2.0, 3.0))
            turned = SimpleITK.DICOMOrient(image, orientation)
            geometry = Geometry((4, 5, 6), (3.0, 2.0, 1.0), image.GetOrigin(), np.array(image.GetDirection()))
            turn = reorientation(geometry, orientation)  # type: ignore[arg-type] # a parameter of two literals
            assert np.array_equal(turn.apply(array), SimpleITK.GetArrayFromImage(turned))
            assert turn.spacing(geometry.spacing) == turned.GetSpacing()[::-1]
            assert np.array_equal(turn.undo(turn.apply(array)), array)


def test_every_turn_can_be_undone_with_channels() -> None:
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    geometry = Geometry((3, 4, 5), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), SAGITTAL)
    turn = reorientation(geometry, "RAS")
    turned = turn.apply(array)
    assert turned.shape == (2, 4, 5, 3)  # sagittal: rows run to the feet, columns to the back, slices to the left
    assert np.array_equal(turn.undo(turned[1]), array[1])
