"""TotalSegmentator's folder becomes one package; a folder that is not quite it is refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import PackageInvalid
from segmentation.importing.totalsegmentator import add_totalsegmentator
from segmentation.importing.totalsegmentator_labels import STRUCTURES
from segmentation.package.package import Package, load_package
from tests.support.totalsegmentator_folder import DATASETS, RESULTS, make_totalsegmentator
from tests.support.trained_folders import edit_json


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Make a sound folder."""
    make_totalsegmentator(tmp_path / "weights")
    return tmp_path / "weights"


def add(weights: Path, tmp_path: Path, name: str = "total") -> Package:
    return add_totalsegmentator(weights, name, tmp_path / "models")


def test_the_table_is_the_published_one() -> None:
    """Values as TotalSegmentator's README lists them."""
    published = {
        1: "spleen", 2: "kidney_right", 5: "liver", 24: "kidney_cyst_right", 25: "sacrum", 26: "vertebrae_S1",
        27: "vertebrae_L5", 50: "vertebrae_C1", 51: "heart", 52: "aorta", 64: "portal_vein_and_splenic_vein",
        69: "humerus_left", 75: "femur_left", 79: "spinal_cord", 90: "brain", 91: "skull", 92: "rib_left_1",
        104: "rib_right_1", 116: "sternum", 117: "costal_cartilages",
    }  # fmt: skip
    structures = [structure for part in STRUCTURES.values() for structure in part]
    assert [structure.value for structure in structures] == list(range(1, 118))
    assert len({structure.name for structure in structures}) == len({s.colour for s in structures}) == 117
    assert {value: structures[value - 1].name for value in published} == published
    assert {number: len(part) for number, part in STRUCTURES.items()} == {291: 24, 292: 26, 293: 18, 294: 23, 295: 26}
    for structure in structures:
        side = {"Left": "left", "Right": "right", None: None}[
            structure.laterality.meaning if structure.laterality else None
        ]
        named = next((word for word in structure.name.split("_") if word in ("left", "right")), None)
        # "Middle lobe of right lung" holds its side in the code.
        assert side == named or structure.name == "lung_middle_lobe_right"


def test_a_package_is_one_model_of_117_structures(weights: Path, tmp_path: Path) -> None:
    package = load_package(add(weights, tmp_path).folder)
    assert [label.value for label in package.config.labels] == list(range(1, 118))
    aorta, kidney = package.config.labels[51], package.config.labels[1]
    assert (aorta.name, aorta.type.value, aorta.laterality) == ("aorta", "15825003", None)
    assert kidney.laterality is not None
    assert kidney.laterality.value == "24028007"
    assert package.config.orientation == "RAS"
    assert not package.config.inference.mirroring
    assert package.config.inference.step_size == 0.8
    assert not package.manifest.is_ensemble
    assert [part.configuration for part in package.manifest.parts] == [f"{d}/{RESULTS}" for d in DATASETS.values()]
    assert sum(name.endswith(".safetensors") for name in package.sums) == 5
    for dataset in DATASETS.values():
        kept = package.folder / "nnunet" / dataset / RESULTS / "plans.json"
        assert kept.read_bytes() == (weights / dataset / RESULTS / "plans.json").read_bytes()


def test_identity_covers_every_part_and_the_model_yaml(weights: Path, tmp_path: Path) -> None:
    first = add(weights, tmp_path, "first")
    make_totalsegmentator(tmp_path / "other", seed=5)
    (weights / DATASETS[294]).rename(tmp_path / "away")
    (tmp_path / "other" / DATASETS[294]).rename(weights / DATASETS[294])
    second = add(weights, tmp_path, "second")
    assert second.seal != first.seal
    path = first.folder / "model.yaml"
    content = yaml.safe_load(path.read_text())
    content["labels"][116]["type"] = {"value": "50016007", "scheme": "SCT", "meaning": "Cartilage of ribs"}
    path.write_text(yaml.safe_dump(content))
    edited = load_package(first.folder)
    assert edited.seal == first.seal
    assert edited.sha256 != first.sha256


def test_an_altered_part_is_named(weights: Path, tmp_path: Path) -> None:
    package = add(weights, tmp_path)
    path = package.folder / "weights" / DATASETS[293] / RESULTS / "fold_0.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(PackageInvalid, match=r"Dataset293.*altered"):
        load_package(package.folder)


def _miss(weights: Path) -> None:
    (weights / DATASETS[293]).rename(weights / "Dataset993_cardiac")


def _double(weights: Path) -> None:
    (weights / DATASETS[293]).with_name("Dataset293_copy").mkdir()


def _exchange(weights: Path) -> None:
    """Vertebrae and ribs have 26 labels each."""
    (weights / DATASETS[292]).rename(weights / "kept")
    (weights / DATASETS[295]).rename(weights / DATASETS[292])
    (weights / "kept").rename(weights / DATASETS[295])


def _relabel(change: Callable[[dict[str, int]], Any], number: int = 291) -> Callable[[Path], None]:
    def apply(weights: Path) -> None:
        edit_json(weights / DATASETS[number] / RESULTS / "dataset.json", lambda content: change(content["labels"]))

    return apply


def _turn_sides(labels: dict[str, int]) -> None:
    labels["kidney_left"], labels["kidney_right"] = labels["kidney_right"], labels["kidney_left"]


def _rename_all(labels: dict[str, int]) -> None:
    others = {f"structure {value}": value for name, value in labels.items() if value}
    labels.clear()
    labels.update({"background": 0, **others})


def _second_channel(weights: Path) -> None:
    path = weights / DATASETS[295] / RESULTS / "dataset.json"
    edit_json(path, lambda content: content.update(channel_names={"0": "CT", "1": "PET"}))


def _unfinished(weights: Path) -> None:
    (weights / DATASETS[294] / RESULTS / "fold_0" / "checkpoint_final.pth").unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_miss, "one folder Dataset293_… is needed, found: none"),
        (_double, "one folder Dataset293_… is needed, found: Dataset293_TotalSegmentator_part3.*, Dataset293_copy"),
        (_exchange, "Dataset292.*: labels differ .* 1 is rib_left_1, not sacrum"),
        (_relabel(lambda labels: labels.pop("kidney_cyst_right")), "Dataset291.* has 23 labels, this part .* 24"),
        (_relabel(_turn_sides), "Dataset291.*: 2 is kidney_left, not kidney_right"),
        (_relabel(_rename_all, 294), "Dataset294.*: 23 of 23 names are unknown to TotalSegmentator"),
        (_unfinished, "Dataset294.*no fold_"),
        (_second_channel, "Dataset295"),
    ],
    ids=["missing", "twice", "exchanged", "fewer", "sides", "others", "unfinished", "channels"],
)
def test_a_folder_that_is_not_totalsegmentators_is_refused_by_name(
    spoil: Callable[[Path], None], words: str, weights: Path, tmp_path: Path
) -> None:
    spoil(weights)
    with pytest.raises(PackageInvalid, match=words):
        add(weights, tmp_path)
    assert not list((tmp_path / "models").glob("*")), "nothing is left behind"


def test_a_name_may_be_spelt_otherwise(weights: Path, tmp_path: Path) -> None:
    """TotalSegmentator itself goes by values; the package speaks its names."""
    _relabel(lambda labels: labels.update({"thyroid": labels.pop("thyroid_gland")}))(weights)
    assert add(weights, tmp_path).config.labels[16].name == "thyroid_gland"
