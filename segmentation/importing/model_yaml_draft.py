"""A first ``model.yaml``: facts of the nnU-Net folder are filled in, decisions for a person are marked.

The text is written line by line and not dumped, because its comments make it usable.
"""

import colorsys
import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.dicom_text import LONGEST, one_line
from core.errors import PackageInvalid
from core.model_config import SeriesRule
from core.units import PT_UNITS
from segmentation.importing.plans import READERS
from segmentation.importing.selection import INFORMATION, Selection
from segmentation.importing.snomed_codes import meaning_of
from segmentation.importing.source_files import read_json
from segmentation.package.network_spec import PackageManifest

OUTPUT = (
    "output:",
    "  segmentation_type: BINARY  # or LABELMAP, where the archive and the viewers know it",
    '  series_description: ""  # what the radiologist sees; empty: the model\'s name',
    "  # series_number: 9001  # else 9000 more than the source's",
    "  when_empty: none  # nothing found: `none` sends nothing, `object` sends a SEG whose frames are all blank",
    "  character_set: utf8  # of the SEG; `source` keeps that of the images, for an archive that knows no UTF-8",
)
GEOMETRY = (
    "# DECIDE: `any` also takes series under a tilted gantry and at uneven distances. The network sees them on a",
    "# regular grid, a tilted head pitched, and each true slice is labelled at its own place (docs/geometry.md). A",
    "# model that knows upright patients alone may do worse on those. `regular` refuses them; for regular series both",
    "# are the same.",
    "geometry: any",
)
_KEEP_LARGEST = "remove_all_but_largest_component_from_segmentation"
_STEPS = "keep_largest, remove_small, fill_holes, open, smooth"
_MR = ("mr", "t1", "t2", "flair", "dwi", "adc", "dce", "pd", "stir", "dixon", "water", "inphase")


def write_model_yaml(
    path: Path, name: str, manifest: PackageManifest, datasets: Mapping[str, Any], selection: Selection
) -> None:
    """Write the commented template for a new package.

    Parameters
    ----------
    datasets
        ``dataset.json`` of the first member.

    Raises
    ------
    PackageInvalid
        If ``postprocessing.json`` contains a step that this project does not support.
    """
    steps = read_postprocessing(selection.postprocessing) if selection.postprocessing else []
    lines = [
        "# What nnU-Net does not know about this model. Written by `segnode models add`; edit it freely: weights and",
        "# plans are sealed (SHA256SUMS), this file is not. Check it with `segnode models verify " + name + "`.",
        "# Comments with a word in capitals ask a person. Answer, delete the comment; no route or alias runs before.",
        "schema: 1",
        f"name: {name}",
        'version: "1"',
        f"description: {_text(str(datasets.get('description', '')))}",
        "",
        *_orientation(manifest, datasets),
        "",
        *_channels(manifest, datasets),
        "",
        *GEOMETRY,
        "",
        *_labels(manifest),
        "",
        *_postprocessing(steps, selection),
        "",
        *_missing(selection),
        *_inference(manifest),
        "",
        *OUTPUT,
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def read_postprocessing(path: Path) -> list[list[int]]:
    """Read the steps of nnU-Net's ``postprocessing.json``: for each, the labels whose largest joint component stays.

    Raises
    ------
    PackageInvalid
        If a function or an argument is not nnU-Net's own "keep largest component".
    """
    content = read_json(path)
    functions, arguments = content.get("postprocessing_fns"), content.get("postprocessing_kwargs")
    if not isinstance(functions, list) or not isinstance(arguments, list) or len(functions) != len(arguments):
        raise PackageInvalid(f"{path.name}: lacks postprocessing_fns and postprocessing_kwargs of equal length")
    steps = []
    for function, keywords in zip(functions, arguments, strict=True):
        if function != _KEEP_LARGEST or set(keywords) - {"labels_or_regions", "background_label"}:
            raise PackageInvalid(f"{path.name}: post-processing step {function!r} with {keywords} is not supported")
        if keywords.get("background_label", 0) != 0:
            raise PackageInvalid(f"{path.name}: background_label {keywords['background_label']!r} is not supported")
        steps.append(_flat(keywords.get("labels_or_regions"), path.name))
    return steps


def _flat(labels: Any, where: str) -> list[int]:
    if isinstance(labels, bool) or not isinstance(labels, int | list):
        raise PackageInvalid(f"{where}: labels_or_regions {labels!r} are not labels")
    parts = labels if isinstance(labels, list) else [labels]
    return sorted({value for part in parts for value in ([part] if isinstance(part, int) else _flat(part, where))})


def _text(value: str) -> str:
    # JSON's strings are YAML's double-quoted ones, less the characters that YAML does not print.
    return json.dumps(one_line(value), ensure_ascii=False)


def _orientation(manifest: PackageManifest, dataset: Mapping[str, Any]) -> list[str]:
    reader = manifest.configuration(manifest.members[0]).reader
    orientation = READERS[reader]
    ending = one_line(str(dataset.get("file_ending", "unknown")))
    lines = [f"# Axis order in which the network saw its training images. The plans' reader, {reader},"]
    if orientation == "RAS":
        lines.append("# brought every image to RAS.")
    else:
        lines += [
            f"# kept the order of the training files ({ending}).",
            "# DECIDE: `acquired` is right where those files had the order of the DICOM slices, as ITK programs write",
            "# them. Where they were brought to RAS (TotalSegmentator, nibabel's as_closest_canonical) it must be RAS.",
            "# dcm2niix turns the rows of axial images over: then no value fits, and the model needs a RAS reader.",
            "# A wrong value shows the network the patient turned by 180 degrees, and nothing but a golden case tells:",
            "# segnode models verify NAME --case IMAGE --expect MASK",
        ]
    return [*lines, f"orientation: {orientation}"]


def _channels(manifest: PackageManifest, dataset: Mapping[str, Any]) -> list[str]:
    conditions = ", ".join(name for name in SeriesRule.model_fields if name != "modality")
    lines = [
        "# Which series feeds which input channel, in the network's order. Further conditions of a series:",
        *(f"# {line}" for line in textwrap.wrap(conditions, 110)),
        "channels:",
    ]
    ct = [n.scheme == "CTNormalization" for n in manifest.configuration(manifest.members[0]).normalisation]
    for name, is_ct in zip(manifest.channels, ct, strict=True):
        modality, certain = _modality(name, is_ct)
        lines.append(f"  - name: {_text(name)}")
        if modality == "PT":
            lines.append(f"    unit: {PT_UNITS[0]}  # DECIDE: the unit of the training images: {', '.join(PT_UNITS)}")
        guess = "guessed from CTNormalization, which other images are given too" if is_ct else "guessed from nothing"
        lines += ["    series:", f"      modality: [{modality}]" + ("" if certain else f"  # DECIDE: {guess}")]
        lines.append("      exclude_image_type: [LOCALIZER]")
        if len(manifest.channels) > 1 or modality == "MR":
            lines.append("      # DECIDE: which series this is, e.g. by description")
            lines.append(f"      description: [{_text(_pattern(name))}]")
    if len(manifest.channels) > 1:
        lines.append("# Channels on another grid than the first: `refuse` the study, or `resample` them onto it.")
        lines.append("on_other_grid: refuse")
    return lines


def _modality(channel: str, is_ct: bool) -> tuple[str, bool]:
    """Return the modality that a channel's name and normalisation speak for, and whether that is certain."""
    plain = channel.casefold()
    words = re.findall(r"[a-z]+", plain)
    is_called_ct = "ct" in words
    if any(word.startswith(("pet", "suv")) or word == "pt" for word in words):
        return "PT", not is_called_ct
    if is_called_ct:
        return "CT", True
    if any(plain.startswith(sequence) for sequence in _MR):
        return "MR", not is_ct
    return ("CT" if is_ct else "MR"), False


def _pattern(channel: str) -> str:
    return "".join(c if c.isalnum() else "." for c in channel) or "."


def _labels(manifest: PackageManifest) -> list[str]:
    outputs = manifest.labels.outputs
    lines = [
        "# Meaning of every value in the network's result, for the DICOM SEG: SNOMED CT category, type and laterality",
        "# (PS3.16 CID 7150, 7151, 244), and the colour in viewers.",
        "labels:",
    ]
    merged: dict[int, list[str]] = {}
    for name, value in outputs.items():
        merged.setdefault(value, []).append(name)
    used: set[str] = set()
    for index, (value, names) in enumerate(sorted(merged.items())):
        meaning = meaning_of(" / ".join(names))
        if manifest.labels.has_regions:
            region = one_line(" / ".join(names))
            lines.append(f"  # Value {value} is what region {region} keeps after later regions overwrote it:")
            lines.append("  # DECIDE: name and code it as that remainder.")
        lines.append(f"  - value: {value}")
        lines.append(f"    name: {_text(_label_name(value, names, used))}")
        lines.append(f"    category: {_code(meaning.category)}")
        lines.append(f"    type: {_code(meaning.type)}" + ("" if meaning.certain else "  # DECIDE: the right code"))
        if meaning.laterality:
            lines.append(f"    laterality: {_code(meaning.laterality)}")
        lines.append(f"    colour: {list(colour(index, len(merged)))}")
    return lines


def _label_name(value: int, names: Sequence[str], used: set[str]) -> str:
    """Build a name that DICOM can hold and no other label has, and add it to ``used``."""
    whole = one_line(" / ".join(names))
    name = whole[:LONGEST].rstrip()
    if not name or name in used:
        suffix = f" {value}" if name else f"label {value}"
        name = whole[: LONGEST - len(suffix)].rstrip() + suffix
    used.add(name)
    return name


def _code(code: Any) -> str:
    return f'{{value: "{code.value}", scheme: {code.scheme}, meaning: {_text(code.meaning)}}}'


def colour(index: int, count: int) -> tuple[int, int, int]:
    """Compute RGB colour number ``index`` of ``count`` different ones: hues in equal steps, lightness in three."""
    lightness = (0.5, 0.7, 0.6)[index % 3]
    red, green, blue = colorsys.hls_to_rgb(index / max(count, 1), lightness, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def _postprocessing(steps: Sequence[Sequence[int]], selection: Selection) -> list[str]:
    if selection.pickled_postprocessing:
        return [
            "# DECIDE: nnU-Net left a postprocessing.pkl and no postprocessing.json. A pickle can run code and was not",
            "# read; find the steps in the cross-validation's report.",
            "postprocessing: []",
        ]
    if not steps:
        reason = "found none that helped" if selection.postprocessing else "left no postprocessing.json"
        return [f"# nnU-Net {reason}. Steps: {_STEPS}.", "postprocessing: []"]
    lines = [f"# From nnU-Net's postprocessing.json; part of the validated result. Steps: {_STEPS}.", "postprocessing:"]
    return lines + [f"  - {{step: keep_largest, labels: {list(labels)}, together: true}}" for labels in steps]


def _missing(selection: Selection) -> list[str]:
    if not selection.missing:
        return []
    return [
        f"# DECIDE: {INFORMATION} says that {_text(' and '.join(selection.missing))}",
        "# belong to the best model, and they were not there: what was measured of it does not hold for this one.",
    ]


def _inference(manifest: PackageManifest) -> list[str]:
    mirrored = any(manifest.configuration(member).mirror_axes for member in manifest.members)
    folds = {c.id: [fold.fold for fold in c.folds] for c in manifest.configurations}
    # What the network never saw so finely is no loss to it.
    finest = "1.0" if min(min(c.spacing) for c in manifest.configurations) >= 1 else "null"
    return [
        "inference:",
        "  profile: exact  # nnU-Net's own labels; `fast` trades some for time: `segnode models measure` says how many",
        f"  mirroring: {str(mirrored).lower()}  # "
        + (
            "false is up to eight times faster and a little less accurate" if mirrored else "not trained with mirroring"
        ),
        "  step_size: 0.5  # overlap of the tiles; nnU-Net's default",
        f"  folds: []  # all; held: {'; '.join(f'{k}: {v}' for k, v in folds.items())}",
        "  fast:  # instead of the above in profile `fast`",
        "    mirroring: false",
        "    step_size: 0.8",
        "    bf16: true  # the network in bfloat16, where the device computes that faster",
        "    crop_to_body: true  # of a CT only the patient, with a margin",
        f"    finest_useful_spacing: {finest}  # mm; finer voxels are averaged first, at the cost of small structures",
    ]
