"""Sound results folders and packages, and one thread for torch."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from segmentation.importing.add import add_package
from segmentation.package.package import Package
from tests.support.tiny_models import make_results_folder


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # nnU-Net raises and restores the number by itself; sums over threads would round differently.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _no_units_that_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    # torch asks the processor itself for units that make bf16, also where the environment masks its instruction sets.
    if "ATEN_CPU_CAPABILITY" in os.environ:
        masked = dict.fromkeys(("amx_bf16", "avx512_bf16", "avx512_f"), False)
        found = {**torch.cpu.get_capabilities(), **masked}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Make a plain results folder."""
    return make_results_folder(tmp_path / "source", "3d_fullres")


@pytest.fixture
def package(results: Path, tmp_path: Path) -> Package:
    """Add a sound package."""
    return add_package(results, "tiny", tmp_path / "models")
