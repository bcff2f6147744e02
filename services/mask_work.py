"""Work on a mask alone: smoothing and post-processing; the image is not read."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigInvalid, RequestCode, RequestRefused
from core.label_map import LabelMap
from core.model_manifest import LabelSpec, PostprocessingStep
from dicom_io.durable import locked
from segmentation.image_files import read_array
from segmentation.postprocessing import postprocess
from services.images import check_ending, stem_of
from services.masks import MaskPlace, MaskRecord, existing_mask, key_of, place_derived, write_mask
from services.requests import MaskRequest, SmoothRequest
from services.results import MaskResult
from services.roots import Roots, SharedFile

LARGEST_VALUE = 65535


def change_mask(request: MaskRequest, roots: Roots, locks: Path, on_progress: Callable[[float], None]) -> MaskResult:
    """Make a changed copy of a mask beside it, or find the one that is there.

    Raises
    ------
    RequestRefused
        ``unreadable_image`` if it is no mask, ``invalid_request`` if it has none of the labels.
    RetryLater
        If the disk refuses for now.
    """
    mask = roots.find(request.mask_path, "mask_path")
    label_map, known = _read(mask)
    steps = request.steps(_values(request.labels, label_map)) if isinstance(request, SmoothRequest) else request.steps
    _check_labels(steps, label_map)
    place = place_derived(mask, request.task)
    said = json.dumps([step.model_dump(mode="json") for step in steps], sort_keys=True)
    key = key_of(request.task, hashlib.sha256(mask.path.read_bytes()).hexdigest(), said)
    with locked(locks / f"{key_of(str(place.path))}.lock"):
        record = existing_mask(place, key, (mask.path.name,), force=request.force)
        if record is not None:
            return MaskResult.of(place, record, existing=True)
        return _make(place, label_map, steps, known, key, on_progress)


def _make(
    place: MaskPlace,
    label_map: LabelMap,
    steps: Sequence[PostprocessingStep],
    known: MaskRecord | None,
    key: str,
    on_progress: Callable[[float], None],
) -> MaskResult:
    changed = postprocess(label_map, steps)
    record = MaskRecord(
        key=key,
        sources=(place.source.path.name,),
        mask_sha256="",
        model=known.model if known else "",
        model_sha256=known.model_sha256 if known else "",
        labels=changed.labels,
        volumes_ml=changed.volumes_ml(),
    )
    record = write_mask(place, changed, record)
    on_progress(1.0)
    return MaskResult.of(place, record)


def _read(mask: SharedFile) -> tuple[LabelMap, MaskRecord | None]:
    """The mask, and what this program said of it where it is its own."""
    check_ending(mask.path, "mask_path")
    try:
        array, geometry = read_array(mask.path)
    except ConfigInvalid as error:
        raise RequestRefused(RequestCode.UNREADABLE_IMAGE, "mask_path.") from error
    whole = _whole_numbers(array)
    known = MaskPlace(mask, mask.path.parent, stem_of(mask.path)).read_record()
    named = {spec.value: spec for spec in known.labels} if known else {}
    values = [int(value) for value in np.unique(whole) if value > 0]
    specs = {value: named.get(value) or LabelSpec(value=value, name=str(value)) for value in values} | named
    return LabelMap(whole, geometry, tuple(specs[value] for value in sorted(specs))), known


def _whole_numbers(array: NDArray[Any]) -> Any:
    if array.size and (array.min() < 0 or array.max() > LARGEST_VALUE or (array != np.floor(array)).any()):
        detail = f"mask_path: a mask has whole numbers from 0 to {LARGEST_VALUE}."
        raise RequestRefused(RequestCode.UNREADABLE_IMAGE, detail)
    return array.astype(np.uint8 if not array.size or array.max() < 256 else np.uint16)


def _values(labels: Sequence[str], label_map: LabelMap) -> tuple[int, ...]:
    known = {spec.name: spec.value for spec in label_map.labels} | {str(s.value): s.value for s in label_map.labels}
    unknown = [label for label in labels if label not in known]
    if unknown:
        names = ", ".join(spec.name for spec in label_map.labels)
        raise RequestRefused(RequestCode.INVALID_REQUEST, f"labels: the mask has {names or 'none'}.")
    return tuple(known[label] for label in labels)


def _check_labels(steps: Sequence[PostprocessingStep], label_map: LabelMap) -> None:
    known = {spec.value for spec in label_map.labels}
    if unknown := {value for step in steps for value in step.labels} - known:
        raise RequestRefused(RequestCode.INVALID_REQUEST, f"steps: the mask has no label {min(unknown)}.")
