"""A context of two models, written once."""

from pathlib import Path

import pytest

from app.map.context import Image, write_context
from segmentation.package.package import Package, load_package
from tests.e2e.conftest import make_model


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Package]:
    """Packages ``alpha`` for CT and ``beta`` for MR."""
    folder, work = tmp_path_factory.mktemp("map_models"), tmp_path_factory.mktemp("map_nnunet")
    make_model(folder, work, "alpha", {"modality": ["CT"]})
    make_model(folder, work, "beta", {"modality": ["MR"]})
    return [load_package(folder / name) for name in ("alpha", "beta")]


@pytest.fixture(scope="session")
def image(packages: list[Package]) -> Image:
    """Both models with torch for processors."""
    return Image("hospital/two", "1.2.3", packages, "cpu")


@pytest.fixture(scope="session")
def context(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The context of the image, as ``segnode package`` writes it."""
    folder = tmp_path_factory.mktemp("map") / "context"
    write_context(image, folder)
    return folder
