"""A data set that is being made: cases are read, checked and written one by one, then compared with each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import CaseCode, CaseRefused, StudyRejected, UnreadableImage
from core.model_config import LabelSpec
from core.version import VERSION
from training.datasets.case import CaseNote, FoundCase, Note, identify
from training.datasets.description import nnunet_name
from training.datasets.lock import ENDING, DatasetLock, LockedCase, LockedChannel, RefusedCase, Split
from training.datasets.refusal import nothing_left, refused_case
from training.datasets.short_ids import ShortIDs
from training.datasets.sources.files import refusal_of
from training.datasets.splits import check_splits, make_splits
from training.datasets.statistics import CaseStatistics, groups_of, measure, outliers, same_slices, shared_slices
from training.datasets.table import IGNORE, LabelTable
from training.datasets.writing import write_case


class Draft:
    """The cases that were written so far, and what was found.

    Parameters
    ----------
    name
        Of the data set.
    work
        The folder that gets it.
    table
        Its labels.
    ids
        Short IDs of the site.
    """

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
            self.refused.append(refused_case(self.ids, found.key, str(error.code), error.message))
        except UnreadableImage as error:
            self.refused.append(refused_case(self.ids, found.key, *refusal_of(error)))

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
            raise nothing_left([(one.code, one.detail) for one in self.refused])
        for case, notes in outliers(self.statistics).items():
            self.notes[case] += notes
        self._join_patients()
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
        for case, notes in shared_slices(self.statistics, self.cases).items():
            self.notes[case] += notes
        pairs = same_slices(self.statistics)
        joined = [(self.cases[first].patient, self.cases[second].patient) for first, second, _ in pairs]
        heads = groups_of(sorted({case.patient for case in self.cases.values()}), joined)
        for case, locked in self.cases.items():
            codes = tuple(sorted({str(note.code) for note in self.notes[case]}))
            self.cases[case] = locked.model_copy(update={"patient": heads[locked.patient], "notes": codes})


def _rounded(values: Any) -> Any:
    return tuple(round(float(value), 6) + 0.0 for value in values)
