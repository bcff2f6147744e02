"""The masks of a case: their places and their records.

``mask/total_A.nii.gz`` belongs to the image ``A.nii.gz`` beside ``mask``, and ``total_A.json`` beside the mask records
its sources. Masks derived from other masks, wherever in the case those are, are written there too.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from core.frozen import Frozen
from core.model_config import LabelSpec
from core.version import VERSION
from services.images.image_reader import stem_of
from services.images.safe_open import read_small
from services.images.shared_paths import MASK_FOLDER, SharedFile
from services.tasks import mask_prefix

SAYS_NOTHING: Final = frozenset({"image", "img", "ct", "phase", "series", "volume", ""})
"""Parts of an image's name that do not distinguish it from other images of a case."""


class MaskRecord(Frozen, populate_by_name=True):
    """The file beside a mask, which records its sources and the meaning of its values."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    segnode: str = VERSION
    key: str
    """Hash of everything that the mask depends on."""
    sources: tuple[str, ...]
    """Names of the files or folders it was made of, relative to the case."""
    mask_sha256: str
    seg_sha256: str = ""
    """Empty if no DICOM SEG was requested."""
    model: str = ""
    model_sha256: str = ""
    labels: tuple[LabelSpec, ...] = ()
    volumes_ml: dict[str, float] = Field(default={})
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class MaskPlace:
    """The place of one mask.

    Attributes
    ----------
    source
        Its source: the first image, or the mask that it is derived from.
    case
        Folder of the case, below the source's root.
    stem
        Name without extension.
    """

    source: SharedFile
    case: Path
    stem: str

    @property
    def folder(self) -> Path:
        """Return the case's mask folder."""
        return self.case / MASK_FOLDER

    @property
    def path(self) -> Path:
        """Return the path of the mask."""
        return self.folder / f"{self.stem}.nii.gz"

    @property
    def record_path(self) -> Path:
        """Return the path of its record."""
        return self.folder / f"{self.stem}.json"

    @property
    def seg_path(self) -> Path:
        """Return the path of its DICOM SEG, written on request."""
        return self.folder / f"{self.stem}.seg.dcm"

    @property
    def common_name(self) -> str:
        """Return the mask's name for every instance and caller, whatever their view of the volume."""
        return self.source.common_name_of(self.path)

    def name_in_case(self, source: SharedFile) -> str:
        """Return a source's name in records."""
        return source.path.relative_to(self.case).as_posix()


def place_of(alias: str, image: SharedFile) -> MaskPlace:
    """Return the place of an image's mask: in ``mask`` beside the image."""
    said = [part for part in re.split(r"[_\- ]+", stem_of(image.path)) if part.lower() not in SAYS_NOTHING]
    return MaskPlace(image, image.path.parent, "_".join([mask_prefix(alias), *said]))


def place_derived(mask: SharedFile, kind: str) -> MaskPlace:
    """Return the place of a mask derived from another: in the case's mask folder, as ``total_A_smooth.nii.gz``."""
    folder = mask.path.parent
    is_mask_folder = folder.name == MASK_FOLDER and folder != mask.root
    return MaskPlace(mask, folder.parent if is_mask_folder else folder, f"{stem_of(mask.path)}_{kind}")


def read_record(mask: SharedFile) -> MaskRecord | None:
    """Read a mask's record; None if there is none, or if it is not this program's."""
    try:
        return MaskRecord.model_validate_json(read_small(mask.path.with_name(f"{stem_of(mask.path)}.json"), mask.root))
    except (OSError, ValueError):  # a ValidationError is a ValueError
        return None


def key_of(*parts: str) -> str:
    """Hash everything that a mask depends on, short enough for a NIfTI header."""
    return hashlib.sha256("\0".join((VERSION, *parts)).encode()).hexdigest()[:40]
