"""Folders of DICOM: series with SEG or RTSTRUCT, paired by their references, read as a routine study is read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import CaseCode, CaseRefused, ReasonCode, StudyRejected
from core.model_config import LabelSpec, ModelConfig
from core.study_warning import WarningCode
from core.units import PT_UNITS
from core.volume import Volume
from dicom_io.annotations.annotation import Outline
from dicom_io.annotations.found import find_annotations, open_annotation
from dicom_io.annotations.patient_words import patient_words
from dicom_io.images.grid.geometry import layout_of, patient_of
from dicom_io.images.headers.attributes import uid
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.selection import select_series
from dicom_io.images.splitting.volumes import split_of
from dicom_io.images.study import Study, read_studies
from dicom_io.images.volume import combine_channels, read_volume
from training.datasets.case import CaseNote, Found, FoundCase, LoadedCase, Note, Request, withhold
from training.datasets.compose import compose
from training.datasets.short_ids import ShortIDs
from training.datasets.table import LabelTable

_GENERATIONS = ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC")
_OTHER_SERIES = StudyRejected(ReasonCode.NO_MATCHING_SERIES, "The mask was not made of it.")


def find_in_dicom(
    folder: Path, request: Request, ids: ShortIDs, on_progress: Callable[[int, int], None] | None = None
) -> Found:
    """Pair every SEG and RTSTRUCT below a folder with its images, by headers alone.

    Raises
    ------
    StudyRejected
        ``no_dicom``.
    RetryLater
        If a disk or share fails.
    """
    studies = read_studies(folder, on_progress)
    study_of: dict[str, int] = {}  # by UID of series and image
    for number, study in enumerate(studies):
        for series in study.series:
            names = (series.uid, *(uid(one.header, "SOPInstanceUID") for one in series.instances))
            study_of |= dict.fromkeys(filter(None, names), number)
    masks: dict[tuple[int, str], list[Outline]] = {}
    refused = []
    for annotation in find_annotations(folder):
        place = _images_of(annotation, studies, study_of, request.by_frame_of_reference)
        if place is None:
            key = annotation.sop_instance_uid
            refused.append((key, str(CaseCode.NO_IMAGE), f"{CaseCode.NO_IMAGE.sentence} {_hint(annotation, studies)}"))
        else:
            masks.setdefault(place, []).append(annotation)
    cases = tuple(
        _found(studies[number], series_uid, annotations, request, ids)
        for (number, series_uid), annotations in masks.items()
    )
    with_mask = {
        (number, name)
        for (number, first), annotations in masks.items()
        for name in (first, *(series.uid for series in _referenced(studies[number], annotations)))
    }
    return Found(cases, tuple(refused), without_mask=sum(len(study.series) for study in studies) - len(with_mask))


def _images_of(
    annotation: Outline, studies: Sequence[Study], study_of: Mapping[str, int], by_frame: bool
) -> tuple[int, str] | None:
    """Find the study and the first series that a mask refers to."""
    named = (study_of[name] for name in (*annotation.series_uids, *sorted(annotation.image_uids)) if name in study_of)
    number = next(named, None)
    if number is not None:
        return number, _referenced(studies[number], (annotation,))[0].uid
    return _by_frame_of_reference(annotation, studies) if by_frame else None


def _referenced(study: Study, annotations: Iterable[Outline]) -> list[Series]:
    """List the series of a study that masks refer to, in the masks' order."""
    by_uid = {series.uid: series for series in study.series}
    found: dict[str, Series] = {}
    for annotation in annotations:
        found |= {name: by_uid[name] for name in annotation.series_uids if name in by_uid}
        if not annotation.image_uids:
            continue
        for series in study.series:
            if any(uid(i.header, "SOPInstanceUID") in annotation.image_uids for i in series.instances):
                found[series.uid] = series
    return list(found.values())


def _by_frame_of_reference(annotation: Outline, studies: Sequence[Study]) -> tuple[int, str] | None:
    wanted = annotation.frames_of_reference
    found = [
        (number, series.uid)
        for number, study in enumerate(studies)
        if study.uid == annotation.study_uid
        for series in study.series
        if uid(series.instances[0].header, "FrameOfReferenceUID") in wanted
    ]
    return found[0] if len(found) == 1 else None


def _hint(annotation: Outline, studies: Sequence[Study]) -> str:
    if _by_frame_of_reference(annotation, studies) is None:
        return "Add the series that it was made of to the source."
    return (
        "One series of the same study has its frame of reference; if the mask was made of that, say "
        "--pair-by frame-of-reference."
    )


def _found(study: Study, series_uid: str, annotations: Sequence[Outline], request: Request, ids: ShortIDs) -> FoundCase:
    series = next(one for one in study.series if one.uid == series_uid)
    (kind, patient), *_ = patients = list(patient_of(series))
    names = tuple(s.name for annotation in annotations for s in annotation.structures if s.is_drawn)
    return FoundCase(
        annotations[0].kind,
        f"{study.uid} {series_uid}",
        f"{kind} {patient}" if patient and len(patients) == 1 else None,
        partial(_load, study, series_uid, tuple(annotations), request, ids),
        structures=names,
        hidden=patient_words(series.instances[0].header).union(*(one.patient_words for one in annotations)),
    )


@dataclass(frozen=True)
class _Masks:
    """The series and images that the masks of a case name; no image where their references lead nowhere."""

    series_uids: frozenset[str]
    image_uids: frozenset[str]

    def name(self, volume: Series) -> bool:
        """Tell whether they name a volume, by its images or, where they name none, by its series."""
        if volume.uid not in self.series_uids:
            return False
        images = (uid(one.header, "SOPInstanceUID") for one in volume.instances)
        return not self.image_uids or not self.image_uids.isdisjoint(images)


def _masks(study: Study, series_uid: str, annotations: Sequence[Outline]) -> _Masks:
    referenced = frozenset(series.uid for series in _referenced(study, annotations))
    if not referenced:  # paired by the frame of reference
        return _Masks(frozenset({series_uid}), frozenset())
    return _Masks(referenced, frozenset().union(*(annotation.image_uids for annotation in annotations)))


def _load(
    study: Study,
    series_uid: str,
    annotations: Sequence[Outline],
    request: Request,
    ids: ShortIDs,
    table: LabelTable,
) -> LoadedCase:
    volume, units = _read(study, _masks(study, series_uid, annotations), table)
    masks: dict[str, NDArray[np.bool_]] = {}
    notes: list[Note] = []
    people: dict[str, None] = {}
    for annotation in annotations:
        own: set[str] = set()
        opened = open_annotation(annotation)
        for number, structure in enumerate(annotation.structures):
            label = table.label_of(structure.name)
            if label is None:
                continue
            if not structure.is_drawn:
                notes.append(Note(CaseNote.EMPTY_STRUCTURE, label.name))
                continue
            if label.name in masks:
                code = CaseCode.STRUCTURE_TWICE if label.name in own else CaseCode.SEVERAL_MASKS
                raise CaseRefused(code, f"Label: {label.name}.")
            mask, said = opened.mask(number, volume)
            notes += [Note(CaseNote(code), label.name) for code in said]
            if not mask.any():  # blank frames, a LABELMAP without the number, contours around no voxel's centre
                notes.append(Note(CaseNote.EMPTY_STRUCTURE, label.name))
                continue
            masks[label.name] = mask
            own.add(label.name)
            people[_person(structure.generation, structure.person, ids)] = None
    if not masks and not all(label.looked_for == "always" for label in table.labels):
        raise CaseRefused(CaseCode.NOTHING_LABELLED, "No structure of the mask is in the labels table.")
    looked_for = {label.name for label in table.labels if label.looked_for == "always"} | set(masks)
    composed = compose(masks or {table.labels[0].name: np.zeros(volume.geometry.shape, np.bool_)}, looked_for, table)
    notes += [_warning_note(warning.code) for warning in volume.warnings]
    return LoadedCase(
        volume.array,
        volume.geometry,
        composed,
        frozenset(looked_for),
        request.labelled_by or ", ".join(sorted(people)) or "not stated",
        tuple(dict.fromkeys(notes)),
        units=units,
    )


def _warning_note(code: WarningCode) -> Note:
    is_unit = code is WarningCode.UNIT_IMPLAUSIBLE
    return Note(CaseNote.UNIT_IMPLAUSIBLE) if is_unit else Note(CaseNote.IMAGE_WARNING, str(code))


def _person(generation: str, name: str, ids: ShortIDs) -> str:
    """Name whoever made a structure by a short ID; equal names have equal ones."""
    how = generation.upper() if generation.upper() in _GENERATIONS else "not stated"
    return f"{how} (person {ids.of('person', name.casefold())})" if name else how


def _read(study: Study, masks: _Masks, table: LabelTable) -> tuple[Volume, tuple[str, ...]]:
    """Read the channels' series by the rules of ``model.yaml``, and the unit of each; the mask's series is one of them.

    Raises
    ------
    StudyRejected
        As the selection and the reading of a routine study.
    CaseRefused
        ``other_images`` if the mask was made of images that feed no channel.
    """
    config = ModelConfig(
        schema_version=1,
        name="dataset",
        orientation="acquired",
        channels=table.channels,
        on_other_grid=table.on_other_grid,
        labels=tuple(LabelSpec(value=label.value, name=label.name) for label in table.labels),
    )
    chosen = _select(study, config, masks)
    read = frozenset(uid(one.header, "SOPInstanceUID") for series in chosen for one in series.instances)
    if unread := masks.image_uids - read:
        raise CaseRefused(
            CaseCode.OTHER_IMAGES, f"{len(unread)} of its {len(masks.image_uids)} images feed no channel."
        )
    wanted = [channel.unit if channel.unit in PT_UNITS else None for channel in table.channels]
    volumes = [read_volume(series, unit) for series, unit in zip(chosen, wanted, strict=True)]
    units = (unit or layout_of(series).frames.units[0] for series, unit in zip(chosen, wanted, strict=True))
    return combine_channels(volumes, table.on_other_grid), tuple(units)


def _select(study: Study, config: ModelConfig, masks: _Masks) -> tuple[Series, ...]:
    """Choose the volumes of the channels, those that the mask names before all others.

    First each channel is to have a volume that the mask names. A mask that names one of several gives it to the first
    channel whose rule it fits.
    """
    volumes = [volume for series in study.series for volume in split_of(series).volumes]
    own = {volume.key for volume in volumes if masks.name(volume)}
    others = {volume.key: _OTHER_SERIES for volume in volumes if volume.key not in own}
    first = select_series(study, config, others)
    if first.rejection is None:
        return first.channels
    if len(config.channels) == 1:
        raise first.rejection
    for number, channel in enumerate(config.channels):
        alone = config.model_copy(update={"channels": (channel,)})
        if select_series(study, alone, others).rejection is not None:
            continue
        rivals = {key: why for key, why in others.items() if _fits_alone(study, alone, key, volumes)}
        found = select_series(study, config, rivals)
        if found.rejection is None and found.channels[number].key in own:
            return found.channels
    raise _no_choice(study, config)


def _fits_alone(study: Study, config: ModelConfig, key: str, volumes: Sequence[Series]) -> bool:
    rest = {volume.key: _OTHER_SERIES for volume in volumes if volume.key != key}
    return select_series(study, config, rest).rejection is None


def _no_choice(study: Study, config: ModelConfig) -> StudyRejected:
    rejection = select_series(study, config).rejection
    detail = "No choice of series holds the one that the mask was made of."
    return rejection or StudyRejected(ReasonCode.NO_MATCHING_SERIES, detail)


def unmapped_names(case: FoundCase, table: LabelTable) -> tuple[list[str], int]:
    """List the names of a case's structures that the table neither takes nor knows as unused.

    Returns
    -------
    tuple
        The names, and how many more hold an attribute of the patient and are not to be shown.
    """
    names = [name for name in case.structures if table.label_of(name) is None and not table.is_unused(name)]
    shown = [name for name in names if not withhold(name, case.hidden)]
    return shown, len(names) - len(shown)
