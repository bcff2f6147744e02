"""Folders of DICOM: series with SEG or RTSTRUCT, paired by their references, read as a routine study is read."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from core.errors import CaseCode, CaseRefused, ReasonCode, StudyRejected
from core.model_config import LabelSpec, ModelConfig
from core.study_warning import WarningCode
from core.units import PT_UNITS
from core.volume import Volume
from dicom_io.annotations.annotation import Annotation
from dicom_io.annotations.found import find_annotations
from dicom_io.images.grid.geometry import patient_of
from dicom_io.images.headers.attributes import decoded, text, uid, value_of
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.selection import select_series
from dicom_io.images.study import Study, read_studies
from dicom_io.images.volume import combine_channels, read_volume
from training.datasets.case import CaseNote, Found, FoundCase, LoadedCase, Note, Request, withhold
from training.datasets.compose import compose
from training.datasets.short_ids import ShortIDs
from training.datasets.table import LabelTable

_GENERATIONS = ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC")
_PATIENT_GROUP = 0x0010
_IDENTIFYING = ("AccessionNumber", "StudyID", "IssuerOfPatientID")
_SHORTEST_WORD = 3
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
    masks: dict[tuple[int, str], list[Annotation]] = {}
    refused = []
    for annotation in find_annotations(folder):
        place = _images_of(annotation, studies, request.by_frame_of_reference)
        if place is None:
            key = uid(annotation.header, "SOPInstanceUID")
            refused.append((key, str(CaseCode.NO_IMAGE), f"{CaseCode.NO_IMAGE.sentence} {_hint(annotation, studies)}"))
        else:
            masks.setdefault(place, []).append(annotation)
    cases = tuple(
        _found(studies[number], series_uid, annotations, request, ids)
        for (number, series_uid), annotations in masks.items()
    )
    with_mask = sum(len(_referenced(studies[number], annotations)) for (number, _), annotations in masks.items())
    return Found(cases, tuple(refused), without_mask=sum(len(study.series) for study in studies) - with_mask)


def _images_of(annotation: Annotation, studies: Sequence[Study], by_frame: bool) -> tuple[int, str] | None:
    """Find the study and the first series that a mask refers to."""
    for number, study in enumerate(studies):
        if found := _referenced(study, (annotation,)):
            return number, found[0].uid
    if by_frame:
        return _by_frame_of_reference(annotation, studies)
    return None


def _referenced(study: Study, annotations: Iterable[Annotation]) -> list[Series]:
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


def _frames_of_reference(annotation: Annotation) -> set[str]:
    header = annotation.header
    own = {uid(header, "FrameOfReferenceUID")}
    listed = value_of(header, "ReferencedFrameOfReferenceSequence")
    items = listed if isinstance(listed, Sequence) else ()
    return (own | {uid(item, "FrameOfReferenceUID") for item in items}) - {""}


def _by_frame_of_reference(annotation: Annotation, studies: Sequence[Study]) -> tuple[int, str] | None:
    wanted = _frames_of_reference(annotation)
    found = [
        (number, series.uid)
        for number, study in enumerate(studies)
        if study.uid == uid(annotation.header, "StudyInstanceUID")
        for series in study.series
        if uid(series.instances[0].header, "FrameOfReferenceUID") in wanted
    ]
    return found[0] if len(found) == 1 else None


def _hint(annotation: Annotation, studies: Sequence[Study]) -> str:
    if _by_frame_of_reference(annotation, studies) is None:
        return "Add the series that it was made of to the source."
    return (
        "One series of the same study has its frame of reference; if the mask was made of that, say "
        "--pair-by frame-of-reference."
    )


def _found(
    study: Study, series_uid: str, annotations: Sequence[Annotation], request: Request, ids: ShortIDs
) -> FoundCase:
    series = next(one for one in study.series if one.uid == series_uid)
    (kind, patient), *_ = patients = list(patient_of(series))
    names = tuple(s.name for annotation in annotations for s in annotation.structures if s.is_drawn)
    return FoundCase(
        annotations[0].kind,
        f"{study.uid} {series_uid}",
        f"{kind} {patient}" if patient and len(patients) == 1 else None,
        partial(_load, study, series_uid, tuple(annotations), request, ids),
        structures=names,
        hidden=_hidden(series.instances[0].header, *(annotation.header for annotation in annotations)),
    )


def _hidden(*headers: Dataset) -> frozenset[str]:
    """Collect the words of the attributes that tell of a patient."""
    words: set[str] = set()
    for header in headers:
        tags = [tag for tag in header.keys() if tag.group == _PATIENT_GROUP]  # noqa: SIM118 - iteration gives elements
        values = [decoded(element.value) for tag in tags if (element := header.get(tag)) is not None]
        values += [text(header, keyword) for keyword in _IDENTIFYING]
        words |= {word.casefold() for value in values for word in re.split(r"[\W_]+", value)}
    return frozenset(word for word in words if len(word) >= _SHORTEST_WORD)


def _load(
    study: Study,
    series_uid: str,
    annotations: Sequence[Annotation],
    request: Request,
    ids: ShortIDs,
    table: LabelTable,
) -> LoadedCase:
    referenced = [series.uid for series in _referenced(study, annotations)] or [series_uid]
    volume = _read(study, referenced, table)
    masks: dict[str, NDArray[np.bool_]] = {}
    notes: list[Note] = []
    people: dict[str, None] = {}
    for annotation in annotations:
        own: set[str] = set()
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
            masks[label.name], said = annotation.mask(number, volume)
            own.add(label.name)
            notes += [Note(CaseNote(code), label.name) for code in said]
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
        padding_values=volume.padding_values,
    )


def _warning_note(code: WarningCode) -> Note:
    is_unit = code is WarningCode.UNIT_IMPLAUSIBLE
    return Note(CaseNote.UNIT_IMPLAUSIBLE) if is_unit else Note(CaseNote.IMAGE_WARNING, str(code))


def _person(generation: str, name: str, ids: ShortIDs) -> str:
    """Name whoever made a structure by a short ID; equal names have equal ones."""
    how = generation.upper() if generation.upper() in _GENERATIONS else "not stated"
    return f"{how} (person {ids.of('person', name.casefold())})" if name else how


def _read(study: Study, referenced: Sequence[str], table: LabelTable) -> Volume:
    """Read the channels' series by the rules of ``model.yaml``; the mask's own series is one of them.

    Raises
    ------
    StudyRejected
        As the selection and the reading of a routine study.
    """
    config = ModelConfig(
        schema_version=1,
        name="dataset",
        orientation="acquired",
        channels=table.channels,
        on_other_grid=table.on_other_grid,
        labels=tuple(LabelSpec(value=label.value, name=label.name) for label in table.labels),
    )
    chosen = _select(study, config, referenced)
    units = [channel.unit if channel.unit in PT_UNITS else None for channel in table.channels]
    return combine_channels(
        [read_volume(series, unit) for series, unit in zip(chosen, units, strict=True)], table.on_other_grid
    )


def _select(study: Study, config: ModelConfig, referenced: Sequence[str]) -> tuple[Series, ...]:
    """Choose the series of the channels, those that the mask names before all others.

    First each channel is to have a series that the mask names. A mask that names one series of several gives it to the
    first channel whose rule it fits.
    """
    others = {series.uid: _OTHER_SERIES for series in study.series if series.uid not in referenced}
    first = select_series(study, config, others)
    if first.rejection is None:
        return first.channels
    for number, channel in enumerate(config.channels):
        alone = config.model_copy(update={"channels": (channel,)})
        if len(config.channels) == 1 or select_series(study, alone, others).rejection is not None:
            continue
        rivals = {name: why for name, why in others.items() if _fits_alone(study, alone, name)}
        found = select_series(study, config, rivals)
        if found.rejection is None and found.channels[number].uid in referenced:
            return found.channels
    raise first.rejection if len(config.channels) == 1 else _no_choice(study, config)


def _fits_alone(study: Study, config: ModelConfig, name: str) -> bool:
    rest = {series.uid: _OTHER_SERIES for series in study.series if series.uid != name}
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
