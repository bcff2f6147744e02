"""The phantom shows one asymmetric patient, whatever grid, phase or modality is asked for."""

from dataclasses import replace

import numpy as np
import pytest

from core.volume import Geometry
from phantom import LABEL_NAMES, Phantom, make_patient, make_phantom, trunk_geometry

COARSE = (8.0, 4.0, 4.0)


@pytest.fixture(scope="module")
def native() -> Phantom:
    return make_phantom(trunk_geometry(COARSE))


def centre(phantom: Phantom, name: str) -> np.ndarray:
    """Compute a structure's centre of mass in LPS mm."""
    return phantom.geometry.index_to_lps(np.argwhere(phantom.mask(name)).mean(axis=0))


def mean(phantom: Phantom, name: str) -> float:
    return float(phantom.array[phantom.mask(name)].mean())


def test_every_structure_is_there(native: Phantom) -> None:
    assert set(np.unique(native.labels)) == set(LABEL_NAMES)
    assert native.array.dtype == np.int16
    assert native.array.shape == native.labels.shape == native.geometry.shape


def test_organs_are_on_their_sides(native: Phantom) -> None:
    for name in ("liver", "lung_right", "kidney_right", "kidney_tumour", "gallbladder", "vein", "ureter_right"):
        assert centre(native, name)[0] < 0, name
    for name in ("spleen", "stomach", "lung_left", "kidney_left", "heart", "artery", "ureter_left"):
        assert centre(native, name)[0] > 0, name
    assert centre(native, "lung_right")[2] > centre(native, "liver")[2] > centre(native, "bladder")[2]
    assert centre(native, "kidney_right")[1] > centre(native, "liver")[1] > centre(native, "gallbladder")[1]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_no_axis_can_be_flipped_unnoticed(native: Phantom, axis: int) -> None:
    organs = native.labels >= 2
    flipped = np.flip(native.labels, axis)
    agree = ((native.labels == flipped) & organs).sum() / organs.sum()
    assert agree < 0.5


def test_lungs_are_unequal(native: Phantom) -> None:
    assert native.volume_ml("lung_right") > 1.15 * native.volume_ml("lung_left")


def test_ct_values_lie_on_the_right_side_of_the_usual_thresholds(native: Phantom) -> None:
    assert mean(native, "lung_right") < -500
    assert mean(native, "gas") < -500
    assert mean(native, "bone") > 200
    assert 30 < mean(native, "liver") < 90
    assert native.array.min() >= -1024


def test_two_geometries_show_the_same_patient() -> None:
    turn = np.deg2rad(20.0)
    direction = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    axial = trunk_geometry((4.0, 4.0, 4.0), extent=(200.0, 240.0, 320.0))
    oblique = trunk_geometry((5.0, 3.0, 4.0), extent=(80.0, 90.0, 100.0), direction=direction)
    a, b = make_phantom(axial), make_phantom(oblique)
    points = oblique.index_to_lps(np.argwhere(np.ones(oblique.shape, bool)))
    inverse = np.linalg.inv(axial.affine)
    index = np.rint(points @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    assert (index >= 0).all()
    assert (index < axial.shape).all()
    same = a.labels[tuple(index.T)] == b.labels.ravel()
    assert same.mean() > 0.85


def test_voxels_at_the_same_place_have_the_same_label() -> None:
    fine = trunk_geometry((5.0, 4.0, 4.0), extent=(100.0, 120.0, 160.0))
    turned = Geometry(
        (fine.shape[1], fine.shape[0], fine.shape[2]),
        (fine.spacing[1], fine.spacing[0], fine.spacing[2]),
        fine.origin,
        fine.direction[:, [0, 2, 1]],
    )
    np.testing.assert_array_equal(make_phantom(fine).labels, make_phantom(turned).labels.transpose(1, 0, 2))


def test_phases_enhance_the_right_vessels() -> None:
    geometry = trunk_geometry((8.0, 3.0, 3.0), extent=(240.0, 220.0, 260.0), centre=(0.0, 10.0, -60.0))
    phantoms = {p: make_phantom(geometry, phase=p) for p in (None, "A", "P", "D")}
    artery = {p: mean(x, "artery") for p, x in phantoms.items()}
    vein = {p: mean(x, "vein") for p, x in phantoms.items()}
    ureter = {p: mean(x, "ureter_left") for p, x in phantoms.items()}
    assert artery["A"] > vein["A"] + 100
    assert artery["A"] > artery["P"] > artery[None]
    assert vein["P"] > artery["P"]
    assert ureter["D"] > 200 > max(ureter["A"], ureter["P"], ureter[None])
    assert mean(phantoms["A"], "kidney_tumour") > mean(phantoms[None], "kidney_tumour") + 50
    for phantom in phantoms.values():
        np.testing.assert_array_equal(phantom.labels, phantoms[None].labels)


def test_mr_looks_like_mr() -> None:
    geometry = trunk_geometry(COARSE)
    mr, enhanced = make_phantom(geometry, modality="MR"), make_phantom(geometry, modality="MR", phase="A")
    assert mr.array.min() >= 0
    assert mean(mr, "body") > mean(mr, "liver") > mean(mr, "spleen") > mean(mr, "lung_left")
    assert mean(enhanced, "artery") > 3 * mean(mr, "artery")


def test_the_seed_decides_everything() -> None:
    geometry = trunk_geometry(COARSE)
    first, again, other = (make_phantom(geometry, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.array, again.array)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.labels != other.labels).mean() > 0.02


def test_a_given_patient_takes_the_place_of_the_seeds() -> None:
    grid = trunk_geometry((4.0, 2.0, 2.0), extent=(200.0, 200.0, 300.0), centre=(0.0, 30.0, 0.0))
    other = replace(make_patient(3), tumour=12.0, tumour_at=(80.0, 40.0, 10.0), ureter=5.0)
    plain, changed = make_phantom(grid, seed=3), make_phantom(grid, seed=3, patient=other)
    np.testing.assert_array_equal(make_phantom(grid, seed=3, patient=make_patient(3)).array, plain.array)
    assert centre(plain, "kidney_tumour")[0] < -60 < 60 < centre(changed, "kidney_tumour")[0]
    assert changed.volume_ml("ureter_left") > 1.8 * plain.volume_ml("ureter_left")
    np.testing.assert_array_equal(changed.mask("bone"), plain.mask("bone"))
