"""``segnode train start``: queue the training of folds, and begin it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.train.launch import begin
from app.cli.train.options import PLANS, Config, Dataset, QueueOnly
from app.cli.train.site import open_site_of
from core.errors import ConfigInvalid

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from training.runs.records import RunRequest
    from training.settings import TrainingSettings

Configuration = Annotated[str, typer.Argument(help="Of the plans: 2d, 3d_fullres, 3d_lowres, 3d_cascade_fullres.")]
Folds = Annotated[list[str] | None, typer.Option("--fold", "-f", help="0, 1, …, or all; may be repeated.")]
Trainer = Annotated[str, typer.Option(help="A trainer class of nnU-Net that keeps the network.")]
Plans = Annotated[str, typer.Option(help="Name of the plans.")]
Epochs = Annotated[int | None, typer.Option(help="How many; left out: the trainer's own, 1000 mostly.")]
Iterations = Annotated[int | None, typer.Option(help="In an epoch; left out: the trainer's own, 250.")]
Pretrained = Annotated[Path | None, typer.Option(help="An nnU-Net checkpoint to begin with.")]
FromPackage = Annotated[str | None, typer.Option("--from", help="A model package to begin with.")]
Devices = Annotated[int, typer.Option(help="How many GPUs together for one run.")]
Shared = Annotated[bool, typer.Option("--shared", help="Other runs may use the device meanwhile.")]
Priority = Annotated[int, typer.Option(help="A smaller one comes first.")]


def start(
    dataset: Dataset,
    configuration: Configuration,
    fold: Folds = None,
    trainer: Trainer = "nnUNetTrainer",
    plans: Plans = PLANS,
    epochs: Epochs = None,
    iterations: Iterations = None,
    pretrained: Pretrained = None,
    from_package: FromPackage = None,
    devices: Devices = 1,
    shared: Shared = False,
    priority: Priority = 100,
    queue_only: QueueOnly = False,
    config: Config = None,
) -> None:
    """Queue the training of one or more folds, and begin it.

    \b
    Examples:
      segnode train start Liver 3d_fullres --fold 0
      segnode train start Liver 3d_fullres -f 0 -f 1 -f 2 -f 3 -f 4

    A run that was killed goes on from its newest checkpoint.
    Exit codes: 0 queued, 2 it cannot be done as it is asked for.
    """
    settings = open_site_of(config)
    from training.runs.choice import check_request, find_dataset
    from training.runs.records import RunFolder
    from training.runs.trainer import check_trainer

    check_trainer(trainer)
    name = find_dataset(settings, dataset)
    if from_package is not None:
        if pretrained is not None:
            raise ConfigInvalid("--from and --pretrained: both say what to begin with; give one")
        pretrained = _weights_of(settings, from_package, configuration)
    requests = _requests(
        fold or ["0"],
        dataset=name,
        configuration=configuration,
        trainer=trainer,
        plans=plans,
        epochs=epochs,
        iterations=iterations,
        pretrained=pretrained.absolute() if pretrained else None,
        devices=devices,
        shared=shared,
        priority=priority,
    )
    for request in requests:
        check_request(settings, request)
    runs = [RunFolder.create(settings.folders.queue, request) for request in requests]
    for run in runs:
        typer.echo(f"queued {run.key}")
    begin(settings, config, runs, queue_only=queue_only)


def _requests(folds: Sequence[str], **asked: Any) -> "list[RunRequest]":
    """Make the request of each fold; what was asked for wrongly is told by its option."""
    from pydantic import ValidationError

    from training.runs.records import RunRequest

    try:
        return [RunRequest(fold=int(one) if one.isdigit() else one, **asked) for one in folds]
    except ValidationError as error:
        raise ConfigInvalid("; ".join(_said(problem) for problem in error.errors())) from error


def _weights_of(settings: "TrainingSettings", name: str, configuration: str) -> Path:
    from segmentation.package.package import open_package
    from segmentation.package.store import default_models_path, find_package
    from training.runs.pretrained import write_pretrained

    return write_pretrained(open_package(find_package(name, default_models_path())), configuration, settings.folders)


def _said(problem: "ErrorDetails") -> str:
    from core.validation_message import plain_message

    where = ".".join(map(str, problem["loc"][:1]))
    return f"--{where} {problem['input']}: {plain_message(problem['msg'])}"
