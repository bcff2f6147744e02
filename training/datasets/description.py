"""``dataset.json``: a data set as nnU-Net has it described."""

from collections.abc import Sequence
from typing import Any

from training.datasets.lock import ENDING, READER, DatasetLock
from training.datasets.table import BACKGROUND, IGNORE


def nnunet_name(modality: Sequence[str], unit: str | None, name: str) -> str:
    """Return the name by which nnU-Net chooses a channel's normalisation: ``CT`` for HU, else the channel's own."""
    return "CT" if tuple(modality) == ("CT",) and unit in (None, "HU") else name


def dataset_json(lock: DatasetLock) -> dict[str, Any]:
    """Return nnU-Net's description of a data set."""
    values = {label.name: label.value for label in lock.labels}
    if lock.regions:
        labels: dict[str, Any] = {region.name: [values[name] for name in region.labels] for region in lock.regions}
    else:
        labels = dict(values)
    content: dict[str, Any] = {
        "channel_names": {str(n): channel.nnunet_name for n, channel in enumerate(lock.channels)},
        "labels": {BACKGROUND: 0, **labels, **({} if lock.ignore is None else {IGNORE: lock.ignore})},
        "numTraining": len(lock.cases),
        "file_ending": ENDING,
        "overwrite_image_reader_writer": READER,
        "name": lock.name,
    }
    if lock.regions:
        content["regions_class_order"] = [region.value for region in lock.regions]
    return content
