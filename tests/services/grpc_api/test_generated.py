"""The generated code is what the proto gives."""

from pathlib import Path

import pytest

from services.proto.generate import NAMES, TARGET, generate


@pytest.mark.parametrize("name", NAMES)
def test_the_code_is_up_to_date(name: str, tmp_path: Path) -> None:
    generate(tmp_path)
    assert (tmp_path / name).read_text() == (TARGET / name).read_text(), "run: python -m services.proto.generate"
