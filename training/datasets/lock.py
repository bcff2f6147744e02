"""``dataset.lock``: what a data set holds, from where, and the version that is the hash of it.

A data set is an nnU-Net v2 raw data set with three files more::

    Dataset101_LIVER/
    ├── dataset.json         nnU-Net's own, with the reader stated
    ├── dataset.lock         this file
    ├── splits_final.json    nnU-Net's form, by patient; the lock holds the same
    ├── labels.yaml          how names became labels
    ├── report.html, report.json
    ├── imagesTr/  NAME_SHORTID_0000.nii.gz
    └── labelsTr/  NAME_SHORTID.nii.gz

A folder never changes once it has its name: other content is another version, with a number of its own.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from core.errors import PackageInvalid
from core.frozen import Frozen
from core.model_config import LabelSpec, Orientation, SeriesRule
from core.units import Unit

LOCK = "dataset.lock"
DATASET_JSON = "dataset.json"
SPLITS = "splits_final.json"
ENDING = ".nii.gz"
READER = "SimpleITKIO"
"""nnU-Net's class that reads the images: in the axis order in which they are stored."""

DATASET_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
"""Pattern that the whole name must match: nnU-Net makes folders of it."""
DatasetName = Annotated[str, Field(pattern=f"^{DATASET_NAME}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Kind = Literal["dicom_seg", "dicom_rtstruct", "nifti", "nnunet", "decathlon"]

_OUTSIDE = ("version", "number", "segnode_version", "refused")
"""Keys of the lock that are no content."""


class LockedFile(Frozen):
    """One file of a case: the hash of its bytes, and that of its shape and voxels, whatever the compression."""

    sha256: Sha256
    content: Sha256


class LockedChannel(Frozen):
    """A channel as ``model.yaml`` will have it, and the name by which nnU-Net chooses the normalisation."""

    name: str
    nnunet_name: str
    unit: Unit | None = None
    series: SeriesRule | None = Field(default=None, description="None: the images were no DICOM")


class Region(Frozen):
    """A union of labels that nnU-Net learns as one output; ``value`` is what the output is written as."""

    name: str
    labels: tuple[str, ...] = Field(min_length=1)
    value: int = Field(ge=1, le=65535)


class LockedCase(Frozen):
    """One case.

    Attributes
    ----------
    images, label
        Its files: one a channel, and the mask.
    shape, spacing, origin, direction
        The grid: ``(slice, row, column)`` in voxels and mm, LPS in mm, nine cosines row by row.
    units
        Of each channel's values, as the images state them, else as the labels table does; empty where none does.
    kind
        Form of the source.
    source, patient
        Short IDs, keyed by the site: of the study or file, and of the patient.
    labelled_by
        Who made the mask: the words of the person who registered, else the kind of algorithm and a short ID.
    looked_for
        Names of the labels that the person who made the mask looked for.
    voxels
        Voxels of each label, by name, and of nnU-Net's ignore label.
    notes
        What a person should know, as codes of `training.datasets.case.CaseNote`.
    """

    images: tuple[LockedFile, ...] = Field(min_length=1)
    label: LockedFile
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...] = Field(min_length=9, max_length=9)
    units: tuple[str, ...] = ()
    kind: Kind
    source: str
    patient: str
    labelled_by: str
    looked_for: tuple[str, ...]
    voxels: dict[str, int]
    notes: tuple[str, ...] = ()


class RefusedCase(Frozen):
    """A case that was left out: its source by short ID, the code, and the finding."""

    source: str
    code: str
    detail: str


class Split(Frozen):
    """One fold, as nnU-Net's ``splits_final.json`` has it: names of cases."""

    train: tuple[str, ...]
    val: tuple[str, ...]


class DatasetLock(Frozen, populate_by_name=True):
    """The whole of ``dataset.lock``.

    Attributes
    ----------
    version
        SHA-256 of all but ``number``, ``segnode_version``, what was refused, notes, and the hashes of files' bytes.
    number
        nnU-Net's number of the data set at this place.
    orientation
        For ``model.yaml``: images are stored in the axis order in which they were acquired.
    ignore
        nnU-Net's ignore label; ``None`` if every structure was looked for in every case.
    splits
        By patient; empty if there are too few patients for two sides, so that only fold ``all`` can be trained.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: DatasetName
    number: int = Field(ge=1, le=999)
    version: Sha256
    segnode_version: str
    orientation: Orientation = "acquired"
    channels: tuple[LockedChannel, ...] = Field(min_length=1)
    on_other_grid: Literal["refuse", "resample"] = "refuse"
    labels: tuple[LabelSpec, ...] = Field(min_length=1)
    regions: tuple[Region, ...] = ()
    ignore: int | None = None
    cases: dict[str, LockedCase] = Field(min_length=1)
    splits: tuple[Split, ...] = ()
    refused: tuple[RefusedCase, ...] = ()

    @property
    def folder_name(self) -> str:
        """The name of its folder, as nnU-Net wants it."""
        return f"Dataset{self.number:03d}_{self.name}"

    @property
    def short_version(self) -> str:
        """The first 12 digits of the version, by which people name it."""
        return self.version[:12]

    def content_version(self) -> str:
        """Compute the version of the content."""
        # A later key at its default changes no version, and nor do other words for a finding.
        content = self.model_dump(mode="json", by_alias=True, exclude=set(_OUTSIDE), exclude_defaults=True)
        for case in content["cases"].values():
            case.pop("notes", None)
            for file in (*case["images"], case["label"]):
                del file["sha256"]
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def image_file(self, case: str, channel: int) -> str:
        """Return the path of a channel of a case within the folder."""
        return f"imagesTr/{case}_{channel:04d}{ENDING}"

    def label_file(self, case: str) -> str:
        """Return the path of the mask of a case within the folder."""
        return f"labelsTr/{case}{ENDING}"


def write_lock(folder: Path, lock: DatasetLock) -> None:
    """Write ``dataset.lock`` and ``splits_final.json``."""
    (folder / LOCK).write_text(lock.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
    splits = [split.model_dump(mode="json") for split in lock.splits]
    (folder / SPLITS).write_text(json.dumps(splits, indent=1) + "\n", encoding="utf-8")


def read_lock(folder: Path) -> DatasetLock:
    """Read the lock of a data set's folder.

    Raises
    ------
    PackageInvalid
        If there is none, it is damaged, or its version is not that of its content.
    """
    path = folder / LOCK
    try:
        lock = DatasetLock.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise PackageInvalid(f"{folder}: no data set of segnode; it has no {LOCK}") from error
    except (OSError, ValidationError) as error:
        raise PackageInvalid(f"{path}: it cannot be read; restore it, or register the data set again") from error
    if lock.content_version() != lock.version:
        raise PackageInvalid(f"{path}: it was changed: its content is not that of version {lock.short_version}")
    return lock
