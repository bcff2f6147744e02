"""Weights that a training begins with: taken over but for the last layers, or refused before anything is queued."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights

from core.errors import ConfigInvalid
from tests.support.tiny_training import DATASET, environment_of, prepared_site
from tests.support.trained_folders import RUN, Bomb
from training.runs.child import begin, build_trainer
from training.runs.choice import check_request
from training.runs.records import RunFolder, RunRequest
from training.runs.trainer import Keeping
from training.settings import TrainingSettings

Weights = dict[str, torch.Tensor]
FIRST = "encoder.stages.0.0.convs.0.conv.weight"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> TrainingSettings:
    return prepared_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(autouse=True)
def _environment(site: TrainingSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment_of(site).items():
        monkeypatch.setenv(name, value)


def request_with(pretrained: Path | None, fold: int = 0) -> RunRequest:
    return RunRequest(dataset=DATASET, configuration="3d_fullres", fold=fold, pretrained=pretrained)


def trainer_of(site: TrainingSettings, request: RunRequest) -> Any:
    """A trainer whose training is about to begin."""
    run = RunFolder.create(site.folders.queue, request)
    trainer = build_trainer(request, Keeping(run, 0.0, lambda: False))
    assert begin(trainer, run, request) is None
    return trainer


@pytest.fixture(scope="module")
def weights(site: TrainingSettings) -> Weights:
    """Those of a network of the data set's plans."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment_of(site).items():
            patch.setenv(name, value)
        state: Weights = trainer_of(site, request_with(None, fold=1)).network.state_dict()
    return state


def save(path: Path, weights: Weights, **more: Any) -> Path:
    torch.save({"network_weights": weights, **more}, path)
    return path


def test_all_but_the_last_layers_are_taken_over_as_nnunet_does(
    site: TrainingSettings, weights: Weights, tmp_path: Path
) -> None:
    request = request_with(save(tmp_path / "other.pth", weights))
    check_request(site, request)
    trainer = trainer_of(site, request)
    begun = trainer.network.state_dict()
    last = {name for name in begun if ".seg_layers." in name}
    assert last
    assert all(torch.equal(begun[name], weights[name]) for name in begun if name not in last)
    assert not any(torch.equal(begun[name], weights[name]) for name in last if name.endswith("weight"))
    load_pretrained_weights(trainer.network, str(request.pretrained))
    after = trainer.network.state_dict()
    assert all(torch.equal(after[name], begun[name]) for name in begun)


def of_two_channels(weights: Weights) -> Weights:
    return weights | {FIRST: torch.zeros(4, 2, *weights[FIRST].shape[2:])}


def of_other_kernels(weights: Weights) -> Weights:
    return weights | {FIRST: torch.zeros(4, 1, 1, 1, 1)}


def without_a_layer(weights: Weights) -> Weights:
    return {name: tensor for name, tensor in weights.items() if name != FIRST}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_two_channels, "weights of a network that takes 2 channels, and this one takes 1; take those"),
        (of_other_kernels, f"weights of another network, whose {FIRST} is 4x1x1x1x1, where this one has 4x1x3x3x3"),
        (without_a_layer, f"weights of another network, which has no {FIRST}; take those of a training with the same"),
    ],
)
def test_weights_of_another_network_are_refused(
    site: TrainingSettings, weights: Weights, tmp_path: Path, change: Callable[[Weights], Weights], said: str
) -> None:
    path = save(tmp_path / "other.pth", change(weights))
    with pytest.raises(ConfigInvalid, match=f"--pretrained {path}: {said}"):
        check_request(site, request_with(path))


def test_a_file_that_holds_more_than_weights_is_not_loaded(
    site: TrainingSettings, weights: Weights, tmp_path: Path
) -> None:
    path = save(tmp_path / "other.pth", weights, optimizer_state=Bomb(tmp_path / RUN))
    with pytest.raises(ConfigInvalid, match=f"--pretrained {path}: other.pth: refused, it holds more than weights"):
        check_request(site, request_with(path))
    assert not (tmp_path / RUN).exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), (b"no checkpoint", "other.pth: not a checkpoint as torch.save writes")],
)
def test_file_that_is_no_checkpoint_is_refused(
    site: TrainingSettings, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "other.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigInvalid, match=f"--pretrained {path}: {said}"):
        check_request(site, request_with(path))
