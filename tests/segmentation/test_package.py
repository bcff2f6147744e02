"""Packages: what goes in comes out, and what is damaged or hostile is refused by name."""

import json
import os
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import ConfigInvalid, PackageInvalid
from segmentation.checkpoints import read_weights
from segmentation.engine import Engine
from segmentation.network import build_network, shared_names
from segmentation.package import (
    Package,
    add_package,
    default_models_path,
    find_package,
    list_packages,
    load_package,
    remove_package,
)
from tests.tiny_models import make_results_folder, make_volume

RUN = "pickle_ran"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A plain results folder."""
    return make_results_folder(tmp_path / "source", "3d_fullres")


@pytest.fixture
def package(results: Path, tmp_path: Path) -> Package:
    """A sound package."""
    return add_package(results, "tiny", tmp_path / "models")


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refused(source: Path, tmp_path: Path, *words: str) -> str:
    """Demand that a source is refused, that the text holds all words, and that nothing is left behind."""
    with pytest.raises(PackageInvalid) as caught:
        add_package(source, "refused", tmp_path / "models")
    for word in words:
        assert word in str(caught.value)
    assert list((tmp_path / "models").iterdir()) == []
    return str(caught.value)


class TestRoundTrip:
    def test_json_is_kept_byte_for_byte(self, results: Path, package: Package) -> None:
        for name in ("plans.json", "dataset.json"):
            assert (package.folder / "nnunet" / results.name / name).read_bytes() == (results / name).read_bytes()

    def test_weights_are_those_of_the_checkpoint_and_stored_once(self, results: Path, package: Package) -> None:
        state = torch.load(results / "fold_0" / "checkpoint_final.pth", weights_only=False)["network_weights"]
        file = package.folder / package.network.configurations[0].folds[0].file
        stored = read_weights(file.read_bytes(), file.name)
        assert stored.keys() == state.keys()
        assert all(torch.equal(stored[name], tensor) for name, tensor in state.items())
        network = build_network(package.network.configurations[0].network)
        floats = sum(p.numel() for p in network.parameters()) * 4
        assert len(shared_names(network)) > len(list(network.parameters())) / 2
        assert floats < file.stat().st_size < floats + 20_000

    def test_every_original_and_every_stored_file_has_its_hash(self, results: Path, package: Package) -> None:
        read = {f"{results.name}/{name}" for name in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth")}
        assert set(package.network.originals) == read
        stored = {p.relative_to(package.folder).as_posix() for p in package.folder.rglob("*") if p.is_file()}
        assert set(package.sums) == stored - {"SHA256SUMS", "model.yaml"}

    def test_export_zip_gives_the_same_package(self, results: Path, package: Package, tmp_path: Path) -> None:
        archive = tmp_path / "export.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for path in results.rglob("*"):
                zipped.write(path, path.relative_to(results.parents[1]))
        from_zip = add_package(archive, "tiny", tmp_path / "other")
        assert from_zip.sha256 == package.sha256

    def test_identity_follows_model_yaml_and_not_the_place(self, package: Package, tmp_path: Path) -> None:
        shutil.copytree(package.folder, tmp_path / "elsewhere" / "copy")
        assert load_package(tmp_path / "elsewhere" / "copy").sha256 == package.sha256
        path = package.folder / "model.yaml"
        path.write_text(path.read_text().replace('version: "1"', 'version: "2"'))
        changed = load_package(package.folder)
        assert changed.sha256 != package.sha256
        assert changed.seal == package.seal

    def test_running_needs_neither_checkpoints_nor_plans(self, results: Path, package: Package) -> None:
        volume = make_volume(shape=(8, 12, 12))
        expected = Engine(package, "cpu").segment(volume).label_map.array
        shutil.rmtree(results)
        for path in (package.folder / "nnunet").rglob("*.json"):
            path.write_bytes(path.read_bytes())
        assert np.array_equal(Engine(load_package(package.folder), "cpu").segment(volume).label_map.array, expected)

    def test_parent_folder_with_a_cascade_needs_no_choice(self, tmp_path: Path) -> None:
        cascade = make_results_folder(tmp_path / "source", "cascade")
        package = add_package(cascade.parent, "cascade", tmp_path / "models")
        assert package.network.members == (cascade.name,)
        assert package.network.configurations[0].previous_stage == "nnUNetTrainer__nnUNetPlans__3d_lowres"

    def test_parent_folder_with_several_models_asks_which(self, tmp_path: Path) -> None:
        parent = make_results_folder(tmp_path / "source", "ensemble")
        (parent / "inference_information.json").unlink()
        refused(parent, tmp_path, "holds several models", "3d_fullres", "2d")

    def test_fold_all_counts_only_alone(self, tmp_path: Path) -> None:
        source = make_results_folder(tmp_path / "source", "3d_fullres", folds=("all",))
        assert add_package(source, "one", tmp_path / "models").network.configurations[0].folds[0].fold == "all"
        source = make_results_folder(tmp_path / "source", "3d_fullres", folds=(0, 2))
        package = add_package(source, "two", tmp_path / "models")
        assert [fold.fold for fold in package.network.configurations[0].folds] == [0, 2]

    def test_postprocessing_json_becomes_steps(self, results: Path, tmp_path: Path) -> None:
        folder = results / "crossval_results_folds_0_1_2_3_4"
        folder.mkdir()
        function = "remove_all_but_largest_component_from_segmentation"
        arguments = [{"labels_or_regions": [1, 2, 3]}, {"labels_or_regions": [[2, 3]]}, {"labels_or_regions": 1}]
        content = {"postprocessing_fns": [function] * 3, "postprocessing_kwargs": arguments}
        (folder / "postprocessing.json").write_text(json.dumps(content))
        steps = add_package(results, "tiny", tmp_path / "models").manifest.postprocessing
        assert [(step.step, step.labels) for step in steps] == [
            ("keep_largest", (1, 2, 3)),
            ("keep_largest", (2, 3)),
            ("keep_largest", (1,)),
        ]
        content["postprocessing_fns"][1] = "os.system"
        (folder / "postprocessing.json").write_text(json.dumps(content))
        with pytest.raises(PackageInvalid, match=r"postprocessing\.json: post-processing step 'os\.system'"):
            add_package(results, "other", tmp_path / "models")

    def test_pickled_postprocessing_is_left_and_named(self, results: Path, tmp_path: Path) -> None:
        (results / "postprocessing.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / RUN)))
        package = add_package(results, "tiny", tmp_path / "models")
        assert "DECIDE: nnU-Net left a postprocessing.pkl" in (package.folder / "model.yaml").read_text()
        assert not (tmp_path / RUN).exists()


class TestModelYaml:
    def test_labels_get_codes_and_distinct_colours(self, package: Package) -> None:
        labels = {label.name: label for label in package.manifest.labels}
        assert labels["liver"].type.value == "10200004"
        assert labels["left kidney"].laterality is not None
        assert labels["left kidney"].laterality.meaning == "Left"
        assert labels["tumour"].category.meaning == "Morphologically Abnormal Structure"
        assert len({label.colour for label in package.manifest.labels}) == 3

    @pytest.mark.parametrize(
        ("reader", "orientation"),
        [
            ("SimpleITKIO", "acquired"),
            ("NibabelIO", "acquired"),
            ("SimpleITKIOWithReorient", "RAS"),
            ("NibabelIOWithReorient", "RAS"),
        ],
    )
    def test_orientation_follows_the_reader(self, reader: str, orientation: str, tmp_path: Path) -> None:
        source = make_results_folder(tmp_path / "source", "3d_fullres", reader=reader)
        package = add_package(source, "tiny", tmp_path / "models")
        assert package.manifest.orientation == orientation
        assert ("# DECIDE: `acquired`" in (package.folder / "model.yaml").read_text()) == (orientation == "acquired")

    def test_ignore_label_is_no_label(self, tmp_path: Path) -> None:
        package = add_package(make_results_folder(tmp_path, "ignore"), "tiny", tmp_path / "models")
        assert [label.value for label in package.manifest.labels] == [1, 2, 3]

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("orientation: acquired", "orientation: RSA", "orientation"),
            ("modality: [CT]", "modality: CT", "modality"),
            ("- value: 2", "- value: two", "value"),
            ("step_size: 0.5", "step_size: 5", "step_size"),
        ],
    )
    def test_mistakes_are_named_with_their_line(self, package: Package, old: str, new: str, message: str) -> None:
        path = package.folder / "model.yaml"
        text = path.read_text()
        line = next(number for number, text in enumerate(text.splitlines(), start=1) if old in text)
        path.write_text(text.replace(old, new))
        with pytest.raises(PackageInvalid, match=rf"model\.yaml:{line}: .*{message}"):
            load_package(package.folder)

    def test_labels_must_be_the_networks(self, package: Package) -> None:
        path = package.folder / "model.yaml"
        path.write_text(path.read_text().replace("- value: 3", "- value: 4"))
        with pytest.raises(PackageInvalid, match=r"labels: values \[1, 2, 4\] are not the network's \[1, 2, 3\]"):
            load_package(package.folder)

    def test_fold_must_be_there(self, package: Package) -> None:
        path = package.folder / "model.yaml"
        path.write_text(path.read_text().replace("folds: []", "folds: [3]"))
        with pytest.raises(PackageInvalid, match="has no fold 3"):
            load_package(package.folder)


class TestDamage:
    def test_flipped_bit_in_weights(self, package: Package) -> None:
        path = package.folder / package.network.configurations[0].folds[0].file
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(PackageInvalid, match=r"fold_0\.safetensors: altered"):
            load_package(package.folder)

    def test_weights_that_change_after_loading(self, package: Package) -> None:
        path = package.folder / package.network.configurations[0].folds[0].file
        path.write_bytes(path.read_bytes() + b"\0")
        with pytest.raises(PackageInvalid, match="changed since the package was loaded"):
            Engine(package, "cpu")

    @pytest.mark.parametrize("name", ["manifest.json", "nnunet/{}/plans.json", "weights/{}/fold_0.safetensors"])
    def test_missing_file(self, package: Package, results: Path, name: str) -> None:
        path = package.folder / name.format(results.name)
        path.unlink()
        with pytest.raises(PackageInvalid, match=f"{path.name}: No such file"):
            load_package(package.folder)

    @pytest.mark.parametrize("name", ["SHA256SUMS", "model.yaml"])
    def test_missing_root(self, package: Package, name: str) -> None:
        (package.folder / name).unlink()
        with pytest.raises(PackageInvalid, match=name):
            load_package(package.folder)

    @pytest.mark.parametrize("line", [f"{'0' * 64}  ../outside\n", f"{'0' * 64}  /etc/passwd\n", "short  name\n"])
    def test_sums_that_lead_out_of_the_folder(self, package: Package, line: str) -> None:
        with (package.folder / "SHA256SUMS").open("a") as file:
            file.write(line)
        with pytest.raises(PackageInvalid, match=r"SHA256SUMS:\d+: not a line of sha256sum"):
            load_package(package.folder)

    @pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
    def test_unreadable_json(self, results: Path, tmp_path: Path, name: str) -> None:
        (results / name).write_text('{"labels": ')
        refused(results, tmp_path, name)

    def test_truncated_checkpoint(self, results: Path, tmp_path: Path) -> None:
        path = results / "fold_0" / "checkpoint_final.pth"
        path.write_bytes(path.read_bytes()[:-200])
        refused(results, tmp_path, "checkpoint_final.pth")

    def test_unfinished_training(self, results: Path, tmp_path: Path) -> None:
        path = results / "fold_0" / "checkpoint_final.pth"
        path.rename(path.with_name("checkpoint_latest.pth"))
        refused(results, tmp_path, "no fold_*/checkpoint_final.pth")

    def test_weights_of_another_network(self, results: Path, tmp_path: Path) -> None:
        def widen(plans: dict[str, Any]) -> None:
            plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["features_per_stage"] = [6, 8, 12]

        edit_json(results / "plans.json", widen)
        refused(results, tmp_path, "has shape", "the plans' network")

    def test_weights_that_are_not_finite(self, results: Path, tmp_path: Path) -> None:
        change_checkpoint(results, lambda c: c["network_weights"]["decoder.seg_layers.1.bias"].fill_(float("nan")))
        refused(results, tmp_path, "not finite")

    def test_first_stage_of_a_cascade_is_missing(self, tmp_path: Path) -> None:
        cascade = make_results_folder(tmp_path / "source", "cascade")
        shutil.rmtree(cascade.with_name("nnUNetTrainer__nnUNetPlans__3d_lowres"))
        refused(cascade, tmp_path, "first stage nnUNetTrainer__nnUNetPlans__3d_lowres must lie beside it")

    def test_not_a_results_folder(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        refused(tmp_path / "empty", tmp_path, "neither a results folder")

    def test_name_that_is_taken(self, results: Path, package: Package) -> None:
        with pytest.raises(ConfigInvalid, match="exists; remove it first"):
            add_package(results, "tiny", package.folder.parent)

    @pytest.mark.parametrize("name", ["../out", "Upper", "", "a/b", ".hidden"])
    def test_name_that_is_no_name(self, results: Path, tmp_path: Path, name: str) -> None:
        with pytest.raises(ConfigInvalid, match="no name for a model"):
            add_package(results, name, tmp_path / "models")


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def change_checkpoint(results: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Load, change and save the checkpoint of fold 0."""
    path = results / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    change(content)
    torch.save(content, path)


class TestAttacks:
    @pytest.mark.parametrize("place", ["network_weights", "init_args", "logging", "extra"])
    def test_pickle_in_a_checkpoint_does_not_run(self, results: Path, tmp_path: Path, place: str) -> None:
        change_checkpoint(results, lambda content: content.update({place: Bomb(tmp_path / RUN)}))
        text = refused(results, tmp_path, "checkpoint_final.pth", "holds more than weights")
        assert "mkdir" in text
        assert not (tmp_path / RUN).exists()
        torch.load(results / "fold_0" / "checkpoint_final.pth", weights_only=False)
        assert (tmp_path / RUN).exists()  # the attack is real

    def test_bare_pickle_as_checkpoint(self, results: Path, tmp_path: Path) -> None:
        (results / "fold_0" / "checkpoint_final.pth").write_bytes(pickle.dumps(Bomb(tmp_path / RUN)))
        refused(results, tmp_path, "not a checkpoint as torch.save writes it")
        assert not (tmp_path / RUN).exists()

    def test_compressed_checkpoint(self, results: Path, tmp_path: Path) -> None:
        path = results / "fold_0" / "checkpoint_final.pth"
        with zipfile.ZipFile(path) as source:
            entries = {name: source.read(name) for name in source.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            for name, content in entries.items():
                target.writestr(name, content)
        refused(results, tmp_path, "compressed entries")

    def test_huge_tensor_that_repeats_one_number(self, results: Path, tmp_path: Path) -> None:
        bias = "decoder.seg_layers.1.bias"
        huge = torch.zeros(1).expand(2**40)
        change_checkpoint(results, lambda content: content["network_weights"].update({bias: huge}))
        refused(results, tmp_path, bias, "has shape")

    def test_aliases_that_differ(self, results: Path, tmp_path: Path) -> None:
        def split(content: dict[str, Any]) -> None:
            weights = content["network_weights"]
            name = next(n for n in weights if "all_modules.0.weight" in n)
            weights[name] = weights[name] + 1

        change_checkpoint(results, split)
        refused(results, tmp_path, "are one tensor in the network but differ")

    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("network_class_name", "os.system", ["network class 'os.system' is not supported"]),
            ("network_class_name", "torch.nn.Linear", ["torch.nn.Linear"]),
            ("conv_op", "os.system", ["'os.system' as conv_op"]),
            ("norm_op", "subprocess.Popen", ["'subprocess.Popen' as norm_op"]),
            ("nonlin", "torch.nn.Conv3d", ["'torch.nn.Conv3d' as nonlin"]),
            ("dropout_op", "builtins.eval", ["'builtins.eval' as dropout_op"]),
            ("_kw_requires_import", ["conv_op", "n_stages"], ["asks to import ['n_stages']"]),
            ("extra_argument", 1, ["takes no argument ['extra_argument']"]),
            ("features_per_stage", [10**9, 8, 10], ["features_per_stage", "more than 4096"]),
        ],
    )
    def test_plans_that_name_code(
        self, results: Path, tmp_path: Path, key: str, value: object, words: list[str]
    ) -> None:
        def poison(plans: dict[str, Any]) -> None:
            architecture = plans["configurations"]["3d_fullres"]["architecture"]
            (architecture if key in architecture else architecture["arch_kwargs"])[key] = value

        edit_json(results / "plans.json", poison)
        refused(results, tmp_path, *words)

    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("preprocessor_name", "MyPreprocessor", ["preprocessor 'MyPreprocessor' is not supported"]),
            ("resampling_fn_data", "my_resampling", ["resampling function 'my_resampling' is not supported"]),
            ("resampling_fn_probabilities_kwargs", {"device": "cuda"}, ["takes no argument ['device']"]),
            ("normalization_schemes", ["MyNormalization"], ["normalisation scheme 'MyNormalization'"]),
            ("normalization_schemes", ["CTNormalization"] * 2, ["2 normalization_schemes for 1 channels"]),
            ("inherits_from", "3d_fullres", ["no usable configuration '3d_fullres'"]),
            ("patch_size", [16, 24], ["patch size (16, 24) does not fit spacing"]),
        ],
    )
    def test_unknown_parts_of_a_configuration(
        self, results: Path, tmp_path: Path, key: str, value: object, words: list[str]
    ) -> None:
        edit_json(results / "plans.json", lambda p: p["configurations"]["3d_fullres"].update({key: value}))
        refused(results, tmp_path, *words)

    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("image_reader_writer", "NaturalImage2DIO", ["image reader 'NaturalImage2DIO' is not supported"]),
            ("image_reader_writer", "Tiff3DIO", ["image reader 'Tiff3DIO'"]),
            ("image_reader_writer", "os.system", ["image reader 'os.system'"]),
            ("label_manager", "MyLabels", ["label manager 'MyLabels' is not supported"]),
            ("transpose_forward", [0, 0, 1], ["do not undo each other"]),
        ],
    )
    def test_unknown_parts_of_the_plans(
        self, results: Path, tmp_path: Path, key: str, value: object, words: list[str]
    ) -> None:
        edit_json(results / "plans.json", lambda plans: plans.update({key: value}))
        refused(results, tmp_path, *words)

    @pytest.mark.parametrize(
        "labels",
        [
            {"liver": 1},
            {"background": 1, "liver": 2},
            {"background": 0, "liver": 7},
            {"background": 0},
            {"background": 0, "whole": [1, 2], "core": 2},
        ],
    )
    def test_labels_that_are_not_usable(self, results: Path, tmp_path: Path, labels: dict[str, Any]) -> None:
        edit_json(results / "dataset.json", lambda dataset: dataset.update({"labels": labels}))
        refused(results, tmp_path, "dataset.json")

    @pytest.mark.parametrize("name", ["../../outside.json", "/tmp/outside.json", "a\\..\\..\\x.json", "C:/x.json"])  # noqa: S108 - never written
    def test_zip_that_leads_out(self, tmp_path: Path, name: str) -> None:
        with zipfile.ZipFile(tmp_path / "evil.zip", "w") as zipped:
            zipped.writestr(zipfile.ZipInfo(name), "{}")
        refused(tmp_path / "evil.zip", tmp_path, "leads out of the folder")
        assert not (tmp_path / "outside.json").exists()

    def test_zip_with_a_link(self, tmp_path: Path) -> None:
        link = zipfile.ZipInfo("Dataset/plans.json")
        link.external_attr = 0o120777 << 16
        with zipfile.ZipFile(tmp_path / "evil.zip", "w") as zipped:
            zipped.writestr(link, "/etc/passwd")
        refused(tmp_path / "evil.zip", tmp_path, "is a link")

    def test_zip_bomb(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("Dataset/a__b__c/fold_0/checkpoint_final.pth", bytes(50_000_000))
        refused(tmp_path / "bomb.zip", tmp_path, "unfolds to 50000000 bytes")

    def test_zip_that_lies_about_sizes(self, tmp_path: Path) -> None:
        path = tmp_path / "liar.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("Dataset/a__b__c/plans.json", " " * 100_000)
        content = path.read_bytes()
        path.write_bytes(content.replace((100_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
        refused(path, tmp_path, "liar.zip")

    def test_not_a_zip(self, tmp_path: Path) -> None:
        (tmp_path / "model.zip").write_text("no")
        refused(tmp_path / "model.zip", tmp_path, "model.zip", "not a zip file")


class TestPlaces:
    def test_environment_decides(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("SEGNODE_MODELS", f"{tmp_path / 'a'}{os.pathsep}{tmp_path / 'b'}")
        assert default_models_path() == [tmp_path / "a", tmp_path / "b"]
        monkeypatch.delenv("SEGNODE_MODELS")
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        project, user = default_models_path()
        assert project == Path(__file__).parents[2] / "models"
        assert user == tmp_path / "segnode" / "models"

    def test_first_place_wins(self, package: Package, tmp_path: Path) -> None:
        other = tmp_path / "other"
        shutil.copytree(package.folder, other / "tiny")
        assert find_package("tiny", [other, package.folder.parent]) == other / "tiny"
        assert list_packages([package.folder.parent, other]) == [package.folder]

    def test_unknown_name_lists_what_there_is(self, package: Package) -> None:
        with pytest.raises(ConfigInvalid, match=r"no model 'liver'.*there is: tiny"):
            find_package("liver", [package.folder.parent])

    def test_removed_is_gone(self, package: Package) -> None:
        remove_package(package.folder)
        assert list(package.folder.parent.iterdir()) == []

    def test_remove_touches_nothing_else(self, tmp_path: Path) -> None:
        (tmp_path / "pictures").mkdir()
        with pytest.raises(PackageInvalid, match="not a model package"):
            remove_package(tmp_path / "pictures")


def test_trainer_list_holds_only_classes_of_nnunet_that_keep_the_network() -> None:
    """Every class of nnunetv2 that inherits ``build_network_architecture`` is benign, every other one is not."""
    import importlib
    import inspect
    import pkgutil

    from nnunetv2.training import nnUNetTrainer as package
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    from segmentation.trainers import keeps_the_network

    seen = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what nnU-Net's modules warn of at import is not the point
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "primus" in module.name:  # transformers; imports torchvision, which need not fit this torch
                continue
            for name, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if issubclass(value, nnUNetTrainer):
                    seen.add(name)
                    inherits = value.build_network_architecture is nnUNetTrainer.build_network_architecture
                    if keeps_the_network(name):
                        assert inherits, name
    assert len(seen) > 40
    assert not keeps_the_network("nnUNetTrainerBN")
    assert not keeps_the_network("nnUNet_Primus_M_Trainer")
    assert not keeps_the_network("nnUNetTrainer_250epochs_Mine")


def test_codes_are_those_of_dicom() -> None:
    """pydicom's copy of PS3.16 holds every code with this project's meaning."""
    from pydicom.sr._concepts_dict import concepts  # the public dictionary keeps one meaning of each code only

    from segmentation import vocabulary

    known = {(value, meaning.casefold()) for c in concepts["SCT"].values() for value, (meaning, _) in c.items()}
    table = [code for _, category, kind in vocabulary._TABLE for code in (category, kind)]
    for code in (*table, vocabulary.LEFT, vocabulary.RIGHT):
        assert (code.value, code.meaning.casefold()) in known, code
