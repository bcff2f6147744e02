"""The masks of a case: where they lie, and what is said of them.

``mask/total_A.nii.gz`` lies beside the image ``A.nii.gz``, and beside the mask ``total_A.json`` says what it was made
of. Masks that are made of other masks, wherever those lie in the case, lie there too.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.model_config import LabelSpec
from core.version import VERSION
from services.images.image_reader import stem_of
from services.images.safe_open import read_small
from services.images.shared_paths import MASK_FOLDER, SharedFile

NAMES: Final = {"totalseg": "total", "vessel": "vessel", "ureter": "ureter", "tumor": "tumor"}
SAYS_NOTHING: Final = frozenset({"image", "img", "ct", "phase", "series", "volume", ""})
"""Parts of an image's name that tell it from no other image of a case."""


class MaskRecord(BaseModel):
    """The file beside a mask: what it was made of, and what its values mean."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    segnode: str = VERSION
    key: str
    """Hash of everything that the mask depends on."""
    sources: tuple[str, ...]
    """Names of the files or folders it was made of, relative to the case."""
    mask_sha256: str
    seg_sha256: str = ""
    """Empty where no DICOM SEG was asked for."""
    model: str = ""
    model_sha256: str = ""
    labels: tuple[LabelSpec, ...] = ()
    volumes_ml: dict[str, float] = {}
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class MaskPlace:
    """Where one mask belongs.

    Attributes
    ----------
    source
        What it is made of; the first image, or the mask that it comes from.
    case
        Folder of the case, below the source's root.
    stem
        Name without ending.
    """

    source: SharedFile
    case: Path
    stem: str

    @property
    def folder(self) -> Path:
        """The case's mask folder."""
        return self.case / MASK_FOLDER

    @property
    def path(self) -> Path:
        """The mask."""
        return self.folder / f"{self.stem}.nii.gz"

    @property
    def record_path(self) -> Path:
        """What is said of it."""
        return self.folder / f"{self.stem}.json"

    @property
    def seg_path(self) -> Path:
        """The same as a DICOM SEG, where one was asked for."""
        return self.folder / f"{self.stem}.seg.dcm"

    @property
    def common_name(self) -> str:
        """One name of the mask, wherever instances and callers see the volume."""
        return self.source.common_name_of(self.path)

    def name_in_case(self, source: SharedFile) -> str:
        """What a record calls a source."""
        return source.path.relative_to(self.case).as_posix()


def place_of(task: str, image: SharedFile) -> MaskPlace:
    """Where the mask of an image belongs: in ``mask`` beside it."""
    said = [part for part in re.split(r"[_\- ]+", stem_of(image.path)) if part.lower() not in SAYS_NOTHING]
    return MaskPlace(image, image.path.parent, "_".join([NAMES[task], *said]))


def place_derived(mask: SharedFile, kind: str) -> MaskPlace:
    """Where a mask that is made of another belongs: in the case's mask folder, as ``total_A_smooth.nii.gz``."""
    folder = mask.path.parent
    is_mask_folder = folder.name == MASK_FOLDER and folder != mask.root
    return MaskPlace(mask, folder.parent if is_mask_folder else folder, f"{stem_of(mask.path)}_{kind}")


def read_record(mask: SharedFile) -> MaskRecord | None:
    """What is said of a mask; None where nothing is, or nothing of this program's."""
    try:
        return MaskRecord.model_validate_json(read_small(mask.path.with_name(f"{stem_of(mask.path)}.json"), mask.root))
    except (OSError, ValueError):  # of which a ValidationError is one
        return None


def key_of(*parts: str) -> str:
    """One hash of everything that a mask depends on, short enough for a NIfTI header."""
    return hashlib.sha256("\0".join((VERSION, *parts)).encode()).hexdigest()[:40]
