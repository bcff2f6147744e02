"""A spool of a test's own."""

from pathlib import Path

import pytest

from dicom_io.spool.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    return spool
