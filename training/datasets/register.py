"""From sources to a registered data set: found, read, checked, written aside, and given its name as a whole."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import CaseCode, CaseRefused, ConfigInvalid, RetryLater, StudyRejected, UnreadableImage
from core.model_config import LabelSpec
from core.version import VERSION
from training.datasets.case import CaseNote, Found, FoundCase, Note, Request, identify
from training.datasets.description import dataset_json, nnunet_name
from training.datasets.lock import (
    DATASET_JSON,
    ENDING,
    DatasetLock,
    LockedCase,
    LockedChannel,
    RefusedCase,
    Split,
    write_lock,
)
from training.datasets.report import write_report
from training.datasets.short_ids import ShortIDs, short_ids_of
from training.datasets.sources.dicom import unmapped_names
from training.datasets.sources.files import refusal_of
from training.datasets.sources.find import find_cases
from training.datasets.splits import FOLDS, check_splits, make_splits
from training.datasets.statistics import CaseStatistics, groups_of, measure, outliers, same_slices
from training.datasets.store import aside, check_name, find_version, free_number, guarded, publish
from training.datasets.table import IGNORE, LabelTable, draft_of, table_of_names, write_table
from training.datasets.writing import write_case

LABELS_YAML = "labels.yaml"
_UID = re.compile(r"\b\d+(?:\.\d+){4,}\b")
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
    table = _table_of(found, request)
    unmapped, withheld = _unmapped(found, table)
    with aside(place) as work:
        draft = _Draft(name, work, table, ids)
        for step, case in enumerate(cases := sorted(_once(found), key=lambda case: identify(case, ids))):
            draft.add(case)
            on_progress(_HEADERS + (1 - _HEADERS) * (step + 1) / len(cases) * 0.98)
        draft.refused += [_refused(ids, *one) for part in found for one in part.refused]
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


def _table_of(found: Sequence[Found], request: Request) -> LabelTable:
    """Take the table that was given, that the sources state, or the names if all cases have the same ones."""
    if request.table is not None:
        return request.table
    stated = [part.table for part in found if part.table is not None]
    if stated and len(stated) == len(found):
        if any(table != stated[0] for table in stated[1:]):
            raise ConfigInvalid(
                "the sources state different labels or channels; write one table and give it as --labels"
            )
        return stated[0]
    cases = [case for part in found for case in part.cases]
    if not cases:
        raise _nothing_left([(code, detail) for part in found for _, code, detail in part.refused])
    lists = {tuple(sorted(set(case.structures))) for case in cases}
    if len(lists) == 1 and (names := next(iter(lists))):
        hidden = frozenset().union(*(case.hidden for case in cases))
        if not any(word in name.casefold() for name in names for word in hidden):
            return table_of_names(names)
    names = tuple(sorted({name for case in cases for name in case.structures}))
    if not names:
        raise ConfigInvalid("the source does not state its labels; write a table and give it as --labels labels.yaml")
    raise ConfigInvalid(
        "the cases do not all hold the same structures, so a person has to say which are one label. Complete this, "
        f"save it, and give it as --labels labels.yaml:\n\n{draft_of(names)}"
    )


def _refused(ids: ShortIDs, key: str, code: str, detail: str) -> RefusedCase:
    return RefusedCase(source=ids.of("source", key), code=code, detail=_UID.sub("(UID)", detail))


def _nothing_left(refused: Sequence[tuple[str, str]]) -> CaseRefused:
    """Build the error of a source without a case, which gives the first finding of each code."""
    if not refused:
        return CaseRefused(CaseCode.NO_MASK, "No SEG, RTSTRUCT or file of a mask was found.")
    counts = Counter(code for code, _ in refused)
    first = {code: _UID.sub("(UID)", detail) for code, detail in reversed(refused)}
    told = " ".join(f"{code} ({count}): {first[code]}" for code, count in counts.most_common())
    known = [code for code, _ in counts.most_common() if code in set(CaseCode)]
    return CaseRefused(CaseCode(known[0]) if known else CaseCode.NO_MASK, f"No case is left. {told}")


class _Draft:
    """The cases that were written so far, and what was found."""

    def __init__(self, name: str, work: Path, table: LabelTable, ids: ShortIDs) -> None:
        self.name, self.work, self.table, self.ids = name, work, table, ids
        self.cases: dict[str, LockedCase] = {}
        self.notes: dict[str, list[Note]] = {}
        self.statistics: dict[str, CaseStatistics] = {}
        self.refused: list[RefusedCase] = []
        for folder in ("imagesTr", "labelsTr"):
            (work / folder).mkdir()

    def add(self, found: FoundCase) -> None:
        """Read a case, check it and write it, or note why not."""
        try:
            self._add(found)
        except (StudyRejected, CaseRefused) as error:
            self.refused.append(_refused(self.ids, found.key, str(error.code), error.message))
        except UnreadableImage as error:
            self.refused.append(_refused(self.ids, found.key, *refusal_of(error)))

    def _add(self, found: FoundCase) -> None:
        loaded = found.load(self.table)
        source, patient = identify(found, self.ids)
        case = f"{self.name}_{source}"
        images = [self.work / "imagesTr" / f"{case}_{n:04d}{ENDING}" for n in range(len(loaded.channels))]
        locked, label = write_case(loaded, images, self.work / "labelsTr" / f"{case}{ENDING}")
        grid, notes = loaded.geometry, list(loaded.notes)
        if len(loaded.looked_for) < len(self.table.labels):
            missing = ", ".join(one.name for one in self.table.labels if one.name not in loaded.looked_for)
            notes.append(Note(CaseNote.NOT_LOOKED_FOR, missing))
        if not any(loaded.composed.voxels.values()):
            notes.append(Note(CaseNote.EMPTY_MASK))
        self.notes[case] = notes
        self.statistics[case] = measure(loaded.channels, grid.spacing)
        self.cases[case] = LockedCase(
            images=locked,
            label=label,
            shape=grid.shape,
            spacing=_rounded(grid.spacing),
            origin=_rounded(grid.origin),
            direction=_rounded(grid.direction.ravel()),
            units=loaded.units,
            kind=found.kind,
            source=source,
            patient=patient,
            labelled_by=loaded.labelled_by,
            looked_for=tuple(one.name for one in self.table.labels if one.name in loaded.looked_for),
            voxels=loaded.composed.voxels,
            notes=tuple(sorted({str(note.code) for note in notes})),
        )

    def lock(self, stated: Sequence[Split], folds: int) -> DatasetLock:
        """Compare the cases with each other, deal them to folds, and state it all."""
        self._leave_out_duplicates()
        if not self.cases:
            raise _nothing_left([(one.code, one.detail) for one in self.refused])
        self._join_patients()
        for case, notes in outliers(self.statistics).items():
            self.notes[case] += notes
        patients = {case: locked.patient for case, locked in self.cases.items()}
        kept = [
            Split(train=tuple(c for c in s.train if c in patients), val=tuple(c for c in s.val if c in patients))
            for s in stated
        ]
        check_splits(kept, patients)
        uses_ignore = any(IGNORE in case.voxels for case in self.cases.values())
        draft = DatasetLock(
            name=self.name,
            number=1,
            version="0" * 64,
            segnode_version=VERSION,
            channels=tuple(
                LockedChannel(
                    name=channel.name,
                    nnunet_name=nnunet_name(channel.series.modality, channel.unit, channel.name),
                    unit=channel.unit,
                    series=channel.series if self._is_dicom() else None,
                )
                for channel in self.table.channels
            ),
            on_other_grid=self.table.on_other_grid,
            labels=tuple(LabelSpec(**one.model_dump(include=set(LabelSpec.model_fields))) for one in self.table.labels),
            regions=self.table.regions,
            ignore=self.table.ignore_value if uses_ignore else None,
            cases=dict(sorted(self.cases.items())),
            splits=tuple(kept) or make_splits(patients, folds),
            refused=tuple(sorted(self.refused, key=lambda one: (one.source, one.code))),
        )
        return draft.model_copy(update={"version": draft.content_version()})

    def _is_dicom(self) -> bool:
        return any(case.kind in ("dicom_seg", "dicom_rtstruct") for case in self.cases.values())

    def _leave_out_duplicates(self) -> None:
        """Leave out what is there twice, and both of two that state different masks of one image."""
        by_image: dict[tuple[str, ...], list[str]] = {}
        for case, locked in self.cases.items():
            by_image.setdefault(tuple(image.content for image in locked.images), []).append(case)
        for cases in by_image.values():
            if len(cases) == 1:
                continue
            agree = len({self.cases[case].label.content for case in cases}) == 1
            code = CaseCode.DUPLICATE_CASE if agree else CaseCode.LABELS_CONFLICT
            others = ", ".join(self.cases[case].source for case in cases)
            for case in cases[1:] if agree else cases:
                self._leave_out(case, code, f"Cases by short ID: {others}.")

    def _leave_out(self, case: str, code: CaseCode, detail: str) -> None:
        locked = self.cases.pop(case)
        del self.notes[case], self.statistics[case]
        for path in (*(self.work / "imagesTr").glob(f"{case}_*"), self.work / "labelsTr" / f"{case}{ENDING}"):
            path.unlink()
        self.refused.append(RefusedCase(source=locked.source, code=str(code), detail=f"{code.sentence} {detail}"))

    def _join_patients(self) -> None:
        """Count cases that hold the same slices as one patient."""
        pairs = same_slices(self.statistics)
        for first, second, count in pairs:
            for case, other in ((first, second), (second, first)):
                self.notes[case].append(Note(CaseNote.SHARED_SLICES, f"{count} with {self.cases[other].source}."))
        joined = [(self.cases[first].patient, self.cases[second].patient) for first, second, _ in pairs]
        heads = groups_of(sorted({case.patient for case in self.cases.values()}), joined)
        for case, locked in self.cases.items():
            notes = tuple(sorted({str(note.code) for note in self.notes[case]}))
            self.cases[case] = locked.model_copy(update={"patient": heads[locked.patient], "notes": notes})


def _rounded(values: Any) -> Any:
    return tuple(round(float(value), 6) + 0.0 for value in values)


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
