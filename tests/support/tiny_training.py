"""A site with a tiny data set that nnU-Net can train in seconds: four cases of a bright ball in noise, own plans."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import SimpleITK
import yaml
from typer.testing import CliRunner

from app.cli.train.commands import app
from tests.support.tiny_plans import architecture_of, plan_of
from training.folders import nnunet_environment, open_site
from training.settings import TrainingSettings, load_training_settings

DATASET = "Dataset007_Ball"
CASES = ("ball_1", "ball_2", "ball_3", "ball_4")
SHAPE = (24, 32, 32)
FOLDERS = ("raw", "preprocessed", "results", "queue")


def make_site(folder: Path, **changes: Any) -> TrainingSettings:
    """Settings of a site in a folder, whose folders exist; every epoch is saved."""
    settings = {"folders": {name: name for name in FOLDERS}, "devices": ["cpu"], "checkpoint_minutes": 0}
    settings |= {"retry_seconds": 0.1, "tracking": False} | changes
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training.yaml").write_text(yaml.safe_dump(settings))
    site = load_training_settings(folder / "training.yaml")
    open_site(site)
    return site


def write_raw(
    raw: Path,
    dataset: str = DATASET,
    cases: Sequence[str] = CASES,
    shape: tuple[int, int, int] = SHAPE,
    spacing: tuple[float, float, float] = (2.0, 1.0, 1.0),
) -> Path:
    """Write an nnU-Net raw folder: in each case a ball, bright in noise, its label 1."""
    folder = raw / dataset
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    grid = np.indices(shape, sparse=True)
    for seed, case in enumerate(cases):
        rng = np.random.default_rng(seed)
        centre = rng.uniform(10, np.array(shape) - 10)
        ball = (sum((axis - at) ** 2 for axis, at in zip(grid, centre, strict=True)) < 36).astype(np.uint8)
        image = rng.normal(0, 50, shape) + 400.0 * ball
        for path, array in (
            (folder / "imagesTr" / f"{case}_0000.nii.gz", image.astype(np.int16)),
            (folder / "labelsTr" / f"{case}.nii.gz", ball),
        ):
            written = SimpleITK.GetImageFromArray(array)
            written.SetSpacing(spacing[::-1])
            SimpleITK.WriteImage(written, str(path))
    content = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "ball": 1},
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def tiny_configuration(patch: Sequence[int] = (16, 16, 16), data: str = "nnUNetPlans_3d_fullres") -> dict[str, Any]:
    """A configuration of plans whose network is as small as can be."""
    plan = replace(plan_of("3d_fullres" if len(patch) == 3 else "2d"), patch_size=tuple(patch))
    resampling = {"order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": data,
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch),
        "median_image_size_in_voxels": list(SHAPE[-len(patch) :]),
        "spacing": [2.0, 1.0, 1.0][-len(patch) :],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, **resampling},
        "resampling_fn_seg_kwargs": {"is_seg": True, **resampling, "order": 1},
        "resampling_fn_probabilities_kwargs": {"is_seg": False, **resampling, "order": 1},
        "batch_dice": False,
        "architecture": architecture_of(plan, (4, 8, 8), 1),
    }


def write_plans(site: TrainingSettings, configurations: Mapping[str, Any], dataset: str = DATASET) -> None:
    """Plans, fingerprint, description and two folds of the data set."""
    folder = site.folders.preprocessed / dataset
    folder.mkdir(parents=True, exist_ok=True)
    values = {"mean": 400.0, "std": 50.0, "percentile_00_5": 200.0, "percentile_99_5": 600.0, "median": 400.0}
    intensities = {"0": values | {"min": 100.0, "max": 700.0}}
    plans = {
        "dataset_name": dataset,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [2.0, 1.0, 1.0],
        "original_median_shape_after_transp": list(SHAPE),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": dict(configurations),
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": intensities,
    }
    (folder / "nnUNetPlans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_bytes((site.folders.raw / dataset / "dataset.json").read_bytes())
    (folder / "dataset_fingerprint.json").write_text("{}")
    halves = [list(CASES[:2]), list(CASES[2:])]
    splits = [{"train": halves[fold], "val": halves[1 - fold]} for fold in range(2)]
    (folder / "splits_final.json").write_text(json.dumps(splits))


CASCADE: dict[str, Any] = {
    "3d_fullres": tiny_configuration(),
    "3d_lowres": tiny_configuration((8, 16, 16), "nnUNetPlans_3d_lowres")
    | {"spacing": [4.0, 2.0, 2.0], "next_stage": "3d_cascade_fullres"},
    "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
}
"""Configurations of a cascade."""


def prepared_site(folder: Path, configurations: Mapping[str, Any] | None = None, **changes: Any) -> TrainingSettings:
    """Make a site whose data set is planned and prepared by nnU-Net's preprocessor: for ``3d_fullres``, or as given."""
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    site = make_site(folder, **changes)
    raw = write_raw(site.folders.raw)
    write_plans(site, configurations or {"3d_fullres": tiny_configuration()})
    base = site.folders.preprocessed / DATASET
    plans = PlansManager(str(base / "nnUNetPlans.json"))
    shutil.copytree(raw / "labelsTr", base / "gt_segmentations")
    for name, one in (configurations or {"3d_fullres": {}}).items():
        if "inherits_from" in one:
            continue
        configuration = plans.get_configuration(name)
        (base / configuration.data_identifier).mkdir()
        for case in CASES:
            DefaultPreprocessor(verbose=False).run_case_save(
                str(base / configuration.data_identifier / case),
                [str(raw / "imagesTr" / f"{case}_0000.nii.gz")],
                str(raw / "labelsTr" / f"{case}.nii.gz"),
                plans,
                configuration,
                str(raw / "dataset.json"),
            )
    return site


def environment_of(site: TrainingSettings) -> dict[str, str]:
    """Variables of a training on this machine: no helpers of nnU-Net's, no GPU."""
    alone = {"nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return {**os.environ, **nnunet_environment(site.folders), **alone}


def segnode(site: TrainingSettings, *words: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a command of the training in the site, and return what it prints.

    It runs in this process, which has loaded what the command needs, but for the worker, which ends its process, and
    the plan: nnU-Net forks there, and a fork of a process with threads, and with another handler of SIGTERM, may hang.
    """
    arguments = [*words, "--config", str(site.folders.raw.parent / "training.yaml")]
    variables = {**environment_of(site), **(environment or {})}
    if words[0] in ("work", "plan"):
        command = [sys.executable, "-m", "app.cli", "train", *arguments]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)  # noqa: S603 - this project's own program
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    with patch.dict(os.environ, variables):
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout
