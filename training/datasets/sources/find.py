"""The form of a source, and the cases that it holds."""

from collections.abc import Callable
from pathlib import Path

from core.errors import ConfigInvalid
from training.datasets.case import Found, Request
from training.datasets.lock import DATASET_JSON
from training.datasets.short_ids import ShortIDs
from training.datasets.sources.dicom import find_in_dicom
from training.datasets.sources.files import find_by_pattern
from training.datasets.sources.nnunet import find_in_decathlon, find_in_nnunet, is_decathlon, read_dataset_json


def find_cases(
    source: Path, request: Request, ids: ShortIDs, on_progress: Callable[[int, int], None] | None = None
) -> Found:
    """Find the cases of a source: by patterns if there are any, by its ``dataset.json``, else as DICOM.

    Raises
    ------
    ConfigInvalid, StudyRejected, RetryLater
        As the reader of its form.
    """
    if not source.is_dir():
        raise ConfigInvalid(f"{source}: no such folder")
    source = source.resolve()
    if request.images:
        return find_by_pattern(source, request)
    if (source / DATASET_JSON).is_file():
        is_of_decathlon = is_decathlon(read_dataset_json(source))
        return find_in_decathlon(source, request) if is_of_decathlon else find_in_nnunet(source, request)
    return find_in_dicom(source, request, ids, on_progress)
