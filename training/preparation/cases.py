"""One case prepared for one configuration, by nnU-Net's own preprocessor: whole, or not there."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from training.preparation.raw import RawCase

_ENDINGS = (".pkl", "_seg.b2nd", ".b2nd")
"""Files of a prepared case; the last is what nnU-Net lists cases by."""

_OF_THE_IMAGES = (
    "preprocessor_name",
    "spacing",
    "normalization_schemes",
    "use_mask_for_norm",
    "resampling_fn_data",
    "resampling_fn_data_kwargs",
    "resampling_fn_seg",
    "resampling_fn_seg_kwargs",
)
"""Keys of a configuration that say how a prepared case looks; the others are about the network."""

_OF_ALL = ("image_reader_writer", "transpose_forward", "foreground_intensity_properties_per_channel")
MADE_OF = "made_of.json"


@dataclass(frozen=True)
class CaseTask:
    """The work on one case.

    Attributes
    ----------
    name
        Of the case.
    images, label
        Its files, one a channel.
    plans
        Path of the plans.
    configuration
        One of them.
    description
        Path of ``dataset.json``.
    target
        Folder of the prepared cases.
    token
        Bytes of memory that it is predicted to take.
    """

    name: str
    images: tuple[str, ...]
    label: str
    plans: str
    configuration: str
    description: str
    target: str
    token: int

    @property
    def is_done(self) -> bool:
        """Return True if the case is there."""
        return all((Path(self.target) / f"{self.name}{ending}").exists() for ending in _ENDINGS)


def prepare_case(task: CaseTask) -> int:
    """Prepare one case, and return the largest memory of this process in bytes."""
    import resource

    import torch
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    torch.set_num_threads(1)  # its neighbours have the other cores
    plans = PlansManager(task.plans)
    configuration = plans.get_configuration(task.configuration)
    preprocessor = configuration.preprocessor_class(verbose=False)
    with _aside(Path(task.target), task.name) as place:
        preprocessor.run_case_save(str(place), list(task.images), task.label, plans, configuration, task.description)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def _aside(target: Path, name: str) -> Iterator[Path]:
    """Have the files written beside the folder's, and renamed into it, the one that counts last."""
    aside = target / f".{uuid4().hex}.part"
    aside.mkdir()
    try:
        yield aside / name
        for ending in _ENDINGS:
            (aside / f"{name}{ending}").replace(target / f"{name}{ending}")
    finally:
        for path in aside.iterdir():
            path.unlink()
        aside.rmdir()


def made_of(plans: Mapping[str, Any], configuration: Mapping[str, Any], raw: Path, cases: Mapping[str, RawCase]) -> str:
    """Return the hash of all that a folder of prepared cases depends on, so that it is known whether it is current.

    Parameters
    ----------
    configuration
        With what it inherits.
    raw
        The raw data set.
    cases
        Its cases; their files count by size and time of change.
    """
    files = [path for _, case in sorted(cases.items()) for path in (*case.images, case.label)]
    sizes = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    parts = [{key: configuration.get(key) for key in _OF_THE_IMAGES}, {key: plans.get(key) for key in _OF_ALL}, sizes]
    parts.append(json.loads((raw / "dataset.json").read_text())["labels"])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
