"""Sound results folders and packages, one thread for torch, and the table of parity with nnU-Net at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from segmentation.package import Package, add_package
from tests.tiny_models import make_results_folder

PARITY = "parity"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # nnU-Net raises and restores the number by itself; sums over threads would round differently.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A plain results folder."""
    return make_results_folder(tmp_path / "source", "3d_fullres")


@pytest.fixture
def package(results: Path, tmp_path: Path) -> Package:
    """A sound package."""
    return add_package(results, "tiny", tmp_path / "models")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line per kind of model that was compared with nnU-Net."""
    reports = [r for outcome in ("passed", "failed") for r in terminalreporter.getreports(outcome)]
    lines = [text for r in reports if r.when == "call" for key, text in r.user_properties if key == PARITY]
    if lines:
        terminalreporter.section("labels against nnU-Net's, on the CPU")
        terminalreporter.write_line(f"{'kind':<24}{'voxels':>9}{'mismatches':>12}   share of every label")
        for line in lines:
            terminalreporter.write_line(str(line))
