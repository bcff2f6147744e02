"""Damaged packages, and damaged results folders on import, are refused with file and reason."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import ConfigInvalid, PackageInvalid
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.package.hashes import write_sums
from segmentation.package.package import Package, load_package
from tests.support.tiny_models import make_results_folder
from tests.support.trained_folders import change_checkpoint, edit_json, refused


class TestDamage:
    def test_flipped_bit_in_weights(self, package: Package) -> None:
        path = package.folder / package.manifest.configurations[0].folds[0].file
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(PackageInvalid, match=r"fold_0\.safetensors: altered"):
            load_package(package.folder)

    def test_weights_that_change_after_loading(self, package: Package) -> None:
        path = package.folder / package.manifest.configurations[0].folds[0].file
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

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda manifest: manifest["labels"]["values"].update(liver=[]), "labels.values"),
            (lambda manifest: manifest["configurations"][0].update(transpose_backward=[3, 1, 2]), "do not undo"),
            (lambda manifest: manifest["configurations"][0].update(transpose_backward=[-3, 1, 2]), "do not undo"),
        ],
    )
    def test_numbers_that_a_manifest_cannot_have(
        self, package: Package, change: Callable[[dict[str, Any]], None], said: str
    ) -> None:
        edit_json(package.folder / "manifest.json", change)
        write_sums(package.folder)
        with pytest.raises(PackageInvalid, match=rf"manifest\.json: .*{said}"):
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

    def test_network_of_another_trainer(self, tmp_path: Path) -> None:
        """``nnUNetTrainerBN`` builds batch normalisation whatever the plans say; its weights tell."""
        results = make_results_folder(tmp_path / "source", "3d_fullres", trainer="nnUNetTrainerBN")
        name = "encoder.stages.0.0.convs.0.norm.running_mean"
        change_checkpoint(results, lambda content: content["network_weights"].update({name: torch.zeros(6)}))
        refused(results, tmp_path, "of trainer nnUNetTrainerBN", "1 unknown", name)

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

    def test_a_checkpoint_alone_is_a_zip_without_a_results_folder(self, results: Path, tmp_path: Path) -> None:
        found = refused(results / "fold_0" / "checkpoint_final.pth", tmp_path, "holds no results folder")
        assert "give such a folder (TRAINER__PLANS__CONFIGURATION)" in found

    def test_name_that_is_taken(self, results: Path, package: Package) -> None:
        with pytest.raises(ConfigInvalid, match="exists; remove it first"):
            add_package(results, "tiny", package.folder.parent)

    @pytest.mark.parametrize("name", ["../out", "Upper", "", "a/b", ".hidden"])
    def test_invalid_name_is_refused(self, results: Path, tmp_path: Path, name: str) -> None:
        with pytest.raises(ConfigInvalid, match="is not a valid model name"):
            add_package(results, name, tmp_path / "models")
