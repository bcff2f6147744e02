"""MIRP's SUV of series in the folders below one; needs mirp, which does not install beside this project's versions.

Prints ``{version, answers: {folder: {unit: [factor, …]} or "refused: …"}}``: the factor is MIRP's SUV over the rescaled
value. Called with the folder, and the names of the folders below of which lean body mass is asked for too.
"""

import json
import logging
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import pydicom
from mirp import extract_images

TYPES = {
    "SUVbw": "body_weight",
    "SUL_LBMJAMES128": "lean_body_mass",
    "SUL_LBMJANMA": "lean_body_mass_bmi",
}
"""MIRP's names for the units."""


def factors(folder: Path, unit: str) -> list[float]:
    """Let MIRP read a series of images that are each of one value."""
    headers = sorted(map(pydicom.dcmread, folder.iterdir()), key=lambda header: float(header.ImagePositionPatient[2]))
    found = extract_images(
        image=str(folder), image_export_format="numpy", write_images=False, pet_suv_conversion=TYPES[unit]
    )
    slices = [float(image.flat[0]) for image in found[0][0][0]]
    values = [float(h.pixel_array.flat[0]) * float(h.RescaleSlope) + float(h.RescaleIntercept) for h in headers]
    return [suv / value for suv, value in zip(slices, values, strict=True)]


def answer(folder: Path, units: list[str]) -> dict[str, list[float]] | str:
    """Return the factors to each unit, or the reason for which there are none."""
    try:
        return {unit: factors(folder, unit) for unit in units}
    except Exception as error:  # noqa: BLE001  (whatever it says is its answer)
        return f"refused: {type(error).__name__}: {str(error).partition('[')[0].strip()}"


def main() -> None:
    """Answer for each folder below the one named."""
    warnings.simplefilter("ignore")
    logging.disable()
    root, *with_sul = sys.argv[1:]
    answers = {
        folder.name: answer(folder, list(TYPES) if folder.name in with_sul else ["SUVbw"])
        for folder in sorted(Path(root).iterdir())
    }
    sys.stdout.write(json.dumps({"version": version("mirp"), "answers": answers}))


if __name__ == "__main__":
    main()
