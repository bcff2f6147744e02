"""Checkpoints that nnU-Net's own trainer writes are read; their odd contents do not need a wider allow-list."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from segmentation.importing.add import add_package
from segmentation.importing.checkpoints import read_checkpoint
from tests.support.tiny_models import DATASET, make_results_folder


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a results folder whose checkpoint ``nnUNetTrainer.save_checkpoint`` wrote after an epoch's bookkeeping."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    results = make_results_folder(tmp_path / "results", "3d_fullres")
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "trainer"))
    monkeypatch.setenv("nnUNet_compile", "false")
    folder = tmp_path / "preprocessed" / DATASET / "nnUNetPlans_3d_fullres"
    folder.mkdir(parents=True)
    (folder / "case.b2nd").touch()  # only its ending is looked at
    plans = json.loads((results / "plans.json").read_text()) | {"continue_training": False}
    dataset = json.loads((results / "dataset.json").read_text())
    trainer = nnUNetTrainer(plans, "3d_fullres", 0, dataset, device=torch.device("cpu"))
    trainer.initialize()
    trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()  # sets the axes that inference may mirror
    logits = trainer.network(torch.randn(1, 1, 16, 24, 24))
    torch.stack([output.square().mean() for output in logits]).sum().backward()
    trainer.optimizer.step()
    trainer.on_epoch_start()
    trainer.on_train_epoch_end([{"loss": np.array(0.5, dtype=np.float32)}])
    counts = {key: np.array([3, 4, 5]) for key in ("tp_hard", "fp_hard", "fn_hard")}
    trainer.on_validation_epoch_end([{"loss": np.array(0.4, dtype=np.float32), **counts}])
    trainer._best_ema = trainer.logger.get_value("ema_fg_dice", step=-1)
    trainer.save_checkpoint(str(results / "fold_0" / "checkpoint_final.pth"))
    return results


# The trainer's scheduler is stepped before its optimizer when only the bookkeeping of an epoch runs.
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
def test_checkpoint_of_the_real_trainer(trained: Path, tmp_path: Path) -> None:
    path = trained / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    assert isinstance(content["_best_ema"], np.floating)
    assert isinstance(content["logging"]["train_losses"][0], np.floating)
    checkpoint = read_checkpoint(path)
    assert (checkpoint.trainer, checkpoint.configuration, checkpoint.mirror_axes) == (
        "nnUNetTrainer",
        "3d_fullres",
        (0, 1, 2),
    )
    assert checkpoint.weights.keys() == content["network_weights"].keys()
    assert add_package(trained, "trained", tmp_path / "models").manifest.configurations[0].mirror_axes == (0, 1, 2)


def test_scalars_of_numpy_1_are_read(tmp_path: Path) -> None:
    """Pickles of numpy 1 name ``numpy.core.multiarray.scalar``; numpy 2 has moved it."""
    path = make_results_folder(tmp_path, "3d_fullres") / "fold_0" / "checkpoint_final.pth"
    content = path.read_bytes()
    assert content.count(b"numpy._core.multiarray\nscalar") == 1
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert read_checkpoint(path).trainer == "nnUNetTrainer"
