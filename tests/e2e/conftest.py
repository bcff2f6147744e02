"""Fixtures that the end-to-end tests share: small models that really run."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from segmentation.importing.add import add_package
from tests.support.tiny_models import make_results_folder

COARSE: dict[str, Any] = {
    "spacing": (6.0, 4.0, 4.0),
    "patch_size": (32, 64, 64),
    "mirror_axes": None,
    "labels": {"background": 0, "organ": 1},
}
"""A plan that puts a whole trunk into a few patches."""


def make_model(models: Path, work: Path, name: str, *rules: dict[str, Any]) -> None:
    """Add a tiny model of regular geometry whose channels take series by the given rules."""
    kind = "two_channels" if len(rules) == 2 else "3d_fullres"
    add_package(make_results_folder(work / name, kind, trainer="nnUNetTrainerNoMirroring", **COARSE), name, models)
    path = models / name / "model.yaml"
    content = yaml.safe_load(path.read_text()) | {"geometry": "regular"}
    for channel, rule in zip(content["channels"], rules, strict=True):
        channel["series"] = rule
    path.write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages ``tiny`` (any CT), ``portal`` (portal venous CT) and ``pair`` (two CT series)."""
    models, work = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("nnunet")
    ct = {"modality": ["CT"]}
    make_model(models, work, "tiny", ct)
    make_model(models, work, "portal", ct | {"description": ["portal"]})
    make_model(models, work, "pair", ct | {"description": ["first"]}, ct | {"description": ["second"]})
    return models
