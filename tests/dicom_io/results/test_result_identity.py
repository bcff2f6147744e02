"""UIDs of results stay what they were: of a package and a study of before, in each profile, whatever keys come."""

from pathlib import Path
from typing import Any

import pytest

from core.backend import Backend
from core.model_config import ModelConfig, parse_model_config
from core.run_options import NO_OPTIONS, RunOptions
from dicom_io.results.result_identity import ResultIdentity
from dicom_io.uids import derive_uid

MODEL_YAML = """\
schema: 1
name: vessels
version: "2026.1"
description: made for this test
orientation: RAS
channels:
  - name: arterial
    series: {modality: [CT], phase: [arterial], slice_thickness: {max: 3.0}, exclude_image_type: [LOCALIZER]}
  - name: portal
    series: {modality: [CT], phase: [portal], description: [venous], prefer: [thinnest]}
on_other_grid: resample
labels:
  - {value: 1, name: artery, type: {value: "51114001", scheme: SCT, meaning: Artery}, colour: [220, 20, 20]}
  - {value: 2, name: Pfortader große, laterality: {value: "24028007", scheme: SCT, meaning: Right}}
postprocessing:
  - {step: keep_largest, labels: [1]}
  - {step: remove_small, min_volume_mm3: 12.5}
  - {step: fill_holes, max_volume_mm3: 1.0e-7}
  - {step: open, radius_mm: 1.5}
  - {step: smooth, sigma_mm: 0.75}
inference: {mirroring: false, step_size: 0.4, folds: [0, all], fast: {step_size: 0.7, finest_useful_spacing: 0.5}}
output: {segmentation_type: LABELMAP, series_number: 4711, when_empty: object}
"""

GOLDEN = {
    (NO_OPTIONS, 0): "2.25.203809250709037838013118283203045807588",
    (NO_OPTIONS, 2): "2.25.71714013396913018036007673920915291791",
    (RunOptions(profile="fast"), 0): "2.25.243717154003843090659662293328348858819",
    (RunOptions(profile="fast"), 2): "2.25.253827660960576050923736419877273806142",
    (RunOptions(finest_spacing=1.0), 0): "2.25.71620979430815251265395089753556589681",
    (RunOptions(finest_spacing=1.0), 2): "2.25.8400548481183183922386071731780180942",
}
"""SOP Instance UIDs that the program gave before options travelled beside ``model.yaml``, by options and revision."""


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    return parse_model_config(MODEL_YAML.encode(), Path("model.yaml"))


def identity(config: ModelConfig, options: RunOptions = NO_OPTIONS, **changes: Any) -> ResultIdentity:
    series = ("1.2.3.1", "1.2.3.2")
    images = ("1.2.3.1.1", "1.2.3.1.2")
    others = ("1.2.3.2.1", "1.2.3.2.2")
    content = {
        "study_uid": "1.2.3",
        "inputs": (*series, *images, "1", "1", *others),
        "package_sha256": "ab" * 32,
        "config": config,
        "options": options,
        "program_version": "0.1.0",
        "revision": 0,
    }
    return ResultIdentity(**(content | changes))


def uid(made_of: ResultIdentity) -> str:
    return str(derive_uid("instance", made_of.parts()))


@pytest.mark.parametrize(("options", "revision"), GOLDEN)
def test_uid_is_that_of_before(config: ModelConfig, options: RunOptions, revision: int) -> None:
    assert uid(identity(config, options, revision=revision)) == GOLDEN[options, revision]


def test_option_that_asks_for_what_model_yaml_says_changes_nothing(config: ModelConfig) -> None:
    assert uid(identity(config, RunOptions(profile="exact"))) == uid(identity(config))


def test_option_that_changes_no_label_is_no_part(config: ModelConfig) -> None:
    """The series that it leads to are."""
    assert uid(identity(config, RunOptions(channel=1, phase="delayed"))) == uid(identity(config))


def test_no_two_profiles_share_a_uid_even_with_equal_settings(config: ModelConfig) -> None:
    exact = config.inference.active
    inference = config.inference.model_copy(update={"fast": exact})
    equal = config.model_copy(update={"inference": inference})
    assert RunOptions(profile="fast").inference(equal).active == RunOptions(profile="exact").inference(equal).active
    found = {uid(identity(one, RunOptions(profile=profile))) for one in (config, equal) for profile in PROFILES}
    assert len(found) == 4


PROFILES: tuple[Any, ...] = ("exact", "fast")


def test_backend_and_its_version_are_a_part_where_it_is_not_torch_as_before(config: ModelConfig) -> None:
    backends = (
        None,
        Backend("openvino", "2026.4.1", "float32"),
        Backend("openvino", "2026.5.0", "float32"),
        Backend("openvino", "2026.4.1", "bfloat16"),
        Backend("torch", "2026.4.1", "float32"),
    )
    found = [uid(identity(config, RunOptions(profile="fast", backend=backend))) for backend in backends]
    assert len(set(found)) == len(backends)
    assert found[0] == GOLDEN[RunOptions(profile="fast"), 0]


@pytest.mark.parametrize(
    "change",
    [
        {"study_uid": "1.2.4"},
        {"inputs": ("1.2.3.1",)},
        {"package_sha256": "cd" * 32},
        {"program_version": "0.2.0"},
        {"revision": 1},
        {"options": RunOptions(finest_spacing=1.5)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_part_counts(config: ModelConfig, change: dict[str, Any]) -> None:
    assert uid(identity(config, **change)) != uid(identity(config))


def test_output_settings_count(config: ModelConfig) -> None:
    output = config.output.model_copy(update={"series_number": 4712})
    assert uid(identity(config.model_copy(update={"output": output}))) != uid(identity(config))
