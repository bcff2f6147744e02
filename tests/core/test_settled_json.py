"""A key that comes to ``model.yaml`` changes no hash and no UID until somebody sets it."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

import core.model_config
from core.frozen import Frozen
from core.model_config import Channel, Inference, ModelConfig, SeriesRule, parse_model_config
from core.settled_json import FIRST_KEYS, settled_json
from segmentation.package import golden_results, profile_results
from segmentation.package.results_file import settings_hash
from tests.dicom_io.results.test_result_identity import MODEL_YAML


@pytest.fixture
def config() -> ModelConfig:
    return parse_model_config(MODEL_YAML.encode(), Path("model.yaml"))


def test_hashes_of_settings_are_those_of_before(config: ModelConfig) -> None:
    """Frozen from the program that first measured; those beside a package still count for it."""
    exact, both = (settings_hash(config, kind.UNUSED_SETTINGS) for kind in (golden_results, profile_results))
    assert exact == "f40765312fb61db7da587aeacd36f1186c6031df8668d26d89792049b523c8a4"
    assert both == "3b0ca1011f8928b2d86afbda57d556329909bfdf573ae4e720e6eb0dea3acfb7"


def test_every_first_key_is_there_in_its_place() -> None:
    for name, keys in FIRST_KEYS.items():
        fields = [key for key in getattr(core.model_config, name).model_fields if key in keys]
        assert tuple(fields) == keys, name


def later(name: str, base: type[Frozen], **keys: Any) -> Any:
    """A class as a later version has it: of the same name, with further keys."""
    content = {"__annotations__": {key: annotation for key, (annotation, _) in keys.items()}}
    return type(
        name, (base,), content | {key: default for key, (_, default) in keys.items()} | {"__module__": __name__}
    )


class Extra(Frozen):
    """A part that no earlier version knew."""

    low: float = 0.0
    high: float = 1.0


Channel2 = later(
    "Channel", Channel, unit=(str | None, None), limits=(Extra, Field(default=Extra())), steps=(tuple[Extra, ...], ())
)
Inference2 = later("Inference", Inference, threads=(int, 1))
Manifest2 = later(
    "ModelConfig", ModelConfig, channels=(tuple[Channel2, ...], Field()), inference=(Inference2, Inference2())
)
RULE = SeriesRule(modality=("CT",))


def test_later_key_at_its_default_is_left_out() -> None:
    plain = settled_json(Channel(name="CT", series=RULE))
    assert json.loads(plain).keys() == {"name", "series"}
    assert settled_json(Channel2(name="CT", series=RULE)) == plain
    assert settled_json(Channel2(name="CT", series=RULE, unit=None, limits=Extra(high=1.0))) == plain
    assert settled_json(Inference2(threads=1), {"profile"}) == Inference().model_dump_json(exclude={"profile"})


def test_later_key_that_is_set_counts() -> None:
    assert json.loads(settled_json(Channel2(name="CT", series=RULE, unit="HU")))["unit"] == "HU"
    limits = json.loads(settled_json(Channel2(name="CT", series=RULE, limits=Extra(high=2.0))))["limits"]
    assert limits == {"high": 2.0}
    steps = json.loads(settled_json(Channel2(name="CT", series=RULE, steps=(Extra(), Extra(low=0.5)))))["steps"]
    assert steps == [{}, {"low": 0.5}]


def test_later_key_deep_inside_is_left_out(config: ModelConfig) -> None:
    content = config.model_dump(by_alias=True)
    assert settled_json(Manifest2(**content)) == settled_json(config)
    content["channels"][1]["unit"] = "SUV"
    found = json.loads(settled_json(Manifest2(**content)))["channels"]
    assert found[1]["unit"] == "SUV"
    assert "unit" not in found[0]
