"""Labels equal nnU-Net's on every voxel, for each kind of model, on the CPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import PackageInvalid
from core.volume import Volume
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.package.package import load_package, open_package
from segmentation.verification.golden_case import run_golden_case
from tests.conftest import PARITY
from tests.support import stock_nnunet as stock
from tests.support.tiny_models import KINDS, make_results_folder, make_volume, volume_for

pytestmark = pytest.mark.slow

Record = Callable[[str, object], None]

MAY_TURN = 2
"""Voxels of 28,800 that profile equal may label otherwise: one was seen in all kinds together (docs/performance.md),
and processors with other units round other ties apart."""

TRAINER = """
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class {name}(nnUNetTrainer):
    @staticmethod
    def build_network_architecture(plans_manager, configuration_manager, inputs, outputs, enable_deep_supervision=True):
        configuration_manager.network_arch_init_kwargs["nonlin"] = "torch.nn.{nonlin}"
        return nnUNetTrainer.build_network_architecture(
            plans_manager, configuration_manager, inputs, outputs, enable_deep_supervision
        )
"""


def compare(kind: str, ours: NDArray[Any], theirs: NDArray[Any], labels: int, record_property: Record) -> None:
    """Demand equality, on masks that hold more than 1 % of every label."""
    mismatches = int((ours != theirs).sum())
    shares = np.bincount(theirs.ravel().astype(int), minlength=labels + 1) / theirs.size
    text = " ".join(f"{share:.1%}" for share in shares)
    record_property(PARITY, f"{kind:<24}{theirs.size:>9}{mismatches:>12}   {text}")
    assert len(shares) == labels + 1
    assert shares.min() > 0.01, f"a label is nearly absent: {text}"
    assert mismatches == 0


def record_difference(row: str, exact: NDArray[Any], other: NDArray[Any], record_property: Record) -> int:
    """Count voxels with other labels than those of profile exact, and record the row of the table."""
    mismatches = int((exact != other).sum())
    shares = " ".join(f"{share:.1%}" for share in np.bincount(other.ravel(), minlength=4) / other.size)
    record_property(PARITY, f"{row:<24}{exact.size:>9}{mismatches:>12}   {shares}")
    return mismatches


# The old plans are the point of that kind.
@pytest.mark.filterwarnings("ignore:Detected old nnU-Net plans format:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_labels_equal_those_of_nnunet(kind: str, tmp_path: Path, record_property: Record) -> None:
    source = make_results_folder(tmp_path, kind)
    volume = volume_for(kind)
    before = volume.array.copy()
    files = stock.write_images(volume, tmp_path / "images")
    theirs = stock.predict_kind(kind, source, files, tmp_path / "stock")
    package = add_package(source, "tiny", tmp_path / "models")
    result = Engine(load_package(package.folder), "cpu").segment(volume)
    compare(kind, result.label_map.array, theirs, 3, record_property)
    assert np.array_equal(volume.array, before)


@pytest.mark.filterwarnings("ignore:Detected old nnU-Net plans format:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_loss_of_profile_fast_is_recorded(kind: str, tmp_path: Path, record_property: Record) -> None:
    """Labels of random networks change with every small difference, so the loss far exceeds a trained model's."""
    package = add_package(make_results_folder(tmp_path, kind), "tiny", tmp_path / "models")
    # So many rows that fast takes fewer tiles: without mirroring and bf16, profiles of a model differ by nothing else.
    volume = volume_for(kind, rows=48)
    exact, fast = (
        Engine(package.in_profile(profile), "cpu").segment(volume).label_map.array for profile in ("exact", "fast")
    )
    mismatches = record_difference(f"{kind}, fast", exact, fast, record_property)
    assert 0 < mismatches < 0.6 * exact.size  # unrelated masks of four labels differ on three quarters


@pytest.mark.usefixtures("openvino")
@pytest.mark.filterwarnings("ignore:Detected old nnU-Net plans format:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_profile_equal_are_those_of_exact(kind: str, tmp_path: Path, record_property: Record) -> None:
    """`exact` gives nnU-Net's. A random network has near ties everywhere, so a voxel may turn."""
    package = add_package(make_results_folder(tmp_path, kind), "tiny", tmp_path / "models")
    volume = volume_for(kind)
    engine = Engine(package.in_profile("equal"), "cpu")
    assert engine.backend.name == "openvino"
    assert engine.backend.precision == "float32"
    exact, equal = (one.segment(volume).label_map.array for one in (Engine(package, "cpu"), engine))
    mismatches = record_difference(f"{kind}, equal", exact, equal, record_property)
    assert mismatches <= MAY_TURN


def test_labels_equal_those_of_predict_from_files(tmp_path: Path, record_property: Record) -> None:
    """The entry point that ``nnUNetv2_predict`` calls, with its worker processes."""
    source = make_results_folder(tmp_path, "3d_fullres", seed=3, mirror_axes=(1,))
    volume = make_volume(seed=8)
    files = stock.write_images(volume, tmp_path / "images")
    (tmp_path / "out").mkdir()
    output = [str(tmp_path / "out" / "case")]
    stock.predictor(source).predict_from_files(
        [files], output, num_processes_preprocessing=1, num_processes_segmentation_export=1
    )
    package = add_package(source, "tiny", tmp_path / "models")
    ours = Engine(package, "cpu").segment(volume).label_map.array
    compare("predict_from_files", ours, stock.read_mask(tmp_path / "out"), 3, record_property)


def test_custom_trainer_is_taken_after_its_golden_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """A class of the researcher's own, found by nnU-Net through ``nnUNet_extTrainer``."""
    monkeypatch.setenv("nnUNet_extTrainer", str(tmp_path / "trainers"))
    mask, files, volume = _predict_with_custom_trainer(tmp_path, nonlin="LeakyReLU")
    package = add_package(tmp_path / "source", "custom", tmp_path / "models")
    with pytest.raises(PackageInvalid, match="trainer TrainerOfAClinic may have changed the network"):
        load_package(package.folder)
    outcome = run_golden_case(open_package(package.folder), [Path(f) for f in files], mask, "cpu")
    assert outcome.passed
    assert outcome.agreement == 1.0
    ours = Engine(load_package(package.folder), "cpu").segment(volume).label_map.array
    compare("custom trainer", ours, stock.read_mask(mask.parent), 3, record_property)
    text = (package.folder / "model.yaml").read_text()
    (package.folder / "model.yaml").write_text(text.replace("orientation: acquired", "orientation: LPS"))
    with pytest.raises(PackageInvalid, match="no golden case has been run with these weights and settings"):
        load_package(package.folder)


def test_trainer_that_changes_the_network_fails_its_golden_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights load strictly into the plans' network, which infers something else."""
    monkeypatch.setenv("nnUNet_extTrainer", str(tmp_path / "trainers"))
    mask, files, _ = _predict_with_custom_trainer(tmp_path, nonlin="ELU")
    package = add_package(tmp_path / "source", "custom", tmp_path / "models")
    outcome = run_golden_case(package, [Path(f) for f in files], mask, "cpu")
    assert not outcome.passed
    assert outcome.agreement < 0.9
    with pytest.raises(PackageInvalid, match="its last golden case failed"):
        load_package(package.folder)


def _predict_with_custom_trainer(folder: Path, nonlin: str) -> tuple[Path, list[str], Volume]:
    name = "TrainerOfAClinic"
    (folder / "trainers").mkdir()
    (folder / "trainers" / "clinic.py").write_text(TRAINER.format(name=name, nonlin=nonlin))
    source = make_results_folder(folder, "3d_fullres", trainer=name, mirror_axes=(0,))
    source.parent.rename(folder / "source")
    volume = make_volume()
    files = stock.write_images(volume, folder / "images")
    stock.predict(folder / "source" / source.name, files, folder / "stock")
    return folder / "stock" / "case.nrrd", files, volume
