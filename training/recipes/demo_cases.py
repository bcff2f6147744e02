"""The training cases of the demo model: real CTs in several disguises, and phantoms.

Every image is brought to DICOM's axial order (rows to the back, columns to the left, slices to the head) before
training. The disguises stand for what other scanners and other protocols make of a patient: thicker slices (averaged),
contrast medium in organs that were outlined, another table, kernel, noise and calibration. Labels are made by
``training.recipes.tissue_rule`` with the masks that came with the image, before contrast, table and noise change it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from core.image_files.reader import read_itk
from phantom import Phase, make_phantom, trunk_geometry
from training.recipes.disguises import Disguise, average, brighten, lay_on_table, scan
from training.recipes.organ_masks import OrganMasks, masks_of_classes, masks_of_phantom
from training.recipes.tissue_rule import label_tissues

Spacing = tuple[float, float, float]

HELD_OUT = "crlm-ct-1006"
"""The folder of the test case, which must never be read here."""


@dataclass(frozen=True)
class Source:
    """A real CT: its files relative to the data folder, and its origin.

    Attributes
    ----------
    masks
        A mask of TotalSegmentator on the same grid, and the version of its class numbers.
    """

    files: str
    licence: str
    citation: str
    masks: tuple[str, int] | None = None


TOTALSEGMENTATOR = "Wasserthal et al., TotalSegmentator, Radiology: AI 2023"
SARCOMA = "Vallieres et al., Soft-tissue-Sarcoma, The Cancer Imaging Archive 2015"

SOURCES = {
    "totalsegmentator-ct": Source(
        "totalsegmentator/example_ct.nii.gz",
        "Apache-2.0",
        TOTALSEGMENTATOR,
        ("totalsegmentator/example_seg_full_112sl.nii.gz", 1),
    ),
    "totalsegmentator-dicom": Source(
        "totalsegmentator/example_ct_dicom/CT.*",
        "Apache-2.0",
        TOTALSEGMENTATOR,
        ("totalsegmentator/example_seg_dicom.nii.gz", 2),
    ),
    "sts-001": Source("sts-001-ct/dicom/*.dcm", "CC BY 3.0", SARCOMA),
    "sts-002": Source("sts-002-ct/dicom/*.dcm", "CC BY 3.0", SARCOMA),
}


@dataclass(frozen=True)
class MadeCase:
    """A phantom's seed, phase and grid: slices averaged in pairs of half their spacing."""

    seed: int
    phase: Phase | None
    spacing: Spacing
    bottom_mm: float
    top_mm: float


@dataclass(frozen=True)
class Case:
    """One training image: its name, its real source or the phantom's recipe, and the disguise."""

    name: str
    source: str
    disguise: Disguise
    made: MadeCase | None = None
    validation: bool = False

    def describe(self) -> dict[str, Any]:
        """Describe the case as its entry in the case list."""
        return {
            "name": self.name,
            "use": "validation" if self.validation else "training",
            "source": self.source,
            "made": asdict(self.made) if self.made else None,
            "disguise": asdict(self.disguise),
        }


_VARIANTS: dict[str, list[tuple[int, int]]] = {
    "totalsegmentator-ct": [(0, 1)] * 6 + [(62, 1)] * 5 + [(85, 1)] * 4 + [(0, 2)] * 4 + [(60, 2)] * 4,
    "totalsegmentator-dicom": [(0, 1)] * 5 + [(0, 2)] * 4 + [(2, 3)] * 3,
    "sts-001": [(0, 1)] * 4 + [(0, 2)] * 2,
    "sts-002": [(0, 1)] * 4 + [(0, 2)] * 2,
}
"""(first slice, slices averaged) of each copy; lungs are in the upper slices of the first source only.

Each copy has another disguise, the first of each source none: real cases are drawn more often than phantoms."""

_CONTRAST = {
    "kidney": (110.0, 340.0),
    "vessel": (110.0, 460.0),
    "heart": (90.0, 340.0),
    "bowel": (180.0, 800.0),
    "stomach": (150.0, 600.0),
    "bladder": (100.0, 900.0),
}
"""Lowest and highest mean HU that contrast medium gives each organ."""

_WINDOWS = ((-150.0, 140.0), (-60.0, 170.0), (40.0, 290.0), (-270.0, 290.0), (-270.0, 60.0), (-30.0, 150.0))
_SPACINGS = ((5.0, 1.0, 1.0), (3.0, 1.2, 1.2), (2.5, 1.5, 1.5), (5.0, 1.2, 1.2), (4.0, 1.4, 1.4))
_PHASES: tuple[Phase | None, ...] = ("P", None, "P", "A", "P", "D", None)
TRAINING_PHANTOMS = 20
VALIDATION_PHANTOMS = 2


def all_cases() -> Iterator[Case]:
    """Yield every case, real ones first; the order and all parameters are fixed."""
    rng = np.random.default_rng(20)
    for source, variants in _VARIANTS.items():
        for number, (bottom, thick) in enumerate(variants):
            disguise = _drawn(rng, bottom, thick) if number else Disguise(bottom, thick)
            yield Case(f"{source}_{number:02d}", source, disguise)
    for number in range(TRAINING_PHANTOMS + VALIDATION_PHANTOMS):
        bottom_mm, top_mm = _WINDOWS[number % len(_WINDOWS)]
        made = MadeCase(
            100 + number, _PHASES[number % len(_PHASES)], _SPACINGS[number % len(_SPACINGS)], bottom_mm, top_mm
        )
        yield Case(f"phantom_{number:02d}", "phantom", _drawn(rng, 0, 1), made, number >= TRAINING_PHANTOMS)


def _drawn(rng: np.random.Generator, bottom: int, thick: int) -> Disguise:
    """Draw a disguise; each organ is bright in two cases of three, a table lies under two of three."""
    contrast = {name: round(rng.uniform(*hu)) for name, hu in _CONTRAST.items() if rng.random() < 0.65}
    table = int(rng.integers(1, 10_000)) if rng.random() < 0.65 else 0
    sharpness = round(float(rng.choice([-1.0, 0.0, 0.0, rng.uniform(0.3, 1.5)])), 2)
    noise, scale, offset = rng.uniform(2, 25), rng.uniform(0.97, 1.03), rng.uniform(-12, 12)
    return Disguise(bottom, thick, contrast, table, sharpness, round(noise, 1), round(scale, 3), round(offset, 1))


def source_files(source: str, data: Path) -> list[Path]:
    """Find the files of a real source, sorted by name.

    Raises
    ------
    FileNotFoundError
        If there are none.
    """
    files = sorted(data.glob(SOURCES[source].files))
    if not files:
        raise FileNotFoundError(f"no files match {SOURCES[source].files} in the data folder")
    if any(HELD_OUT in path.parts for path in files):
        raise ValueError(f"{HELD_OUT} is the held-out test case")
    return files


def _all_files(name: str, data: Path) -> list[Path]:
    masks = SOURCES[name].masks
    return [*source_files(name, data), *([data / masks[0]] if masks else [])]


def sha256(path: Path) -> str:
    """Compute the hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def case_list(data: Path) -> dict[str, Any]:
    """List what the weights were trained on: every source file with hash, licence and citation, and every case."""
    sources = {
        name: {
            "licence": source.licence,
            "citation": source.citation,
            "files": {str(p.relative_to(data)): sha256(p) for p in _all_files(name, data)},
        }
        for name, source in SOURCES.items()
    }
    return {"held_out": HELD_OUT, "sources": sources, "cases": [case.describe() for case in all_cases()]}


def read_axial(files: list[Path]) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    """Read a NIfTI file or a DICOM series in DICOM's axial order.

    Returns
    -------
    tuple
        HU ``(slice, row, column)``, and the spacing in the same order, mm.
    """
    if len(files) == 1:
        image = read_itk(files[0])
    else:
        # SimpleITK's wrappers have no annotations.
        reader: Any = sitk.ImageSeriesReader()  # type: ignore[no-untyped-call]
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(files[0].parent)))
        image = reader.Execute()
    image = sitk.DICOMOrient(image, "LPS")  # type: ignore[no-untyped-call]
    column, row, slice_ = image.GetSpacing()
    return sitk.GetArrayFromImage(image).astype(np.float32), (slice_, row, column)


def load_case(case: Case, data: Path) -> tuple[NDArray[np.float32], NDArray[np.uint8], Spacing]:
    """Load one training case: image in HU and labels ``(slice, row, column)``, and spacing in mm.

    The labels are made of the image as it was taken, before any disguise but the thickness of its slices.
    """
    array, spacing, masks = _made(case.made) if case.made else _taken(SOURCES[case.source], case.source, data)
    look = case.disguise
    array, spacing = average(array, spacing, look.bottom, look.thick)
    masks = masks.averaged(look.bottom, look.thick) if masks else None
    labels = label_tissues(array, spacing, masks)
    if masks:
        array = brighten(array, spacing, masks, look.contrast, look.table)
    if look.table:
        array = lay_on_table(array, spacing, labels > 0, look.table)
    return scan(array, look), labels, spacing


def _taken(source: Source, name: str, data: Path) -> tuple[NDArray[np.float32], Spacing, OrganMasks | None]:
    array, spacing = read_axial(source_files(name, data))
    if source.masks is None:
        return array, spacing, None
    path, version = source.masks
    classes, _ = read_axial([data / path])
    return array, spacing, masks_of_classes(np.round(classes).astype(np.uint8), version)


def _made(recipe: MadeCase) -> tuple[NDArray[np.float32], Spacing, OrganMasks]:
    fine = (recipe.spacing[0] / 2.0, recipe.spacing[1], recipe.spacing[2])
    middle = (recipe.bottom_mm + recipe.top_mm) / 2.0
    extent = (recipe.top_mm - recipe.bottom_mm, 300.0, 400.0)
    geometry = trunk_geometry(fine, extent=extent, centre=(0.0, 10.0, middle))
    phantom = make_phantom(geometry, phase=recipe.phase, seed=recipe.seed)
    array, spacing = average(phantom.array.astype(np.float32), fine, 0, 2)
    return array, spacing, masks_of_phantom(phantom.labels).averaged(0, 2)
