"""The summary of a study's report that a person reads, in the width of the terminal, 80 columns elsewhere."""

import textwrap

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.report import Report

_HELD = "\N{NO-BREAK SPACE}"
"""A space at which no line is broken; it is printed as an ordinary one."""


def show_outcome(report: Report) -> None:
    """Show the outcome, the study, and what a person should know of either."""
    Console().print(Text(report.outcome, style="bold"))
    show_line(f"study {report.study}")
    if report.reason is not None:
        show_line(f"{report.reason.code}: {report.reason.message}")
    for warning in report.warnings:
        show_line(f"warning: {warning.code}: {warning.message}")


def show_volumes(report: Report) -> None:
    """Show the volumes that each model found, by label."""
    for model in report.models:
        show_line(f"{model.name}, profile {model.profile}")
        table = Table("label", "volume (ml)", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for label, volume in model.volumes_ml.items():
            table.add_row(Text(label), f"{volume:.1f}")
        Console().print(table)


def show_seconds(report: Report) -> None:
    """Show the seconds of each stage, and the device."""
    stages = [f"{stage}{_HELD}{seconds:.1f}" for stage, seconds in report.timings_s.items()]
    show_line(f"seconds: {', '.join(stages)}, on{_HELD}{report.device}")


def show_line(text: str) -> None:
    """Show indented text, broken between words alone: a UID or a path stays whole, on a line of its own if need be."""
    lines = textwrap.wrap(
        text,
        Console().width,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    typer.echo("\n".join(lines).replace(_HELD, " "))
