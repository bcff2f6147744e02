"""One run in two processes on CPUs, by gloo."""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.tiny_training import DATASET, environment_of, prepared_site
from training.runs.child import Work, build_trainer, train
from training.runs.ddp import on_devices
from training.runs.records import RunFolder, RunRequest
from training.runs.trainer import Keeping

EPOCHS = 2


class NeverStopped:
    """A parent that does not ask to stop."""

    def wait_for_stop(self, timeout: float | None = None) -> bool:
        """Return False."""
        return False


def train_and_note(rank: int, is_to_stop: Callable[[], bool], work: Work, request: RunRequest, notes: Path) -> None:
    """Train in one process, and note its losses and a hash of its weights."""
    trainer = build_trainer(request, Keeping(work.run, work.checkpoint_s, is_to_stop))
    train(work, trainer, request)
    state = trainer.network.module.state_dict()
    weights = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in state.values())).hexdigest()
    losses = [float(loss) for loss in trainer.logger.get_value("train_losses", None)]
    (notes / f"{rank}.json").write_text(json.dumps({"weights": weights, "losses": losses, "batch": trainer.batch_size}))


@pytest.mark.peers
def test_two_processes_train_one_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = prepared_site(tmp_path)
    request = RunRequest(
        dataset=DATASET, configuration="3d_fullres", fold="all", epochs=EPOCHS, iterations=2, devices=2
    )
    run = RunFolder.create(site.folders.queue, request)
    for name, value in environment_of(site).items():
        monkeypatch.setenv(name, value)
    on_devices(2, train_and_note, (Work(run, 0.0), request, tmp_path), NeverStopped())  # type: ignore[arg-type]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert len(first["losses"]) == EPOCHS
    assert all(math.isfinite(loss) for loss in first["losses"])
    assert first["batch"] == 1
    final = torch.load(request.output(site.folders) / "checkpoint_final.pth", weights_only=False)
    assert final["current_epoch"] == EPOCHS
    assert run.progress().epoch == EPOCHS
