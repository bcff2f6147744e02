"""The options of a run change what they name, and never the model's configuration."""

from pathlib import Path

import pytest

from core.model_config import ModelConfig, parse_model_config
from core.run_options import NO_OPTIONS, RunOptions
from tests.dicom_io.results.test_result_identity import MODEL_YAML


@pytest.fixture
def config() -> ModelConfig:
    return parse_model_config(MODEL_YAML.encode(), Path("model.yaml"))


def test_without_options_a_run_is_as_model_yaml_says(config: ModelConfig) -> None:
    assert NO_OPTIONS.inference(config) == config.inference
    assert NO_OPTIONS.channels(config) == config.channels


def test_profile_is_the_only_change_that_it_makes(config: ModelConfig) -> None:
    changed = RunOptions(profile="fast").inference(config)
    assert changed.active == config.inference.fast
    assert changed.model_copy(update={"profile": "exact"}) == config.inference


@pytest.mark.parametrize(("asked", "finest"), [(1.0, 1.0), (0.25, 0.5)])
def test_voxels_are_averaged_to_the_coarser_of_both_limits(config: ModelConfig, asked: float, finest: float) -> None:
    """The finest spacing of the profile's own settings, and the run's."""
    changed = RunOptions(profile="fast", finest_spacing=asked).inference(config)
    assert changed.active == config.inference.fast.model_copy(update={"finest_useful_spacing": finest})


def test_limited_run_of_exact_keeps_all_other_settings_of_exact(config: ModelConfig) -> None:
    changed = RunOptions(finest_spacing=1.0).inference(config)
    assert changed.profile == "fast"
    assert changed.active == config.inference.active.model_copy(update={"finest_useful_spacing": 1.0})


def test_one_channel_with_another_phase(config: ModelConfig) -> None:
    (channel,) = RunOptions(channel=1, phase="delayed").channels(config)
    assert channel.series.phase == ("delayed",)
    assert channel.series.model_copy(update={"phase": ("portal",)}) == config.channels[1].series
    assert RunOptions(channel=0).channels(config) == config.channels[:1]
