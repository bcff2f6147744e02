"""Folders as users of nnU-Net have them: of any name, ensembles, exports, and those that are not of nnU-Net v2."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import PackageInvalid
from segmentation.importing.add import add_package
from segmentation.importing.convert import PartSource, convert_parts
from segmentation.importing.results_folder import ResultsFolder
from segmentation.inference.engine import Engine
from segmentation.package.package import MODEL_YAML
from tests.support.tiny_models import make_results_folder, make_volume
from tests.support.trained_folders import edit_json, refused

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def zip_of(folder: Path, path: Path) -> Path:
    """Zip a data set's folder as ``nnUNetv2_export_model_to_zip`` does."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for file in sorted(folder.rglob("*")):
            zipped.write(file, file.relative_to(folder.parent))
    return path


def test_folder_of_any_name_is_the_same_model(results: Path, tmp_path: Path) -> None:
    usual = add_package(results, "usual", tmp_path / "models").manifest.configurations[0]
    for number, name in enumerate(("my best liver, März", "a__b__c", ".hidden", "3d")):
        renamed = results.rename(results.with_name(name))
        found = add_package(renamed, f"renamed-{number}", tmp_path / "models").manifest.configurations[0]
        assert (found.trainer, found.plans, found.name) == (usual.trainer, usual.plans, usual.name)
        assert found.id.isascii()
        assert [fold.checkpoint_sha256 for fold in found.folds] == [fold.checkpoint_sha256 for fold in usual.folds]
        results = renamed


def test_cascade_of_renamed_folders_finds_its_first_stage(tmp_path: Path) -> None:
    cascade = make_results_folder(tmp_path / "source", "cascade")
    (cascade.parent / "nnUNetTrainer__nnUNetPlans__3d_lowres").rename(cascade.with_name("first"))
    package = add_package(cascade.rename(cascade.with_name("second")), "cascade", tmp_path / "models")
    assert package.manifest.members == ("second",)
    assert package.manifest.configuration("second").previous_stage == "first"


def test_members_of_one_name_are_told_apart_by_their_data_set(tmp_path: Path) -> None:
    first, second = (make_results_folder(tmp_path / name, seed=seed) for seed, name in enumerate("ab"))
    assert first.name == second.name
    refused_text = ""
    with pytest.raises(PackageInvalid) as caught:
        add_package([first, second], "both", tmp_path / "models")
    refused_text = str(caught.value)
    assert "cannot be told apart" in refused_text
    assert str(first) in refused_text
    assert str(second) in refused_text
    other = second.parent.rename(second.parent.with_name("Dataset902_Other")) / second.name
    package = add_package([first, other], "both", tmp_path / "models")
    assert package.manifest.members == (f"Dataset901_Tiny/{first.name}", f"Dataset902_Other/{first.name}")
    volume = make_volume(shape=(10, 24, 22))
    both = Engine(package, "cpu").segment(volume).label_map.array
    alone = Engine(add_package(first, "one", tmp_path / "models"), "cpu").segment(volume).label_map.array
    assert not np.array_equal(both, alone)  # the second member counts
    with pytest.raises(PackageInvalid, match="given twice; give each folder once"):
        add_package([first, first], "twice", tmp_path / "models")


def test_members_with_other_labels_are_refused_with_both(tmp_path: Path) -> None:
    first = make_results_folder(tmp_path / "a")
    second = make_results_folder(tmp_path / "b", labels={"background": 0, "left kidney": 1, "liver": 2, "tumour": 3})
    second = second.rename(second.with_name("other"))
    with pytest.raises(PackageInvalid, match=r"differ in labels or channels.*averaged: .*'liver': 1.*'liver': 2"):
        add_package([first, second], "both", tmp_path / "models")


def test_parts_that_find_one_label_are_refused(tmp_path: Path) -> None:
    names = {"liver": 1, "left kidney": 2, "tumour": 3}
    values = {1: 1, 2: 2, 3: 3}
    first, second = (ResultsFolder(make_results_folder(tmp_path / name)) for name in "ab")
    with pytest.raises(PackageInvalid, match="have the part nnUNetTrainer__nnUNetPlans__3d_fullres"):
        convert_parts([PartSource(first, names, values), PartSource(second, names, values)], tmp_path / "out")
    apart = ResultsFolder(second.path, dataset="other")
    with pytest.raises(PackageInvalid, match="have the label left kidney, liver, tumour"):
        convert_parts([PartSource(first, names, values), PartSource(apart, names, values)], tmp_path / "out")


def test_best_checkpoint_is_taken_where_it_is_asked_for(results: Path, tmp_path: Path) -> None:
    final = results / "fold_0" / "checkpoint_final.pth"
    shutil.copy(final, final.with_name("checkpoint_best.pth"))
    best = add_package(results, "best", tmp_path / "models", checkpoint="best")
    assert best.manifest.configurations[0].folds[0].checkpoint == "fold_0/checkpoint_best.pth"
    archive = zip_of(results.parent, tmp_path / "export.zip")
    assert add_package(archive, "zip", tmp_path / "models", checkpoint="best").manifest == best.manifest
    final.unlink()
    with pytest.raises(PackageInvalid, match=r"--checkpoint best takes checkpoint_best\.pth, which is there"):
        add_package(results, "final", tmp_path / "models")


def test_configuration_chooses_in_folder_and_zip(tmp_path: Path) -> None:
    parent = make_results_folder(tmp_path / "source", "ensemble")
    archive = zip_of(parent, tmp_path / "export.zip")
    for number, source in enumerate((parent, archive)):
        for configuration in ("2d", "3d_fullres"):
            name = f"one-{number}-{configuration}"
            chosen = add_package(source, name, tmp_path / "models", configurations=[configuration])
            assert [c.name for c in chosen.manifest.configurations] == [configuration]
        both = add_package(source, f"both-{number}", tmp_path / "models", configurations=["2d", "3d_fullres"])
        assert len(both.manifest.members) == 2
        with pytest.raises(PackageInvalid, match=r"no folder is of configuration 3d_lowres; there is: .*\(2d\)"):
            add_package(source, "none", tmp_path / "models", configurations=["3d_lowres"])


def test_information_that_names_more_than_the_zip_holds(tmp_path: Path) -> None:
    parent = make_results_folder(tmp_path / "source", "ensemble")
    gone = next(path for path in parent.iterdir() if path.name.endswith("__2d"))
    shutil.rmtree(gone)
    package = add_package(zip_of(parent, tmp_path / "export.zip"), "one", tmp_path / "models")
    assert [c.name for c in package.manifest.configurations] == ["3d_fullres"]
    assert "DECIDE: inference_information.json says that" in (package.folder / MODEL_YAML).read_text()
    assert any(gone.name in question.text for question in package.questions)


def test_folder_two_levels_above_lists_what_it_holds(tmp_path: Path) -> None:
    found = [make_results_folder(tmp_path / "nnUNet_results" / name) for name in ("a", "b")]
    text = refused(tmp_path / "nnUNet_results", tmp_path, "there are 2 below it; give one of these")
    assert all(f"\n  {path}" in text for path in found)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"])
def test_git_lfs_pointer_is_named(name: str, results: Path, tmp_path: Path) -> None:
    (results / name).write_text(LFS)
    refused(results, tmp_path, f"{Path(name).name}: a Git LFS pointer", "git lfs pull")


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"])
@pytest.mark.parametrize(
    ("content", "said"), [(b"", "the file is empty"), (b"\n<!DOCTYPE html><html>Sign in</html>", "a web page, not the")]
)
def test_web_page_and_empty_file_are_named(name: str, content: bytes, said: str, results: Path, tmp_path: Path) -> None:
    (results / name).write_bytes(content)
    refused(results, tmp_path, f"{Path(name).name}: {said}")


def test_git_lfs_pointer_in_place_of_a_zip(tmp_path: Path) -> None:
    (tmp_path / "export.zip").write_text(LFS)
    refused(tmp_path / "export.zip", tmp_path, "export.zip: a Git LFS pointer")


def test_nnunet_v1_is_named(tmp_path: Path) -> None:
    old = tmp_path / "Task003_Liver" / "nnUNetTrainerV2__nnUNetPlansv2.1"
    (old / "fold_0").mkdir(parents=True)
    (old / "plans.pkl").write_bytes(b"")
    (old / "fold_0" / "model_final_checkpoint.model.pkl").write_bytes(b"")
    for source in (old, old.parent, zip_of(old.parent, tmp_path / "Task003_Liver.zip")):
        refused(source, tmp_path, "nnU-Net v1", "train it with nnU-Net v2")


@pytest.mark.parametrize(("reader", "words"), [("NaturalImage2DIO", "2D pictures"), ("Tiff3DIO", "TIFF stacks")])
def test_pictures_are_named(reader: str, words: str, results: Path, tmp_path: Path) -> None:
    edit_json(results / "plans.json", lambda plans: plans.update(image_reader_writer=reader))
    refused(results, tmp_path, words, "volumes from DICOM")


def test_arguments_of_the_machine_are_no_arguments_of_the_model(results: Path, tmp_path: Path) -> None:
    plain = add_package(results, "plain", tmp_path / "models").manifest.configurations

    def add_machine(plans: dict[str, dict[str, dict[str, dict[str, object]]]]) -> None:
        for purpose in ("data", "seg", "probabilities"):
            arguments = plans["configurations"]["3d_fullres"][f"resampling_fn_{purpose}_kwargs"]
            arguments.update(num_threads=8, device="cuda:1")

    edit_json(results / "plans.json", add_machine)
    assert add_package(results, "machine", tmp_path / "models").manifest.configurations == plain


def test_odd_but_harmless_checkpoints_are_the_same_model(results: Path, tmp_path: Path) -> None:
    path = results / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    for name, tensor in content["network_weights"].items():
        content["network_weights"][name] = tensor.half()
    torch.save(content, path)
    half = add_package(results, "half", tmp_path / "models")
    content["logging"] = {"curve": np.arange(5, dtype=np.float16), "names": np.array(["a", "bc"]), "n": np.int8(3)}
    content["init_args"]["output_folder"] = Path("/data/nnUNet_results")
    content["inference_allowed_mirroring_axes"] = np.array(content["inference_allowed_mirroring_axes"] or [], dtype=int)
    for name, tensor in content["network_weights"].items():
        content["network_weights"][name] = tensor.float()
    torch.save(content, path)
    full = add_package(results, "full", tmp_path / "models")
    volume = make_volume(shape=(10, 24, 22))
    found, expected = (Engine(one, "cpu").segment(volume).label_map.array for one in (half, full))
    assert np.array_equal(found, expected)


def test_unknown_class_in_a_checkpoint_says_what_to_do(results: Path, tmp_path: Path) -> None:
    import argparse

    path = results / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    content["init_args"]["options"] = argparse.Namespace(a=1)
    torch.save(content, path)
    refused(results, tmp_path, "argparse.Namespace", "save it anew, with nothing but network_weights, trainer_name")


def test_damaged_information_asks_for_a_configuration(tmp_path: Path) -> None:
    parent = make_results_folder(tmp_path / "source", "ensemble")
    (parent / "inference_information.json").write_text(json.dumps({"best_model_or_ensemble": []}))
    refused(parent, tmp_path, "inference_information.json", "--configuration")
