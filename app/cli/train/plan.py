"""``segnode train plan``: fingerprint, plans, split and prepared cases of data sets."""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.train.options import PLANS, Config
from app.cli.train.site import open_site_of
from app.progress import phase, progress_of
from core.errors import ConfigInvalid

if TYPE_CHECKING:
    from training.settings import TrainingSettings


def plan(
    datasets: Annotated[list[str], typer.Argument(metavar="DATASET...", help="Number, title or whole name of each.")],
    planner: Annotated[str, typer.Option(help="default, or a residual encoder: resenc-m, -l, -xl.")] = "default",
    gpu_memory: Annotated[float | None, typer.Option(help="GB that a training may take; else the planner's.")] = None,
    configuration: Annotated[
        list[str] | None, typer.Option("--configuration", "-C", help="Prepare this one; may be repeated. Else all.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes at a time; left out: one a core.")] = None,
    config: Config = None,
) -> None:
    """Plan data sets as nnU-Net does, and prepare their cases, in parallel within the memory there is.

    \b
    Examples:
      segnode train plan Liver
      segnode train plan Liver Kidney --planner resenc-m

    What is prepared is not prepared again, also after it was interrupted. All
    that nnU-Net's planner prints goes to planning.log beside the plans.
    Exit codes: 0 prepared, 2 a data set or a case is wrong, 5 a process was killed.
    """
    settings = open_site_of(config)
    from runtime.processor import usable_cores
    from segmentation.inference.available_memory import host_memory
    from training.preparation.plans import Planner, make_plans
    from training.preparation.prepare import ALL, Wanted, prepare
    from training.runs.choice import find_dataset

    if planner not in set(Planner):
        raise ConfigInvalid(f"--planner {planner}: there are: {', '.join(Planner)}")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes share the cores, not their threads
    processes = workers or usable_cores()
    wanted = []
    for name in [find_dataset(settings, one) for one in datasets]:
        with phase(f"planning {name}"):
            plans, content = make_plans(settings, name, Planner(planner), gpu_memory, processes)
        there = [one for one in content["configurations"] if one in ALL]
        if unknown := [one for one in configuration or () if one not in there]:
            raise ConfigInvalid(f"--configuration {unknown[0]}: {plans} of {name} have: {', '.join(there)}")
        wanted += [Wanted(name, plans, one) for one in configuration or there]
        for one in configuration or there:
            typer.echo(f"{name} {plans} {one}: {_described(settings, name, content, one)}")
    memory = int(settings.memory_gb * 2**30) if settings.memory_gb else host_memory().free
    with progress_of("preparing cases", shown=True) as on_progress:
        done = prepare(settings, wanted, processes, memory, on_progress)
    typer.echo(f"prepared {done.prepared} cases, {done.known} were prepared before")
    first = wanted[0]
    named = "" if first.plans == PLANS else f" --plans {first.plans}"
    typer.echo(f"next: segnode train start {first.dataset} {first.configuration}{named}")


def _described(settings: "TrainingSettings", dataset: str, plans: Mapping[str, Any], configuration: str) -> str:
    """Say what is trained on, and the memory that it is predicted to take."""
    from training.runs.memory import predict_gb

    chosen = plans["configurations"][configuration]
    labels = json.loads((settings.folders.preprocessed / dataset / "dataset.json").read_text())["labels"]
    predicted = predict_gb(plans, configuration, len(chosen["normalization_schemes"]), len(labels))
    patch, spacing = ("x".join(f"{v:g}" for v in chosen[key]) for key in ("patch_size", "spacing"))
    return (
        f"patch {patch} at {spacing} mm, batch {chosen['batch_size']}, a training takes about {predicted:.1f} GB of "
        "GPU memory"
    )
