"""Results folders that are damaged or hostile on purpose, and the demand that they are refused."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import PackageInvalid
from segmentation.importing.add import add_package
from segmentation.package.package import MODEL_YAML, Package, load_package

RUN = "pickle_ran"


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refused(source: Path, tmp_path: Path, *words: str) -> str:
    """Demand that a source is refused, that the text holds all words, and that nothing is left behind."""
    with pytest.raises(PackageInvalid) as caught:
        add_package(source, "refused", tmp_path / "models")
    for word in words:
        assert word in str(caught.value)
    assert list((tmp_path / "models").iterdir()) == []
    return str(caught.value)


def answered(package: Package) -> Package:
    """Answer the questions of a new package as they are written, and load it anew."""
    path = package.folder / MODEL_YAML
    path.write_text(re.sub(r"\s*#.*DECIDE.*$", "", path.read_text(), flags=re.MULTILINE))
    return load_package(package.folder)


class Bomb:
    """An object that makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def change_checkpoint(results: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Load, change and save the checkpoint of fold 0."""
    path = results / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    change(content)
    torch.save(content, path)
