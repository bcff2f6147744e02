"""Work on a mask alone: smoothing and post-processing; the image is not read."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.cancellation import NEVER, Cancellation
from core.errors import ReasonCode, RequestCode, RequestRefused, RetryLater, StudyRejected, UnreadableImage
from core.image_files.reader import read_array
from core.label_map import LabelMap
from core.model_config import LabelSpec, PostprocessingStep
from segmentation.boxes import bounding_boxes
from segmentation.inference.available_memory import Memory, host_memory
from segmentation.inference.memory_estimate import BASE, STEP_BYTES
from segmentation.postprocessing.steps import postprocess
from services.images.image_reader import check_ending, grid_of, unreadable
from services.images.limits import Limits
from services.images.opened_image import OpenImage
from services.images.shared_paths import Roots, SharedFile
from services.jobs.requests import MaskRequest, SmoothRequest
from services.jobs.results import MaskResult
from services.masks.mask_folder import MaskFolder
from services.masks.mask_locks import Locks
from services.masks.mask_paths import MaskRecord, key_of, place_derived, read_record

LARGEST_VALUE: Final = 65535
READING_BYTES: Final = 16
"""Bytes for each voxel: the file's value, and the copies until it is a label."""


@dataclass(frozen=True)
class MaskJob:
    """One job on a mask.

    Attributes
    ----------
    roots, locks
        Shared by every job of a worker: the volume, and locks between processes.
    limits
        Largest size of masks.
    host
        Returns the machine's total and free memory.
    """

    roots: Roots
    locks: Locks
    limits: Limits
    host: Callable[[], Memory] = host_memory

    def run(
        self,
        request: MaskRequest,
        on_progress: Callable[[float], None],
        cancellation: Cancellation = NEVER,
        on_wait: Callable[[], None] = lambda: None,
    ) -> MaskResult:
        """Make a changed copy of a mask in the case's mask folder, or find the existing one.

        Parameters
        ----------
        request
            The request.
        on_progress
            Called with the share that is done, 0 to 1.
        cancellation
            Asked between stages, and while another job makes the same mask.
        on_wait
            Called repeatedly while another job makes the same mask.

        Raises
        ------
        Cancelled
            If the job is cancelled.
        RequestRefused
            ``unreadable_image`` if it is not a mask, ``over_limits`` if it is too large, ``invalid_request`` if it
            lacks one of the labels.
        StudyRejected
            ``too_large`` if the work needs more memory than the machine has.
        RetryLater
            If disk or memory do not suffice now, or the mask was changed while it was read.
        """
        mask = self.roots.find(request.mask_path, "mask_path")
        place = place_derived(mask, request.task)
        sources = (place.name_in_case(mask),)
        known = read_record(mask)
        with OpenImage(mask, "mask_path", self.limits) as opened:
            label_map = self._read(opened, mask, known)
            digest = opened.digest
            opened.check_unchanged()
        steps = _steps_of(request, label_map)
        self._check_memory(_need(steps, label_map))
        said = json.dumps([step.model_dump(mode="json") for step in steps], sort_keys=True)
        key = key_of(request.task, digest, said)
        with MaskFolder(place) as folder, self.locks.held([place.common_name], cancellation, on_wait):
            record = folder.existing(key, sources, force=request.force)
            if record is not None:
                return MaskResult.of(place, record, existing=True)
            cancellation.raise_if_cancelled()
            changed = postprocess(label_map, steps)
            cancellation.raise_if_cancelled()
            on_progress(1.0)
            record = folder.write(changed, _record_of(changed, key, sources, known))
            return MaskResult.of(place, record)

    def _read(self, opened: OpenImage, mask: SharedFile, known: MaskRecord | None) -> LabelMap:
        if opened.is_folder:
            raise RequestRefused(RequestCode.UNREADABLE_IMAGE, "mask_path must be a file, not a folder.")
        check_ending(mask.path, "mask_path")
        self._check_memory(READING_BYTES * prod(grid_of(opened.path, "mask_path", self.limits).shape))
        try:
            array, geometry = read_array(opened.path)
        except UnreadableImage as error:
            raise unreadable(error, "mask_path") from error
        whole = _whole_numbers(array)
        named = {spec.value: spec for spec in known.labels} if known else {}
        values = [int(value) for value in np.unique(whole) if value > 0]
        specs = {value: named.get(value) or LabelSpec(value=value, name=str(value)) for value in values} | named
        return LabelMap(whole, geometry, tuple(specs[value] for value in sorted(specs)))

    def _check_memory(self, need: int) -> None:
        memory = self.host()
        told = f"The work on this mask needs {need / 1e9:.1f} GB of memory"
        if need > memory.total - BASE:
            raise StudyRejected(ReasonCode.TOO_LARGE, f"{told}; the machine has {memory.total / 1e9:.1f} GB.")
        if need > memory.free:
            raise RetryLater(f"{told}; {memory.free / 1e9:.1f} GB are free")


def _steps_of(request: MaskRequest, label_map: LabelMap) -> Sequence[PostprocessingStep]:
    """Return the steps that a request asks for, all of whose labels the mask has."""
    if isinstance(request, SmoothRequest):
        return request.steps(_values(request.labels, label_map))
    _check_labels(request.steps, label_map)
    return request.steps


def _record_of(changed: LabelMap, key: str, sources: tuple[str, ...], known: MaskRecord | None) -> MaskRecord:
    """Describe a changed mask; its model is still the one that made the mask which was changed."""
    return MaskRecord(
        key=key,
        sources=sources,
        mask_sha256="",
        model=known.model if known else "",
        model_sha256=known.model_sha256 if known else "",
        labels=changed.labels,
        volumes_ml=changed.volumes_ml(),
    )


def _need(steps: Sequence[PostprocessingStep], label_map: LabelMap) -> int:
    """Return the bytes that steps take at their peak: each works in the box around a label."""
    boxes = bounding_boxes(label_map.array).values()
    largest = max((prod(side.stop - side.start for side in box) for box in boxes), default=0)
    return largest * max(STEP_BYTES[step.step] for step in steps)


def _whole_numbers(array: NDArray[Any]) -> Any:
    is_whole = array.dtype.kind in "iu" or not (array != np.floor(array)).any()
    if array.min() < 0 or array.max() > LARGEST_VALUE or not is_whole:
        detail = f"mask_path: a mask must have whole numbers from 0 to {LARGEST_VALUE}."
        raise RequestRefused(RequestCode.UNREADABLE_IMAGE, detail)
    return array.astype(np.uint8 if array.max() < 256 else np.uint16, copy=False)


def _values(labels: Sequence[str], label_map: LabelMap) -> tuple[int, ...]:
    known = {spec.name: spec.value for spec in label_map.labels} | {str(s.value): s.value for s in label_map.labels}
    unknown = [label for label in labels if label not in known]
    if unknown:
        names = ", ".join(spec.name for spec in label_map.labels)
        raise RequestRefused(RequestCode.INVALID_REQUEST, f"labels: the mask has only these: {names or 'none'}.")
    return tuple(known[label] for label in labels)


def _check_labels(steps: Sequence[PostprocessingStep], label_map: LabelMap) -> None:
    known = {spec.value for spec in label_map.labels}
    if unknown := {value for step in steps for value in step.labels} - known:
        raise RequestRefused(RequestCode.INVALID_REQUEST, f"steps: the mask has no label {min(unknown)}.")
