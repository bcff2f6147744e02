"""``segnode series``: which series and volumes a folder holds, and which of them a model would take."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import AsJson
from app.progress import progress_of
from core.errors import ConfigInvalid, StudyRejected

if TYPE_CHECKING:
    from core.model_config import ModelConfig
    from dicom_io.images.selection.overview import SeriesOverview, VolumeOverview
    from dicom_io.images.selection.selection import Selection
    from dicom_io.images.study import Study

WIDTH = 80
"""Columns of the table."""

QUIET_SECONDS = 2.0
"""Reading that takes longer shows how far it is."""


def series(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with DICOM files, of any shape.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Say what this model would take, and why.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the series of a folder, the volumes in them, and what a model would take of them.

    Headers alone are read. Nothing of the patient is printed, and no description.

    \b
    Examples:
      segnode series mr-folder
      segnode series mr-folder --model liver
      segnode series mr-folder --model liver --json

    \b
    Exit codes: 0 done, 2 usage, 3 no DICOM in the folder or the model would refuse a study,
    4 the model package is invalid, 5 try again later.
    """
    if not folder.is_dir():
        raise ConfigInvalid(f"{folder} is not a folder; give the folder that holds the DICOM files")
    config = None if model is None else _config_of(model)
    from dicom_io.images.selection.overview import overview_of, study_json
    from dicom_io.images.selection.selection import select_series
    from dicom_io.images.study import read_studies

    with _progress() as tell:
        studies = read_studies(folder, tell)
    found = [(study, overview_of(study), None if config is None else select_series(study, config)) for study in studies]
    if as_json:
        told = [study_json(*one, model or "") for one in found]
        typer.echo(json.dumps({"schema": 1, "studies": told}))
    else:
        for study, overview, selection in found:
            for line in _lines(study, overview, selection, config):
                typer.echo(line)
    if any(selection is not None and selection.rejection is not None for _, _, selection in found):
        raise typer.Exit(StudyRejected.exit_code)


def _config_of(model: str) -> "ModelConfig":
    from segmentation.package.package import load_package
    from segmentation.package.store import default_models_path, find_package

    return load_package(find_package(model, default_models_path())).config


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show how many headers are read, where that takes long."""
    started = time.monotonic()
    shown: list[Callable[[float], None]] = []
    with ExitStack() as stack:

        def tell(number: int, count: int) -> None:
            if not shown and time.monotonic() - started > QUIET_SECONDS:
                shown.append(stack.enter_context(progress_of("reading headers")))
            for show in shown:
                show(number / count)

        yield tell


def _lines(
    study: "Study", overview: "Sequence[SeriesOverview]", selection: "Selection | None", config: "ModelConfig | None"
) -> Iterator[str]:
    yield f"study {study.uid or 'without UID'}"
    yield _row("SERIES", "MOD", "VOLUME", "SLICES x ROWS x COLUMNS", "UNIT", "PHASE")
    for one in overview:
        for volume in one.volumes:
            yield from _volume_lines(one, volume, selection)
        for stray in one.volumes[0].traits.series.strays:
            yield from _indented(f"set aside: image {stray.name} {stray.why}")
    for aside in study.set_aside:
        yield from wrap(f"set aside: {aside.count} {'file' if aside.count == 1 else 'files'}: {aside.reason}", WIDTH)
    if selection is not None and config is not None:
        said = f"refused: {selection.rejection.message}" if selection.rejection else "has all it needs"
        yield from wrap(f"model {config.name}: {said}", WIDTH)
    yield ""


def _volume_lines(one: "SeriesOverview", volume: "VolumeOverview", selection: "Selection | None") -> Iterator[str]:
    traits, part = volume.traits, volume.traits.series.part
    number = "?" if traits.number is None else str(traits.number)
    grid = f"{traits.slices} images"
    if volume.layout is not None:
        shape, spacing = volume.layout.geometry.shape, volume.layout.geometry.spacing
        grid = f"{shape[0]} x {shape[1]} x {shape[2]}, {spacing[0]:.4g} mm"
    name = part.words if part is not None else "whole series"
    phase = one.phase.phase or "-"
    unit = "-" if volume.unit == "not stated" else volume.unit
    yield _row(number, traits.modality or "?", name, grid, unit, phase)
    if part is not None and part.named:
        from dicom_io.images.selection.candidates import written_rule

        yield from _indented(f"volume: {written_rule(part.named)}")
    decisions = [
        decision
        for decision in (selection.decisions if selection is not None else ())
        if decision.series_uid == one.series.uid and decision.part == part and decision.decision != "set_aside"
    ]
    if volume.refusal is not None and all(decision.decision != "refused" for decision in decisions):
        # whether a model would take it with geometry: any hangs on the model
        would = "would run with geometry: any; " if volume.layout is not None and selection is None else ""
        yield from _indented(f"{would}{volume.refusal.code}: {volume.refusal.message}")
    for decision in decisions:
        where = f" for channel {decision.channel}" if decision.channel else ""
        yield from _indented(f"{decision.decision}{where}: {decision.reason}")


_WIDTHS = (6, 3, 22, 26, 8, 8)


def _row(*cells: str) -> str:
    cut = [cell if len(cell) <= width else cell[: width - 1] + "…" for cell, width in zip(cells, _WIDTHS, strict=True)]
    return " ".join(cell.ljust(width) for cell, width in zip(cut, _WIDTHS, strict=True)).rstrip()


def _indented(text: str) -> list[str]:
    return wrap(text, WIDTH, initial_indent="       ", subsequent_indent="         ", break_on_hyphens=False)
