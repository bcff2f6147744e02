"""From sources to a registered data set: found, read, checked, written aside, and given its name as a whole."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import ConfigInvalid, RetryLater
from training.datasets.case import Found, FoundCase, Note, Request, identify
from training.datasets.chosen_table import choose_table
from training.datasets.description import dataset_json
from training.datasets.draft import Draft
from training.datasets.lock import DATASET_JSON, DatasetLock, Split, write_lock
from training.datasets.refusal import refused_case
from training.datasets.report import write_report
from training.datasets.short_ids import ShortIDs, short_ids_of
from training.datasets.sources.dicom import unmapped_names
from training.datasets.sources.find import find_cases
from training.datasets.splits import FOLDS
from training.datasets.store import aside, check_name, find_version, free_number, guarded, publish
from training.datasets.table import LabelTable, write_table

LABELS_YAML = "labels.yaml"
_HEADERS = 0.1
"""Share of the progress that finding cases takes."""

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Registration:
    """The outcome of a registration.

    Attributes
    ----------
    folder
        Where the data set lies.
    lock
        What it holds.
    is_new
        Whether it was not there before.
    notes
        Findings on the cases that were taken.
    unmapped
        Names of structures that the table does not take, with the number of cases.
    withheld
        How many such names hold an attribute of a patient and are not shown.
    without_mask
        How many images have no mask.
    """

    folder: Path
    lock: DatasetLock
    is_new: bool
    notes: Mapping[str, Sequence[Note]]
    unmapped: Mapping[str, int]
    withheld: int
    without_mask: int


def register(
    name: str,
    sources: Sequence[Path],
    place: Path,
    request: Request,
    on_progress: Progress = lambda _: None,
    *,
    folds: int | None = None,
    number: int | None = None,
) -> Registration:
    """Register a data set; the same content again is the version that is there.

    Parameters
    ----------
    name
        Its name, as nnU-Net's folder will have it.
    sources
        Folders, each of any form.
    place
        The folder of data sets.
    request
        What the person who registers said.
    on_progress
        Called with the fraction that is done.
    folds
        How many to make; ``None`` takes those of an nnU-Net folder, else makes five.
    number
        nnU-Net's number; ``None`` takes the next free one.

    Raises
    ------
    ConfigInvalid
        If the name, the number, the table or a source is not usable.
    CaseRefused
        If no case is left, or the splits of the source have a patient on both sides.
    StudyRejected
        ``no_dicom``.
    RetryLater
        If a disk fails or is full; nothing is left of the registration.
    """
    try:
        return _register(name, sources, place, request, on_progress, folds, number)
    except OSError as error:
        raise RetryLater(f"{place}: a file cannot be read or written: {error.strerror or error}") from error


def _register(
    name: str,
    sources: Sequence[Path],
    place: Path,
    request: Request,
    on_progress: Progress,
    folds: int | None,
    number: int | None,
) -> Registration:
    check_name(name)
    place.mkdir(parents=True, exist_ok=True)
    if number is not None:
        free_number(place, number)
    ids = short_ids_of(place)
    found = _find_all(sources, request, ids, on_progress)
    table = choose_table(found, request)
    unmapped, withheld = _unmapped(found, table)
    with aside(place) as work:
        draft = Draft(name, work, table, ids)
        for step, case in enumerate(cases := sorted(_once(found), key=lambda case: identify(case, ids))):
            draft.add(case)
            on_progress(_HEADERS + (1 - _HEADERS) * (step + 1) / len(cases) * 0.98)
        draft.refused += [refused_case(ids, *one) for part in found for one in part.refused]
        lock = draft.lock(_source_splits(found, name, ids) if folds is None else (), folds or FOLDS)
        outcome = Registration(
            place, lock, True, draft.notes, unmapped, withheld, sum(part.without_mask for part in found)
        )
        with guarded(place):
            if (existing := find_version(name, lock.version, place)) is not None:
                return replace(outcome, folder=existing, is_new=False)
            lock = lock.model_copy(update={"number": free_number(place, number)})
            outcome = replace(outcome, lock=lock)
            _complete(work, lock, table)
            write_report(work, lock, draft.notes, draft.statistics, unmapped, withheld, outcome.without_mask)
            return replace(outcome, folder=publish(work, place, lock))


def _find_all(sources: Sequence[Path], request: Request, ids: ShortIDs, on_progress: Progress) -> list[Found]:
    found = []
    for index, source in enumerate(sources):

        def tell(done: int, of: int, index: int = index) -> None:
            on_progress(_HEADERS * (index + done / of) / len(sources))

        found.append(find_cases(source, request, ids, tell))
    return found


def _once(found: Sequence[Found]) -> list[FoundCase]:
    """List the cases; one that several sources hold under one key is an error, as either may be meant."""
    cases: dict[str, FoundCase] = {}
    for case in (case for part in found for case in part.cases):
        if case.key in cases:
            raise ConfigInvalid("two sources hold a case of the same name or UIDs; give each folder once")
        cases[case.key] = case
    return list(cases.values())


def _source_splits(found: Sequence[Found], name: str, ids: ShortIDs) -> tuple[Split, ...]:
    """Bring the splits of a single nnU-Net folder to the names of the cases here."""
    if len(found) != 1:
        return ()
    names = {case.name: f"{name}_{identify(case, ids)[0]}" for case in found[0].cases}
    return tuple(
        Split(**{side: tuple(names.get(one, one) for one in fold[side]) for side in ("train", "val")})
        for fold in found[0].splits
    )


def _unmapped(found: Sequence[Found], table: LabelTable) -> tuple[dict[str, int], int]:
    names: dict[str, int] = {}
    withheld = 0
    for case in (case for part in found for case in part.cases):
        shown, more = unmapped_names(case, table)
        withheld += more
        for name in set(shown):
            names[name] = names.get(name, 0) + 1
    return dict(sorted(names.items())), withheld


def _complete(work: Path, lock: DatasetLock, table: LabelTable) -> None:
    """Write what nnU-Net and people need beside the cases; the lock comes last of all in `write_lock`."""
    content = json.dumps(dataset_json(lock), indent=1) + "\n"
    (work / DATASET_JSON).write_text(content, encoding="utf-8")
    write_table(work / LABELS_YAML, table)
    write_lock(work, lock)
