"""``segnode run``: one folder of DICOM in, one folder of results out."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.run_folder import run_folder
from core.model_config import Profile
from runtime.logs import configure_logging


class Device(StrEnum):
    """Where the network runs."""

    AUTO = "auto"
    CUDA = "cuda"
    CPU = "cpu"


def run(
    input_folder: Annotated[Path, typer.Argument(metavar="INPUT", help="Folder with DICOM files, of any shape.")],
    output_folder: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Results go to OUTPUT/<StudyInstanceUID>/.")],
    model: Annotated[list[str], typer.Option("--model", "-m", help="Name of a model package; may be repeated.")],
    nifti: Annotated[bool, typer.Option("--nifti", help="Also write <model>_seg.nii.gz.")] = False,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.AUTO,
    profile: Annotated[
        Profile | None,
        typer.Option(help="exact: nnU-Net's labels; fast: fewer seconds, see docs/models.md. Default: model.yaml's."),
    ] = None,
) -> None:
    """Segment every study of a folder.

    \b
    Examples:
      segnode run ct-folder out --model demo
      segnode run ct-folder out --model liver --model vessels --nifti --device cuda
      segnode run ct-folder out --model liver --profile fast

    \b
    Exit codes: 0 done (also when nothing was found), 2 usage or configuration, 3 a study was refused,
    4 a model package is invalid, 5 try again later, 1 anything else. With several studies the highest counts.
    """
    configure_logging("run")
    raise typer.Exit(run_folder(input_folder, output_folder, model, nifti=nifti, device=device, profile=profile))
