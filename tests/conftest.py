"""What every test may ask for: the real series, and the peers on this machine."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

PEERS_ARE_REQUIRED = os.environ.get("SEGNODE_REQUIRE_PEERS") == "1"
DATA = Path(os.environ.get("SEGNODE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def missing(what: str) -> None:
    """Skip with a reason on a developer's machine, fail where peers are required."""
    if PEERS_ARE_REQUIRED:
        pytest.fail(f"{what}, and SEGNODE_REQUIRE_PEERS=1 forbids to skip")
    pytest.skip(what)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Path of a folder or file of the real test data, by its name below ``SEGNODE_TEST_DATA``."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            missing(f"real data {name} not found below SEGNODE_TEST_DATA ({DATA})")
        return path

    return find


@pytest.fixture(scope="session")
def peer() -> Callable[[str], str]:
    """Path of another project's program (``storescu``, ``Orthanc``, ``dciodvfy``), found on PATH or in /usr/sbin."""

    def find(name: str) -> str:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
        if path is None:
            missing(f"{name} is not installed")
        return str(path)

    return find
