"""Preparation in parallel: equal to nnU-Net's own, resumed where it was interrupted, done anew where it is stale."""

import json
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import pytest
from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class, nnUNetDatasetBlosc2
from numpy.typing import NDArray

from core.errors import ConfigInvalid
from tests.support.tiny_training import (
    CASES,
    DATASET,
    make_site,
    prepared_site,
    tiny_configuration,
    write_plans,
    write_raw,
)
from training.preparation.plans import fix_split
from training.preparation.prepare import Wanted, prepare
from training.settings import TrainingSettings

PLENTY = 64 * 2**30
WANTED = [Wanted(DATASET, "nnUNetPlans", "3d_fullres"), Wanted(DATASET, "nnUNetPlans", "2d")]
FULLRES = "nnUNetPlans_3d_fullres"


def folder_of(site: TrainingSettings, name: str = FULLRES) -> Path:
    return site.folders.preprocessed / DATASET / name


def array(path: Path) -> NDArray[Any]:
    values: NDArray[Any] = blosc2.open(str(path))[:]
    return values


@pytest.mark.peers
def test_cases_are_as_nnunet_prepares_them_and_done_once(tmp_path: Path) -> None:
    stock = prepared_site(tmp_path / "stock")
    site = make_site(tmp_path / "own")
    raw = write_raw(site.folders.raw)
    plane = tiny_configuration((16, 16), "nnUNetPlans_2d")
    write_plans(site, {"3d_fullres": tiny_configuration(), "2d": plane})
    done = prepare(site, WANTED, 2, PLENTY)
    assert (done.prepared, done.known) == (2 * len(CASES), 0)
    for case in CASES:
        for ending in (".b2nd", "_seg.b2nd"):
            expected = array(folder_of(stock) / f"{case}{ending}")
            assert np.array_equal(array(folder_of(site) / f"{case}{ending}"), expected)
    assert len(list((site.folders.preprocessed / DATASET / "gt_segmentations").iterdir())) == len(CASES)
    assert not list(folder_of(site).glob(".*.part"))
    assert infer_dataset_class(str(folder_of(site))) is nnUNetDatasetBlosc2

    (folder_of(site) / f"{CASES[1]}.b2nd").unlink()  # as a kill leaves it: the file that counts is written last
    (folder_of(site) / ".half.part").mkdir()
    done = prepare(site, WANTED, 2, memory=1)  # less than any token: one at a time
    assert (done.prepared, done.known) == (1, 2 * len(CASES) - 1)
    assert not (folder_of(site) / ".half.part").exists()

    label = raw / "labelsTr" / f"{CASES[0]}.nii.gz"
    label.write_bytes((raw / "labelsTr" / f"{CASES[2]}.nii.gz").read_bytes())
    (raw / "imagesTr" / f"{CASES[3]}_0000.nii.gz").write_bytes(b"no image")
    with pytest.raises(ConfigInvalid, match=f"{CASES[3]}: cannot be prepared for 3d_fullres"):
        prepare(site, WANTED[:1], 1, PLENTY)


def test_the_data_sets_own_split_is_taken(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    raw = write_raw(site.folders.raw)
    prepared = site.folders.preprocessed / DATASET
    prepared.mkdir()
    own = [{"train": list(CASES[1:]), "val": [CASES[0]]}]
    (raw / "splits_final.json").write_text(json.dumps(own))
    fix_split(raw, prepared)
    assert json.loads((prepared / "splits_final.json").read_text()) == own
    (raw / "splits_final.json").write_text(json.dumps([{"train": ["nobody"], "val": []}]))
    with pytest.raises(ConfigInvalid, match="1 cases are not in the data set, such as nobody"):
        fix_split(raw, prepared)


def test_a_split_is_drawn_as_nnunet_draws_it(tmp_path: Path) -> None:
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    site = make_site(tmp_path)
    names = [f"case_{number}" for number in range(7)]
    raw = write_raw(site.folders.raw, cases=names)
    prepared = site.folders.preprocessed / DATASET
    prepared.mkdir()
    fix_split(raw, prepared)
    expected = generate_crossval_split(names)
    drawn = json.loads((prepared / "splits_final.json").read_text())
    assert drawn == [{side: list(map(str, split[side])) for side in ("train", "val")} for split in expected]
