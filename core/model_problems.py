"""The problems of a ``model.yaml``, each on one line with an example of the right form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.yaml_problems import Location, close_to, finding_of, keys_of, location_of
from core.yaml_text import line_of

_CODE = '{value: "10200004", scheme: SCT, meaning: Liver}'
_RANGE = "{min: 0.5, max: 5}"

EXAMPLES: Mapping[str, str] = {
    "": "schema: 1",
    "schema": "1",
    "name": "liver",
    "version": '"1"',
    "description": '"Liver on CT"',
    "orientation": "RAS",
    "channels": "[{name: CT, series: {modality: [CT]}}]",
    "channels.name": "CT",
    "channels.unit": "HU",
    "channels.series": "{modality: [CT]}",
    "channels.series.modality": "[CT]",
    "channels.series.body_part": "[ABDOMEN]",
    "channels.series.description": "[portal, venous]",
    "channels.series.exclude_description": "[scout]",
    "channels.series.image_type": "[ORIGINAL]",
    "channels.series.exclude_image_type": "[LOCALIZER]",
    "channels.series.orientation": "[axial]",
    "channels.series.slice_thickness": _RANGE,
    "channels.series.slice_spacing": _RANGE,
    "channels.series.pixel_spacing": _RANGE,
    "channels.series.min_slices": "3",
    "channels.series.energy_kev": "70",
    "channels.series.phase": "[portal]",
    "channels.series.volume": "{echo: 1}",
    "channels.series.volume.acquisition": "1",
    "channels.series.volume.time": "1",
    "channels.series.volume.trigger_time": "40  # ms",
    "channels.series.volume.frame_time": "1500  # ms",
    "channels.series.volume.cardiac_phase": "70  # %",
    "channels.series.volume.respiratory_phase": "50  # %",
    "channels.series.volume.echo": "1",
    "channels.series.volume.echo_time": "4.6  # ms",
    "channels.series.volume.inversion_time": "150  # ms",
    "channels.series.volume.flip_angle": "15  # degrees",
    "channels.series.volume.b_value": "800  # s/mm²",
    "channels.series.volume.direction": "isotropic",
    "channels.series.volume.image_type": "[WATER]",
    "channels.series.volume.component": "MAGNITUDE",
    "channels.series.volume.orientation": "axial",
    "channels.series.volume.normal": "[0, 0.26, 0.97]",
    "channels.series.volume.tilt": "15  # degrees",
    "channels.series.volume.kernel": "B30f",
    "channels.series.volume.kvp": "120  # kV",
    "channels.series.volume.slice_thickness": "1.5  # mm",
    "channels.series.volume.pixel_spacing": "[0.7, 0.7]  # mm",
    "channels.series.volume.matrix": "[512, 512]",
    "channels.series.volume.stack": '"1"',
    "channels.series.volume.photometric_interpretation": "MONOCHROME2",
    "channels.series.volume.dimension": "FlipAngle=2",
    "channels.series.prefer": "[thinnest, most_slices]",
    "on_other_grid": "refuse",
    "geometry": "regular",
    "labels": f"[{{value: 1, name: liver, type: {_CODE}}}]",
    "labels.value": "1",
    "labels.name": "liver",
    "labels.category": '{value: "91723000", scheme: SCT, meaning: Anatomical Structure}',
    "labels.type": _CODE,
    "labels.laterality": '{value: "7771000", scheme: SCT, meaning: Left}',
    "labels.colour": "[40, 140, 40]",
    "postprocessing": "[{step: keep_largest, labels: [liver]}]",
    "postprocessing.step": "keep_largest",
    "postprocessing.labels": "[liver]",
    "postprocessing.together": "true",
    "postprocessing.components": "1",
    "postprocessing.min_volume_mm3": "500",
    "postprocessing.max_volume_mm3": "500",
    "postprocessing.radius_mm": "2",
    "postprocessing.sigma_mm": "1",
    "inference": "{profile: exact, mirroring: true, step_size: 0.5}",
    "inference.profile": "exact",
    "inference.mirroring": "true",
    "inference.step_size": "0.5",
    "inference.folds": "[0, 1, 2, 3, 4]",
    "inference.fast": "{mirroring: false, step_size: 0.8}",
    "inference.fast.mirroring": "false",
    "inference.fast.step_size": "0.8",
    "inference.fast.bf16": "true",
    "inference.fast.crop_to_body": "true",
    "inference.fast.finest_useful_spacing": "1.5",
    "measure": "{intensity: true, diameters: true}",
    "measure.intensity": "true",
    "measure.diameters": "true",
    "output": "{segmentation_type: BINARY}",
    "output.segmentation_type": "BINARY",
    "output.series_description": '"Liver"',
    "output.series_number": "9001",
    "output.character_set": "utf8",
    "output.when_empty": "none",
}
"""An example of the right form of each key, by its path without list numbers."""


def problems_of(error: ValidationError, text: str, content: Any, model: type[BaseModel], path: Path) -> list[str]:
    """Write each problem on one line: file, line, key, finding, remedy with an example of the right form."""
    known = keys_of(model)
    lines: dict[Location, str] = {}
    for problem in error.errors():
        location = location_of(problem, content)
        key = ".".join(map(str, location)) or "(whole file)"
        said = f"{path}:{line_of(text, location)}: {key}: {finding_of(problem)}; {_remedy(problem, location, known)}"
        lines.setdefault(location, said)  # a value that fits no member of a union is one problem
    # A list of which an entry is wrong is also called too short.
    return [line for at, line in lines.items() if not any(len(at) < len(o) and o[: len(at)] == at for o in lines)]


def _remedy(problem: ErrorDetails, location: Location, known: set[str]) -> str:
    context = problem.get("ctx", {})
    if problem["type"] == "extra_forbidden":
        close = close_to(location[-1], known)
        return f"did you mean {close}?" if close else "remove it"
    example = _example(location)
    if "remedy" in context:
        return str(context["remedy"])
    if problem["type"] in ("literal_error", "union_tag_invalid"):
        choices = str(context.get("expected") or context.get("expected_tags")).replace("'", "")
        value = context.get("tag", problem.get("input"))
        close = close_to(value, choices.replace(" or ", ", ").split(", "))
        if close:
            return f"did you mean {close}?"
    return f"write it like this: {example}"


def _example(location: Location) -> str:
    names = [part for part in location if isinstance(part, str)]
    while names and ".".join(names) not in EXAMPLES:
        names.pop()
    form = EXAMPLES[".".join(names)]
    return f"{names[-1]}: {form}" if names else form
