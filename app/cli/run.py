"""``segnode run``: one folder of DICOM in, one folder of results out."""

from pathlib import Path
from signal import Signals
from typing import Annotated

import typer
from rich.console import Console

from app.cli.options import Device
from app.run_folder import chosen_outputs, run_folder
from app.stop_signals import ended_by_signals
from core.errors import ConfigInvalid
from core.model_config import Profile
from core.result_forms import DEFAULT, MADE
from dicom_io.results.stagings import Stagings
from runtime.logs import configure_logging
from runtime.processor import settle_threads

TYPE_THIS = "type segnode run INPUT OUTPUT, or segnode run -i INPUT -o OUTPUT"


def run(
    model: Annotated[list[str], typer.Option("--model", "-m", help="Name of a model package; may be repeated.")],
    input_folder: Annotated[
        Path | None, typer.Argument(metavar="INPUT", help="Folder with DICOM files, of any shape.", show_default=False)
    ] = None,
    output_folder: Annotated[
        Path | None,
        typer.Argument(metavar="OUTPUT", help="Results go to OUTPUT/<StudyInstanceUID>/.", show_default=False),
    ] = None,
    input_option: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="INPUT", help="In place of the argument INPUT; goes with -o."),
    ] = None,
    output_option: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUTPUT", help="In place of the argument OUTPUT; goes with -i."),
    ] = None,
    nifti: Annotated[bool, typer.Option("--nifti", help="Also write <model>_seg.nii.gz.")] = False,
    outputs: Annotated[
        str, typer.Option(metavar="FORM,FORM", help=f"Forms of each result, of: {', '.join(MADE)}.")
    ] = ",".join(DEFAULT),
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.AUTO,
    profile: Annotated[
        Profile | None,
        typer.Option(
            help="exact: nnU-Net's labels; equal, fast: fewer seconds, docs/models.md. Default: model.yaml's."
        ),
    ] = None,
) -> None:
    """Segment every study of a folder.

    \b
    Examples:
      segnode run ct-folder out --model demo
      segnode run -i ct-folder -o out --model demo
      segnode run ct-folder out --model liver --model vessels --nifti --device cuda
      segnode run ct-folder out --model liver --profile fast

    \b
    Exit codes: 0 done (also when nothing was found), 2 usage or configuration, 3 a study was refused,
    4 a model package is invalid, 5 try again later, 130 ended by Ctrl-C, 143 by SIGTERM, 1 anything else.
    With several studies the highest counts.
    """
    configure_logging("run")
    settle_threads()
    source, target = _folders((input_folder, output_folder), (input_option, output_option))
    forms = chosen_outputs(outputs, "--outputs")
    stagings = Stagings()

    def end(number: Signals) -> None:
        stagings.end()
        by = "Ctrl-C" if number is Signals.SIGINT else number.name
        Console(stderr=True).show_cursor()  # a bar hides it
        typer.echo(f"segnode: ended by {by}; of a study that was not finished nothing is left in {target}", err=True)

    with ended_by_signals(end):
        code = run_folder(
            source, target, model, nifti=nifti, outputs=forms, device=device, profile=profile, stagings=stagings
        )
    raise typer.Exit(code)


def _folders(arguments: tuple[Path | None, Path | None], options: tuple[Path | None, Path | None]) -> tuple[Path, Path]:
    """Give input and output, from the two arguments or from the two options.

    Raises
    ------
    ConfigInvalid
        If both were given, or half of either.
    """
    if any(arguments) and any(options):
        raise ConfigInvalid(f"the folders are given as arguments and by -i or -o, too; {TYPE_THIS}")
    source, target = options if any(options) else arguments
    if source is None or target is None:
        absent = "input and no output" if source is target else "input" if source is None else "output"
        raise ConfigInvalid(f"no {absent} folder is given; {TYPE_THIS}")
    return source, target
