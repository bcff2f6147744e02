"""``segnode demo``: what a newcomer runs first."""

import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.run_summary import show_line, show_outcome, show_volumes
from core.errors import ConfigInvalid
from runtime.processor import settle_threads

MARK = ".segnode-demo"
"""Marks a folder as the demo's own, which the next demo may empty."""


def demo(
    dicom: Annotated[Path | None, typer.Option(help="A folder with one study of your own.")] = None,
    work: Annotated[Path, typer.Option(help="Where the demo writes; emptied first.")] = Path("demo"),
) -> None:
    """Send a study through a PACS and the node, and show what came back.

    Without --dicom the study is a made patient. The PACS is Orthanc where it is installed.

    \b
    Examples:
      segnode demo
      segnode demo --dicom ct-folder
    """
    settle_threads()
    from app.demo.demo import run_demo

    if dicom is not None and not dicom.is_dir():
        raise ConfigInvalid(f"{dicom} is not a folder; give the folder that holds the DICOM files")
    if dicom is not None and dicom.resolve().is_relative_to(work.resolve()):
        raise ConfigInvalid(f"{dicom} lies in {work}, which the demo empties; copy it elsewhere or give another --work")
    _empty(work)
    # Whoever ends the demo ends its node and its PACS, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    console = Console()
    result = run_demo(work.absolute(), dicom, lambda what: console.print(f"[dim]…[/dim] {what}", highlight=False))
    report = result.report
    show_outcome(report)
    show_line(f"SEG series of this study in {result.pacs}: {result.seg_count}")
    show_volumes(report)
    timings = Table("step", "seconds", title="timings", title_justify="left")
    for step, seconds in (result.waits_s | {f"  of it: {k}": v for k, v in report.timings_s.items()}).items():
        timings.add_row(step, f"{seconds:.1f}")
    console.print(timings)
    for model in report.models:
        for name in model.outputs:
            typer.echo(str(result.folder / name))
    console.print("The demonstration model is not for clinical use.")
    raise typer.Exit(report.exit_code)


def _empty(work: Path) -> None:
    if work.exists() and any(work.iterdir()):
        if not (work / MARK).exists():
            raise ConfigInvalid(f"{work} is not empty and was not made by this command; give another with --work")
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    (work / MARK).touch()
