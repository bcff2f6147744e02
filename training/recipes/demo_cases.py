"""The training cases of the demo model: real CTs in several disguises, and phantoms.

Every image is brought to DICOM's axial order (rows to the back, columns to the left, slices to the head) before
training. The disguises stand for what other scanners make of a patient: thicker slices (averaged), other noise,
another calibration, a shorter field of view. Labels are made by ``training.recipes.tissue_rule`` on the disguised
image, before noise and calibration change it.
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

HELD_OUT = "crlm-ct-1006"
"""The folder of the test case, which must never be read here."""


@dataclass(frozen=True)
class Source:
    """A real CT: its files relative to the data folder, and its origin."""

    files: str
    licence: str
    citation: str


TOTALSEGMENTATOR = "Wasserthal et al., TotalSegmentator, Radiology: AI 2023"
SARCOMA = "Vallieres et al., Soft-tissue-Sarcoma, The Cancer Imaging Archive 2015"

SOURCES = {
    "totalsegmentator-ct": Source("totalsegmentator/example_ct.nii.gz", "Apache-2.0", TOTALSEGMENTATOR),
    "totalsegmentator-dicom": Source(
        "totalsegmentator/example_ct_dicom/CT.*",
        "Apache-2.0",
        TOTALSEGMENTATOR,
    ),
    "sts-001": Source("sts-001-ct/dicom/*.dcm", "CC BY 3.0", SARCOMA),
    "sts-002": Source("sts-002-ct/dicom/*.dcm", "CC BY 3.0", SARCOMA),
}


@dataclass(frozen=True)
class Disguise:
    """The changes made to a real CT.

    Attributes
    ----------
    bottom
        The first slice that is kept, counted from the feet.
    thick
        Number of neighbouring slices averaged into one.
    noise_hu
        Standard deviation of the added noise, in HU.
    scale, offset_hu
        Another calibration: ``HU * scale + offset``.
    """

    bottom: int = 0
    thick: int = 1
    noise_hu: float = 0.0
    scale: float = 1.0
    offset_hu: float = 0.0


@dataclass(frozen=True)
class MadeCase:
    """A phantom's seed, phase and grid: slices averaged in pairs of half their spacing."""

    seed: int
    phase: Phase | None
    spacing: tuple[float, float, float]
    bottom_mm: float
    top_mm: float


@dataclass(frozen=True)
class Case:
    """One training image: its name, and a real source with a disguise or a phantom."""

    name: str
    source: str
    recipe: Disguise | MadeCase
    validation: bool = False

    def describe(self) -> dict[str, Any]:
        """Describe the case as its entry in the case list."""
        use = "validation" if self.validation else "training"
        return {"name": self.name, "use": use, "source": self.source, "recipe": asdict(self.recipe)}


_VARIANTS: dict[str, list[tuple[int, int]]] = {
    "totalsegmentator-ct": [(0, 1)] * 4 + [(62, 1)] * 5 + [(85, 1)] * 4 + [(0, 2)] * 4 + [(60, 2)] * 5,
    "totalsegmentator-dicom": [(0, 1)] * 4 + [(0, 2)] * 4 + [(2, 3)] * 4,
    "sts-001": [(0, 1)] * 4 + [(0, 2)] * 2,
    "sts-002": [(0, 1)] * 4 + [(0, 2)] * 2,
}
"""(first slice, slices averaged) of each copy; lungs are in the upper slices of the first source only.

Every second copy is perturbed; the others repeat, so that real cases are drawn more often than phantoms."""

_WINDOWS = ((-150.0, 140.0), (-60.0, 170.0), (40.0, 290.0), (-270.0, 290.0), (-270.0, 60.0), (-30.0, 150.0))
_SPACINGS = ((5.0, 0.8, 0.8), (3.0, 1.2, 1.2), (2.0, 1.5, 1.5), (5.0, 1.0, 1.0), (4.0, 1.4, 1.4))
_PHASES: tuple[Phase | None, ...] = ("P", None, "P", "A", "P", "D", None)
TRAINING_PHANTOMS = 24
VALIDATION_PHANTOMS = 2


def all_cases() -> Iterator[Case]:
    """Yield every case, real ones first; the order and all parameters are fixed."""
    rng = np.random.default_rng(20)
    for source, variants in _VARIANTS.items():
        for number, (bottom, thick) in enumerate(variants):
            recipe = Disguise(bottom, thick)
            if number % 2:
                noise, scale, offset = rng.uniform(4, 25), rng.uniform(0.97, 1.03), rng.uniform(-12, 12)
                recipe = Disguise(bottom, thick, round(noise, 1), round(scale, 3), round(offset, 1))
            yield Case(f"{source}_{number:02d}", source, recipe)
    for number in range(TRAINING_PHANTOMS + VALIDATION_PHANTOMS):
        bottom_mm, top_mm = _WINDOWS[number % len(_WINDOWS)]
        made = MadeCase(
            100 + number, _PHASES[number % len(_PHASES)], _SPACINGS[number % len(_SPACINGS)], bottom_mm, top_mm
        )
        yield Case(f"phantom_{number:02d}", "phantom", made, number >= TRAINING_PHANTOMS)


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


def sha256(path: Path) -> str:
    """Compute the hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def case_list(data: Path) -> dict[str, Any]:
    """List what the weights were trained on: every source file with hash, licence and citation, and every case."""
    sources = {
        name: {
            "licence": source.licence,
            "citation": source.citation,
            "files": {str(p.relative_to(data)): sha256(p) for p in source_files(name, data)},
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


def disguise(
    array: NDArray[np.float32], spacing: tuple[float, float, float], recipe: Disguise
) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    """Shorten a volume and average its slices; noise and calibration come later, with ``perturb``."""
    array = array[recipe.bottom :]
    count = len(array) // recipe.thick
    thick = array[: count * recipe.thick].reshape(count, recipe.thick, *array.shape[1:]).mean(axis=1)
    return thick, (spacing[0] * recipe.thick, spacing[1], spacing[2])


def perturb(array: NDArray[np.float32], recipe: Disguise) -> NDArray[np.float32]:
    """Change noise and calibration."""
    rng = np.random.default_rng(round(recipe.noise_hu * 10))
    noise = rng.standard_normal(array.shape, dtype=np.float32) * np.float32(recipe.noise_hu)
    return array * np.float32(recipe.scale) + np.float32(recipe.offset_hu) + noise


def made_case(recipe: MadeCase) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    """Make a phantom: HU ``(slice, row, column)`` and spacing in mm."""
    fine = (recipe.spacing[0] / 2.0, recipe.spacing[1], recipe.spacing[2])
    middle = (recipe.bottom_mm + recipe.top_mm) / 2.0
    extent = (recipe.top_mm - recipe.bottom_mm, 300.0, 400.0)
    geometry = trunk_geometry(fine, extent=extent, centre=(0.0, 10.0, middle))
    array = make_phantom(geometry, phase=recipe.phase, seed=recipe.seed).array.astype(np.float32)
    return disguise(array, fine, Disguise(thick=2))
