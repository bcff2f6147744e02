"""The phantom models were trained on the patients of their recipes, and on none that is held out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phantom import LABEL_NAMES, make_patient, make_phantom, trunk_geometry
from training.recipes.evaluate_tasks import held_out_scans
from training.recipes.made_patients import TRAINED_FROM, draw_patient, sha256_of
from training.recipes.nnunet import Dataset, describe_dataset
from training.recipes.plans import small_plans
from training.recipes.task_recipes import RECIPES
from training.recipes.tasks import Task, case_entry

MODELS = Path(__file__).parents[3] / "models"
MOST_BYTES = 6_000_000
SHIPPED = tuple(Task)


def shipped(task: Task) -> dict[str, Any]:
    [path] = (MODELS / f"{task}-phantom").rglob("training_cases.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.mark.parametrize("task", SHIPPED)
def test_shipped_list_holds_the_patients_of_the_recipe(task: Task) -> None:
    """Equal to what the recipe draws now, and one case equal in hash to what is made now."""
    cases = shipped(task)["cases"]
    patients = list(RECIPES[task].patients())
    fields = json.loads(json.dumps([case_entry(name, patient, validates) for name, patient, validates in patients]))
    assert [{key: case[key] for key in ("name", "use", "patient")} for case in cases] == fields
    smallest = min(range(len(patients)), key=lambda i: np.prod(patients[i][1].geometry.shape))
    phantom = patients[smallest][1].phantom(0)
    assert cases[smallest]["labels_sha256"] == sha256_of(RECIPES[task].truth(phantom))


@pytest.mark.parametrize("task", SHIPPED)
def test_no_held_out_patient_was_seen(task: Task) -> None:
    seeds = {case["patient"]["seed"] for case in shipped(task)["cases"]}
    assert min(seeds) >= TRAINED_FROM
    assert not seeds & {seed for seed, *_ in held_out_scans(task, RECIPES[task])}


@pytest.mark.parametrize("task", SHIPPED)
def test_weights_are_small(task: Task) -> None:
    weights = list((MODELS / f"{task}-phantom").rglob("*.safetensors"))
    assert len(weights) == 1
    assert weights[0].stat().st_size <= MOST_BYTES


def test_no_two_tasks_share_a_patient_and_names_are_unique() -> None:
    seeds = [patient.seed for recipe in RECIPES.values() for _, patient, _ in recipe.patients()]
    assert len(set(seeds)) == len(seeds)
    assert all(sum(validates for *_, validates in recipe.patients()) == 2 for recipe in RECIPES.values())


def test_a_held_out_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="held out"):
        draw_patient(TRAINED_FROM - 1, ("P",), (2.0, 2.0), (0.0, 0.0))


def test_a_patient_is_drawn_from_the_seed_and_differs_in_more_than_the_seeds_anatomy() -> None:
    drawn = [draw_patient(seed, ("A", "P"), (1.0, 2.0), (-50.0, 50.0)) for seed in range(1900, 1930)]
    assert drawn[0] == draw_patient(1900, ("A", "P"), (1.0, 2.0), (-50.0, 50.0))
    assert len({patient.spacing for patient in drawn}) == len(drawn)
    assert all(1.0 <= step <= 2.0 for patient in drawn for step in patient.spacing)
    left = [patient for patient in drawn if patient.tumour_at[0] > 0]
    usual = [patient for patient in drawn if patient.tumour_at == make_patient(0).tumour_at]
    assert min(len(left), len(usual)) >= 4


def test_channels_have_noise_of_their_own_and_move_by_their_shift() -> None:
    patient = draw_patient(1907, ("A", "P"), (4.0, 5.0), (0.0, 0.0))
    phantoms = [patient.phantom(channel) for channel in (0, 1)]
    noises = [
        patient.image(channel, p) - p.array * np.float32(patient.scale) - np.float32(patient.offset)
        for channel, p in enumerate(phantoms)
    ]
    assert np.std(noises[0]) == pytest.approx(patient.noise, rel=0.02)
    assert abs(np.corrcoef(noises[0].ravel(), noises[1].ravel())[0, 1]) < 0.02
    shift = phantoms[0].geometry.origin[2] - phantoms[1].geometry.origin[2]
    assert shift == pytest.approx(patient.shifts[1])
    assert patient.shifts[0] == 0.0


def test_the_ureter_of_every_held_out_patient_is_four_voxels_wide() -> None:
    for seed, _, geometry in held_out_scans(Task.URETER, RECIPES["ureter"]):
        anatomy = make_patient(seed)
        assert 2.0 * anatomy.ureter * min(anatomy.scale[:2]) >= 4.0 * max(geometry.spacing[1:])


@pytest.mark.parametrize("task", Task)
def test_a_recipes_labels_are_the_phantoms_structures(task: Task) -> None:
    recipe, phantom = RECIPES[task], make_phantom(trunk_geometry((8.0, 5.0, 5.0)), seed=2)
    truth = recipe.truth(phantom)
    for name, structures in recipe.labels.items():
        assert set(structures) <= set(LABEL_NAMES.values())
        np.testing.assert_array_equal(truth == recipe.values[name], phantom.mask(*structures))


def test_a_case_is_drawn_as_often_as_the_split_names_it(tmp_path: Path) -> None:
    dataset = Dataset(999, "Made")
    (tmp_path / "nnUNet_raw" / dataset.name).mkdir(parents=True)
    describe_dataset(dataset, tmp_path, "made", ["CT"], {"background": 0}, {"a": 4, "b": 1, "c": 0}, {})
    [split] = json.loads((tmp_path / "nnUNet_preprocessed" / dataset.name / "splits_final.json").read_text())
    assert split == {"train": ["a", "a", "a", "a", "b"], "val": ["c"]}


@pytest.mark.parametrize("task", Task)
def test_the_network_sees_the_window_of_its_recipe_and_else_that_of_its_labels(task: Task) -> None:
    found = {"percentile_00_5": -890.0, "percentile_99_5": 678.0, "mean": -112.0, "std": 494.0, "max": 777.0}
    fingerprint = {"foreground_intensity_properties_per_channel": {"0": found}}
    plans = small_plans("Dataset999_Made", fingerprint, RECIPES[task].network)
    window = {"percentile_00_5": -300.0, "percentile_99_5": 400.0, "mean": 50.0, "std": 175.0}
    expected = found | (window if task is Task.TOTALSEG else {})
    assert plans["foreground_intensity_properties_per_channel"] == {"0": expected}
