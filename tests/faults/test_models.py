"""Models that are not what they seem: damaged, unsettled, mistaken for one another. None runs as if it were."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import ConfigInvalid, PackageInvalid
from segmentation.importing.add import add_package
from segmentation.package.hashes import write_sums
from segmentation.package.import_record import RECORD
from segmentation.package.open_decisions import require_decided
from segmentation.package.package import MODEL_YAML, load_package
from segmentation.package.package_warnings import warnings_at_loading
from segmentation.verification.golden_case import run_golden_case
from tests.faults.table import FAULT
from tests.support.service_cases import write_image
from tests.support.tiny_models import make_results_folder, make_volume
from tests.support.trained_folders import edit_json

CHECKPOINT = "fold_0/checkpoint_final.pth"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
Fault = Callable[[Path], object]


def add(folder: Path, *sources: Path) -> Path:
    """Add a package of the sources; its folder."""
    return add_package(list(sources), "tiny", folder / "models").folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def cut_checkpoint(folder: Path) -> object:
    source = make_results_folder(folder / "source")
    content = (source / CHECKPOINT).read_bytes()
    (source / CHECKPOINT).write_bytes(content[: len(content) // 2])
    return add(folder, source)


def pointer(folder: Path) -> object:
    source = make_results_folder(folder / "source")
    (source / CHECKPOINT).write_text(LFS)
    return add(folder, source)


def infinite_weight(folder: Path) -> object:
    source = make_results_folder(folder / "source")
    content = torch.load(source / CHECKPOINT, weights_only=False)
    next(iter(content["network_weights"].values())).view(-1)[0] = torch.inf
    torch.save(content, source / CHECKPOINT)
    return add(folder, source)


def first_version(folder: Path) -> object:
    old = folder / "Task003_Liver" / "nnUNetTrainerV2__nnUNetPlansv2.1"
    (old / "fold_0").mkdir(parents=True)
    for name in ("plans.pkl", "fold_0/model_final_checkpoint.model.pkl"):
        (old / name).write_bytes(b"")
    return add(folder, old)


def pictures(folder: Path) -> object:
    source = make_results_folder(folder / "source")
    edit_json(source / "plans.json", lambda plans: plans.update(image_reader_writer="NaturalImage2DIO"))
    return add(folder, source)


def members_of_one_name(folder: Path) -> object:
    return add(folder, *(make_results_folder(folder / name, seed=seed) for seed, name in enumerate("ab")))


def members_of_other_labels(folder: Path) -> object:
    swapped = {"background": 0, "left kidney": 1, "liver": 2, "tumour": 3}
    other = make_results_folder(folder / "b", labels=swapped)
    return add(folder, make_results_folder(folder / "a"), other.rename(other.with_name("other")))


def bit_of_weights(folder: Path) -> object:
    package = add(folder, make_results_folder(folder / "source"))
    (weights,) = package.rglob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    return load_package(package)


def label_in_empty_region(folder: Path) -> object:
    package = add(folder, make_results_folder(folder / "source"))
    edit_json(package / "manifest.json", lambda manifest: manifest["labels"]["values"].update(liver=[]))
    write_sums(package)
    return load_package(package)


def label_of_another_network(folder: Path) -> object:
    package = add(folder, make_results_folder(folder / "source"))
    edit(package / MODEL_YAML, "- value: 3", "- value: 4")
    return load_package(package)


def key_given_twice(folder: Path) -> object:
    package = add(folder, make_results_folder(folder / "source"))
    edit(package / MODEL_YAML, "orientation: acquired", "orientation: acquired\norientation: RAS")
    return load_package(package)


def altered_record(folder: Path) -> object:
    package = add(folder, make_results_folder(folder / "source"))
    edit(package / RECORD, '"segnode"', '"Segnode"')
    return load_package(package)


def open_question(folder: Path) -> object:
    return require_decided(load_package(add(folder, make_results_folder(folder / "source"))))


def golden_case_without_label(folder: Path) -> object:
    package = load_package(add(folder, make_results_folder(folder / "source")))
    volume = make_volume(shape=(10, 24, 22))
    write_image(folder / "image.nii.gz", volume.array[0], volume.geometry)
    write_image(folder / "expected.nii.gz", np.zeros(volume.geometry.shape, np.uint8), volume.geometry)
    return run_golden_case(package, [folder / "image.nii.gz"], folder / "expected.nii.gz")


ROWS: list[tuple[str, Fault, str]] = [
    ("a checkpoint that was cut", cut_checkpoint, "checkpoint_final.pth"),
    ("a Git LFS pointer in place of a checkpoint", pointer, "a Git LFS pointer"),
    ("a checkpoint with an infinite weight", infinite_weight, "finite"),
    ("a model of nnU-Net v1", first_version, "nnU-Net v1"),
    ("a model of pictures", pictures, "2D pictures"),
    ("an ensemble of two folders of one name", members_of_one_name, "cannot be told apart"),
    ("an ensemble whose members have other labels", members_of_other_labels, "differ in labels or channels"),
    ("a package of which a bit of the weights flipped", bit_of_weights, "altered"),
    ("a manifest with a label that is no value", label_in_empty_region, "labels.values"),
    ("a model.yaml with a label that the network has not", label_of_another_network, "the network has no label 4"),
    ("a model.yaml that gives a key twice", key_given_twice, "orientation is given twice"),
    ("a record of the import that was altered", altered_record, f"{RECORD}: altered"),
    ("a new package with an open question, in a route", open_question, "package_undecided"),
    ("a golden case without any label", golden_case_without_label, "proves nothing; take another"),
]


@pytest.mark.parametrize(("name", "fault", "said"), ROWS, ids=[row[0] for row in ROWS])
def test_models(
    name: str, fault: Fault, said: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, name)
    with pytest.raises((PackageInvalid, ConfigInvalid)) as told:
        fault(tmp_path)
    assert said in str(told.value)


def test_a_package_without_a_record(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    record_property(FAULT, "a package without a record of its import, in a route")
    package = add(tmp_path, make_results_folder(tmp_path / "source"))
    (package / RECORD).unlink()
    write_sums(package)
    old = load_package(package)
    require_decided(old)
    assert [warning.code for warning in warnings_at_loading(old, "cpu avx2")] == ["package_without_record"]
