"""``segnode datasets register``: images with masks become an nnU-Net raw data set with a lock."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.datasets.place import Place, facts_of, where
from app.cli.model_tables import print_json
from app.cli.options import AsJson
from app.progress import progress_of
from core.errors import ConfigInvalid

if TYPE_CHECKING:
    from training.datasets.register import Registration


class PairBy(StrEnum):
    """The way in which a DICOM mask finds its images."""

    REFERENCES = "references"
    FRAME_OF_REFERENCE = "frame-of-reference"


Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the data set: letters, digits, '_' and '-'.")]
Source = Annotated[
    list[Path],
    typer.Argument(
        metavar="SOURCE...",
        help="Folders: DICOM with SEG or RTSTRUCT, files that --image and --mask fit, an nnU-Net raw data set, or a "
        "task of the medical decathlon.",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", help="The labels table: channels, labels, and the names that stand for them."),
]
Images = Annotated[
    list[str] | None,
    typer.Option("--image", help="Pattern of the images' paths, e.g. '{case}/ct.nii.gz'; once per channel."),
]
Mask = Annotated[
    str, typer.Option("--mask", help="Pattern of the masks' paths; {structure} where each has its own file.")
]
Cases = Annotated[
    Path | None, typer.Option("--cases", help="CSV with the columns case, patient, labelled_by; for files.")
]
LabelledBy = Annotated[str, typer.Option("--labelled-by", help="Maker of the masks, as the data set is to say it.")]
Pairing = Annotated[
    PairBy, typer.Option("--pair-by", help="How a DICOM mask finds its images where its references lead nowhere.")
]
Folds = Annotated[int | None, typer.Option("--folds", min=2, max=50, help="Folds, dealt by patient [5].")]
Number = Annotated[
    int | None, typer.Option("--number", min=1, max=999, help="nnU-Net's number; else the next free one from 101.")
]


def register(
    name: Name,
    source: Source,
    labels: Labels = None,
    image: Images = None,
    mask: Mask = "",
    cases: Cases = None,
    labelled_by: LabelledBy = "",
    pair_by: Pairing = PairBy.REFERENCES,
    folds: Folds = None,
    number: Number = None,
    place: Place = None,
    as_json: AsJson = False,
) -> None:
    """Make an nnU-Net raw data set of images with masks, with a lock that says what it holds.

    \b
    Examples:
      segnode datasets register LIVER /data/liver-dicom --labels labels.yaml
      segnode datasets register LIVER /data/nifti --labels labels.yaml \\
        --image '{case}/ct.nii.gz' --mask '{case}/liver.nii.gz'
      segnode datasets register SPLEEN Task09_Spleen
      segnode datasets register LIVER Dataset003_Liver --cases patients.csv

    Each case is checked; those that cannot be right are left out, with a code
    (docs/refusals.md). A report with pictures lies in the data set's folder.
    The same content again is the version that is there; other content is
    another version, with a number of its own.

    Exit codes: 0 registered, also with cases left out; 2 usage or labels table;
    3 no case is left, or a patient is on both sides of a split; 5 a disk failed.
    """
    from training.datasets.case import Request
    from training.datasets.people import read_people
    from training.datasets.register import register as register_dataset
    from training.datasets.table import read_table

    if bool(image) != bool(mask):
        raise ConfigInvalid("--image and --mask go together")
    request = Request(
        read_table(labels) if labels is not None else None,
        tuple(image or ()),
        mask,
        labelled_by,
        pair_by is PairBy.FRAME_OF_REFERENCE,
        read_people(cases) if cases is not None else {},
    )
    with progress_of(f"registering {name}", shown=not as_json) as on_progress:
        done = register_dataset(name, source, where(place), request, on_progress, folds=folds, number=number)
    if as_json:
        print_json(facts_of(done.folder, done.lock) | {"is_new": done.is_new, "unmapped_names": dict(done.unmapped)})
        return
    _tell(done)


def _tell(done: "Registration") -> None:
    lock = done.lock
    state = "registered as" if done.is_new else "is already there as"
    typer.echo(f"{lock.name} {state} {done.folder}, version {lock.short_version}")
    patients = len({case.patient for case in lock.cases.values()})
    typer.echo(f"{len(lock.cases)} cases of {patients} patients, {len(lock.splits)} folds, {len(lock.refused)} refused")
    for refused in lock.refused:
        typer.echo(f"  refused {refused.source}: {refused.code}: {refused.detail}")
    codes = [str(note.code) for notes in done.notes.values() for note in {n.code: n for n in notes}.values()]
    for code in dict.fromkeys(codes):
        typer.echo(f"  {code}: {codes.count(code)} cases")
    for name, count in done.unmapped.items():
        typer.echo(f"  no label takes the name {name!r} ({count} cases); what it names is background")
    if done.withheld:
        typer.echo(f"  {done.withheld} more names that no label takes hold an attribute of a patient")
    if done.without_mask:
        typer.echo(f"  {done.without_mask} images have no mask")
    typer.echo(f"look at {done.folder / 'report.html'}")
