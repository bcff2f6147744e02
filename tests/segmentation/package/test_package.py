"""Packages keep every file as it was, and damaged or hostile sources are refused by name."""

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import ConfigInvalid, PackageInvalid
from core.project_files import PROJECT
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.package.network import build_network, shared_names
from segmentation.package.package import Package, load_package
from segmentation.package.store import default_models_path, find_package, list_packages, remove_package
from segmentation.package.weights import read_weights
from tests.support.tiny_models import make_results_folder, make_volume
from tests.support.trained_folders import RUN, Bomb, refused


class TestRoundTrip:
    def test_json_is_kept_byte_for_byte(self, results: Path, package: Package) -> None:
        for name in ("plans.json", "dataset.json"):
            assert (package.folder / "nnunet" / results.name / name).read_bytes() == (results / name).read_bytes()

    def test_weights_are_those_of_the_checkpoint_and_stored_once(self, results: Path, package: Package) -> None:
        state = torch.load(results / "fold_0" / "checkpoint_final.pth", weights_only=False)["network_weights"]
        file = package.folder / package.manifest.configurations[0].folds[0].file
        stored = read_weights(file.read_bytes(), file.name)
        assert stored.keys() == state.keys()
        assert all(torch.equal(stored[name], tensor) for name, tensor in state.items())
        network = build_network(package.manifest.configurations[0].network)
        floats = sum(p.numel() for p in network.parameters()) * 4
        assert len(shared_names(network)) > len(list(network.parameters())) / 2
        assert floats < file.stat().st_size < floats + 20_000

    def test_every_original_and_every_stored_file_has_its_hash(self, results: Path, package: Package) -> None:
        read = {f"{results.name}/{name}" for name in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth")}
        assert set(package.manifest.originals) == read
        stored = {p.relative_to(package.folder).as_posix() for p in package.folder.rglob("*") if p.is_file()}
        assert set(package.sums) == stored - {"SHA256SUMS", "model.yaml"}

    def test_files_that_tell_of_patients_and_machines_stay_behind(self, results: Path, tmp_path: Path) -> None:
        for name in ("debug.json", "validation_summary.json", "dataset_fingerprint.json", "training_cases.json"):
            (results / name).write_text(json.dumps({"hostname": "ward-7", "case": "MUELLER_ANNA"}))
        (results / "x.json").mkdir()
        kept = add_package(results, "tiny", tmp_path / "models").folder / "nnunet" / results.name
        expected = {"plans.json", "dataset.json", "dataset_fingerprint.json", "training_cases.json"}
        assert {path.name for path in kept.iterdir()} == expected

    def test_json_is_bounded(self, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("segmentation.importing.source_files.MAX_JSON_BYTES", 100_000)
        (results / "dataset_fingerprint.json").write_text(json.dumps({"spacings": "x" * 100_000}))
        refused(results, tmp_path, "dataset_fingerprint.json: larger than 100000 bytes")

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

    def test_identity_is_that_of_the_model_yaml_that_was_parsed(
        self, package: Package, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def edit_meanwhile(path: Path, *_: object) -> None:
            path.write_text(path.read_text().replace('version: "1"', 'version: "2"'))

        monkeypatch.setattr("segmentation.package.package.check_agreement", edit_meanwhile)
        opened = load_package(package.folder)
        assert (opened.config.version, opened.sha256) == ("1", package.sha256)

    def test_manifest_json_that_changes_after_its_hash_was_checked(
        self, package: Package, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def edit_meanwhile(folder: Path, _: object) -> None:
            (folder / "manifest.json").write_text((folder / "manifest.json").read_text() + " ")

        monkeypatch.setattr("segmentation.package.package.check_sums", edit_meanwhile)
        with pytest.raises(PackageInvalid, match=r"manifest\.json: changed while"):
            load_package(package.folder)

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
        assert package.manifest.members == (cascade.name,)
        assert package.manifest.configurations[0].previous_stage == "nnUNetTrainer__nnUNetPlans__3d_lowres"

    def test_parent_folder_with_several_models_asks_which(self, tmp_path: Path) -> None:
        parent = make_results_folder(tmp_path / "source", "ensemble")
        (parent / "inference_information.json").unlink()
        refused(parent, tmp_path, "holds several models", "3d_fullres", "2d")

    def test_fold_all_counts_only_alone(self, tmp_path: Path) -> None:
        source = make_results_folder(tmp_path / "source", "3d_fullres", folds=("all",))
        assert add_package(source, "one", tmp_path / "models").manifest.configurations[0].folds[0].fold == "all"
        source = make_results_folder(tmp_path / "source", "3d_fullres", folds=(0, 2))
        package = add_package(source, "two", tmp_path / "models")
        assert [fold.fold for fold in package.manifest.configurations[0].folds] == [0, 2]

    def test_postprocessing_json_becomes_steps(self, results: Path, tmp_path: Path) -> None:
        folder = results / "crossval_results_folds_0_1_2_3_4"
        folder.mkdir()
        function = "remove_all_but_largest_component_from_segmentation"
        arguments = [{"labels_or_regions": [1, 2, 3]}, {"labels_or_regions": [[2, 3]]}, {"labels_or_regions": 1}]
        content = {"postprocessing_fns": [function] * 3, "postprocessing_kwargs": arguments}
        (folder / "postprocessing.json").write_text(json.dumps(content))
        steps = add_package(results, "tiny", tmp_path / "models").config.postprocessing
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
        labels = {label.name: label for label in package.config.labels}
        assert labels["liver"].type.value == "10200004"
        assert labels["left kidney"].laterality is not None
        assert labels["left kidney"].laterality.meaning == "Left"
        assert labels["tumour"].category.meaning == "Morphologically Abnormal Structure"
        assert len({label.colour for label in package.config.labels}) == 3

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
        assert package.config.orientation == orientation
        assert ("# DECIDE: `acquired`" in (package.folder / "model.yaml").read_text()) == (orientation == "acquired")

    def test_ignore_label_is_not_a_label(self, tmp_path: Path) -> None:
        package = add_package(make_results_folder(tmp_path, "ignore"), "tiny", tmp_path / "models")
        assert [label.value for label in package.config.labels] == [1, 2, 3]

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

    def test_labels_channels_and_folds_must_be_the_networks(self, package: Package) -> None:
        path = package.folder / "model.yaml"
        text = path.read_text().replace("- value: 3", "- value: 4").replace("folds: []", "folds: [0, 3]")
        path.write_text(text.replace("\nchannels:\n", "\nchannels:\n  - {name: MR, series: {modality: [MR]}}\n"))
        with pytest.raises(PackageInvalid) as told:
            load_package(package.folder)
        lines = path.read_text().splitlines()

        def line(start: str) -> int:
            return next(number for number, one in enumerate(lines, start=1) if one.lstrip().startswith(start))

        name, other = package.manifest.channels[0], package.manifest.configurations[0].id
        assert str(told.value).split("\n") == [
            f"{path}:{line('- value: 4')}: labels.2.value: the network has no label 4; "
            "it has 1 (liver), 2 (left kidney), 3 (tumour)",
            f"{path}:{line('labels:')}: labels: the network's label 3 (tumour) is missing; add it",
            f"{path}:{line('channels:')}: channels: the network has 1, in this order: {name}; 2 are listed",
            f"{path}:{line('folds:')}: inference.folds.1: {other} has no fold 3; it has 0",
        ]


class TestPlaces:
    def test_environment_decides(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("SEGNODE_MODELS", f"{tmp_path / 'a'}{os.pathsep}{tmp_path / 'b'}")
        assert default_models_path() == [tmp_path / "a", tmp_path / "b"]
        monkeypatch.delenv("SEGNODE_MODELS")
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        project, user = default_models_path()
        assert project == PROJECT / "models"
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
