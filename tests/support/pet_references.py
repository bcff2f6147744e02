"""The answers of two other programs to the made PET series, frozen with their versions in ``pet_references.json``.

Frozen anew by ``python -m tests.support.pet_references``, where ``@cornerstonejs/calculate-suv`` lies below a folder
that ``NODE_PATH`` names, and ``SEGNODE_MIRP_PYTHON`` is the Python of an environment with ``mirp`` and ``pydicom``.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from dicom_io.images.headers.attributes import first_item, number, text, texts
from dicom_io.images.headers.private import (
    GE_SCAN_TIME,
    PHILIPS_ACTIVITY_FACTOR,
    PHILIPS_SUV_FACTOR,
    private_text,
)
from tests.support.pet_cases import CASES, SUL_CASES
from tests.support.pet_headers import pet_headers, write_pet_series

FROZEN = Path(__file__).with_name("pet_references.json")
NODE, SCRIPT = shutil.which("node"), Path(__file__).with_name("calculate_suv.js")
MIRP_PYTHON, MIRP_SCRIPT = os.environ.get("SEGNODE_MIRP_PYTHON"), Path(__file__).with_name("mirp_suv.py")


def inputs() -> dict[str, Any]:
    """Return the headers of all cases as DICOM JSON: what the images of a series share, and what is each one's own."""
    found = {}
    for name, case in CASES.items():
        images = [header.to_json_dict() for header in pet_headers(case.pet)]
        shared = {tag: value for tag, value in images[0].items() if all(i.get(tag) == value for i in images)}
        own = [{tag: value for tag, value in image.items() if tag not in shared} for image in images]
        found[name] = {"series": shared, "images": own}
    return found


def headers_of(frozen: dict[str, Any]) -> list[Dataset]:
    """Return the headers that ``inputs`` wrote."""
    return [Dataset.from_json({**frozen["series"], **image}) for image in frozen["images"]]


def ask_calculate_suv() -> dict[str, Any]:
    """Run calculate-suv on all cases.

    Raises
    ------
    subprocess.CalledProcessError
        If node does not find it.
    """
    series = {name: [_metadata(h) for h in pet_headers(case.pet)] for name, case in CASES.items()}
    done = subprocess.run(  # noqa: S603 - our own script
        [str(NODE), str(SCRIPT)], input=json.dumps(series), capture_output=True, text=True, check=True, timeout=60
    )
    answers: dict[str, Any] = json.loads(done.stdout)
    for name, answer in answers["answers"].items():
        if name not in SUL_CASES and not isinstance(answer, str):
            del answer["SUL_LBMJANMA"]
    return answers


def ask_mirp(folder: Path) -> dict[str, Any]:
    """Run MIRP on the files of all cases, which are written into a folder."""
    for name, case in CASES.items():
        write_pet_series(folder / name, case.pet)
        for file in list((folder / name).iterdir()):
            file.rename(file.with_suffix(".dcm"))
    command = [str(MIRP_PYTHON), str(MIRP_SCRIPT), str(folder), *SUL_CASES]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)  # noqa: S603 - our own
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def _metadata(header: Dataset) -> dict[str, Any]:
    """Return a header in the form that calculate-suv asks for; attributes that are missing are left out."""
    isotope = first_item(header, "RadiopharmaceuticalInformationSequence") or Dataset()
    group = {
        "SUVScaleFactor": float(private_text(header, PHILIPS_SUV_FACTOR) or 0),
        "ActivityConcentrationScaleFactor": float(private_text(header, PHILIPS_ACTIVITY_FACTOR) or 0),
    }
    found: dict[str, Any] = {
        "CorrectedImage": list(texts(header, "CorrectedImage")),
        "RadionuclideHalfLife": number(isotope, "RadionuclideHalfLife"),
        "RadionuclideTotalDose": number(isotope, "RadionuclideTotalDose"),
        "RadiopharmaceuticalStartDateTime": text(isotope, "RadiopharmaceuticalStartDateTime"),
        "RadiopharmaceuticalStartTime": text(isotope, "RadiopharmaceuticalStartTime"),
        "PhilipsPETPrivateGroup": group if any(group.values()) else None,
        "GEPrivatePostInjectionDateTime": private_text(header, GE_SCAN_TIME),
    }
    found |= {key: text(header, key) for key in ("Units", "DecayCorrection", "PatientSex")}
    found |= {key: text(header, key) for key in ("SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime")}
    keys = ("PatientWeight", "PatientSize", "FrameReferenceTime", "ActualFrameDuration")
    found |= {key: number(header, key) for key in keys}
    return {key: value for key, value in found.items() if value not in (None, "")}


def main() -> None:
    """Ask both and freeze what they say."""
    with tempfile.TemporaryDirectory() as folder:
        frozen = {"calculate-suv": ask_calculate_suv(), "mirp": ask_mirp(Path(folder)), "inputs": inputs()}
    parts = [f'"{key}": {_one_line_each(value)}' for key, value in frozen.items()]
    FROZEN.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _one_line_each(value: dict[str, Any]) -> str:
    lines = []
    for key, part in value.items():
        nested = key == "answers"
        lines.append(f'"{key}": {_one_line_each(part) if nested else json.dumps(part, sort_keys=True)}')
    return "{\n" + ",\n".join(lines) + "\n}"


if __name__ == "__main__":
    main()
