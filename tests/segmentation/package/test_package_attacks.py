"""Hostile files are refused by name, and none of their code runs."""

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import PackageInvalid
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.package.hashes import write_sums
from segmentation.package.package import Package, load_package
from tests.support.tiny_models import make_results_folder
from tests.support.trained_folders import RUN, Bomb, change_checkpoint, edit_json, refused


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
            ("resampling_fn_probabilities_kwargs", {"shape": "cuda"}, ["takes no argument ['shape']"]),
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

    @pytest.mark.parametrize(
        ("method", "skip"), [(zipfile.ZIP_DEFLATED, 0), (zipfile.ZIP_BZIP2, 0), (zipfile.ZIP_LZMA, 100)]
    )
    def test_zip_with_a_damaged_entry(self, tmp_path: Path, method: int, skip: int) -> None:
        path = tmp_path / "damaged.zip"
        with zipfile.ZipFile(path, "w", method) as zipped:
            zipped.writestr("Dataset/a__b__c/plans.json", json.dumps(list(range(2000))))
            start = zipped.start_dir
        content = bytearray(path.read_bytes())
        first = 30 + len("Dataset/a__b__c/plans.json") + skip  # a local header is 30 bytes and the name
        content[first : start - 200] = b"\xff" * (start - 200 - first)
        path.write_bytes(content)
        refused(path, tmp_path, "damaged.zip: ")

    def test_not_a_zip(self, tmp_path: Path) -> None:
        (tmp_path / "model.zip").write_text("no")
        refused(tmp_path / "model.zip", tmp_path, "model.zip", "not a zip file")


class TestForgedPackage:
    """A package from elsewhere, whose hashes hold because its author wrote them."""

    def forge(self, package: Package, change: Callable[[dict[str, Any]], Any]) -> None:
        edit_json(package.folder / "manifest.json", change)
        write_sums(package.folder)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("builder", "os.system"),
            ("operations", {"conv_op": "Conv3d", "norm_op": "os.system"}),
            ("operations", {"conv_op": "Conv3d", "run": "Conv3d"}),
            ("arguments", {"n_stages": 3, "features_per_stage": [10**12, 8, 10]}),
            ("arguments", {"n_stages": 3, "deep_supervision": True}),
            ("arguments", {}),
            ("input_channels", 2),
        ],
    )
    def test_network_is_built_from_known_names_only(self, package: Package, key: str, value: object) -> None:
        self.forge(package, lambda config: config["configurations"][0]["network"].update({key: value}))
        with pytest.raises(PackageInvalid):
            Engine(load_package(package.folder), "cpu")

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("resampling_data", {"function": "os.system", "arguments": {}}),
            ("resampling_data", {"function": "resample_data_or_seg_to_shape", "arguments": {"run": 1}}),
            ("resampling_data", {"function": "resample_data_or_seg_to_shape", "arguments": {"order": 99}}),
            ("normalisation", [{"scheme": "os.system"}]),
            ("spacing", [float("nan"), 1, 1]),
            ("mirror_axes", [5]),
            ("folds", []),
            ("previous_stage", "elsewhere"),
            ("surprise", 1),
        ],
    )
    def test_manifest_is_checked(self, package: Package, key: str, value: object) -> None:
        self.forge(package, lambda config: config["configurations"][0].update({key: value}))
        with pytest.raises(PackageInvalid, match=r"manifest\.json"):
            load_package(package.folder)

    @pytest.mark.parametrize("file", ["/etc/passwd", "../../weights", "model.yaml"])
    def test_weights_lie_in_the_package(self, package: Package, file: str) -> None:
        self.forge(package, lambda config: config["configurations"][0]["folds"][0].update({"file": file}))
        with pytest.raises(PackageInvalid, match="are not listed in SHA256SUMS"):
            load_package(package.folder)

    @pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x10\0\0\0\0\0\0\0{'no': 'json'}   "])
    def test_weights_that_are_not_safetensors_are_refused(self, package: Package, content: bytes) -> None:
        (package.folder / package.manifest.configurations[0].folds[0].file).write_bytes(content)
        write_sums(package.folder)
        with pytest.raises(PackageInvalid, match="not weights of a package"):
            Engine(load_package(package.folder), "cpu")


@pytest.mark.parametrize(
    ("purpose", "arguments", "found"),
    [
        ("probabilities", {"order": 3, "order_z": 0}, "order 3"),
        ("probabilities", {"order_z": 0}, "order 3"),  # nnU-Net's own default
        ("seg", {"order": 2, "order_z": 0}, "order 2"),
        ("data", {"order": 3, "order_z": 1}, "order_z other than 0"),
        ("data", {"is_seg": True, "order": 1}, "resampling_fn_data_kwargs: is_seg True"),
        ("seg", {"order": 1}, "resampling_fn_seg_kwargs: is_seg False"),
    ],
)
def test_resampling_that_would_not_be_nnunets_is_refused_when_a_model_is_added(
    purpose: str, arguments: dict[str, int], found: str, tmp_path: Path
) -> None:
    source = make_results_folder(tmp_path)
    plans = json.loads((source / "plans.json").read_text())
    plans["configurations"]["3d_fullres"][f"resampling_fn_{purpose}_kwargs"] = arguments
    (source / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(PackageInvalid, match=found):
        add_package(source, "splines", tmp_path / "models")
    assert not (tmp_path / "models" / "splines").exists()
