"""A composite of the five networks of TotalSegmentator's task "total", from a person's own folder of its weights.

::

    FOLDER/                                                       by default ~/.totalsegmentator/nnunet/results
    ├── Dataset291_TotalSegmentator_part1_organs_1559subj/
    │   └── nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres/    plans.json, dataset.json, fold_0/checkpoint_final.pth
    ├── Dataset292_TotalSegmentator_part2_vertebrae_1532subj/     and so on, to
    └── Dataset295_TotalSegmentator_part5_ribs_1559subj/

References
----------
TotalSegmentator 2.18.0 ``nnunet.py``: image brought to RAS, no mirroring, tiles in steps of 0.8; the parts run from 291
to 295, and whatever a later one finds overwrites what earlier ones found.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from core.errors import PackageInvalid
from core.model_config import Code
from segmentation.importing.convert import PartSource, convert_parts
from segmentation.importing.model_yaml_draft import GEOMETRY, OUTPUT
from segmentation.importing.plans import read_labels
from segmentation.importing.results_folder import ResultsFolder, is_results_folder
from segmentation.importing.source_files import read_json
from segmentation.importing.totalsegmentator_labels import STRUCTURES, Structure
from segmentation.package.network_spec import PackageManifest
from segmentation.package.package import MODEL_YAML, Package
from segmentation.package.store import assemble

_CONFIGURATION = "3d_fullres"


def add_totalsegmentator(
    folder: Path, name: str, models_folder: Path, on_progress: Callable[[float], None] | None = None
) -> Package:
    """Make one package of TotalSegmentator's five parts, whole or not at all.

    Parameters
    ----------
    folder
        The folder that holds the five data sets' folders.
    name
        Name of the package and of its folder.
    on_progress
        Called with the fraction that is done.

    Raises
    ------
    PackageInvalid
        If a part is missing, present twice, damaged, unsafe, or finds other structures; the text names it.
    ConfigInvalid
        If the name is not usable or taken.
    """
    sources = [_part(folder, number, structures) for number, structures in STRUCTURES.items()]

    def fill(target: Path) -> PackageManifest:
        network = convert_parts(sources, target, on_progress)
        if len(network.channels) != 1:
            raise PackageInvalid(f"{folder}: the parts have {len(network.channels)} channels; TotalSegmentator has one")
        (target / MODEL_YAML).write_text("\n".join(_model_yaml(name)), encoding="utf-8")
        return network

    return assemble(name, models_folder, fill)


def _part(folder: Path, number: int, structures: Sequence[Structure]) -> PartSource:
    datasets = [
        path for path in sorted(folder.glob(f"Dataset{number}_*")) if re.fullmatch(r"[\w.-]+", path.name, re.ASCII)
    ]
    if len(datasets) != 1:
        held = ", ".join(path.name for path in datasets) or "none"
        raise PackageInvalid(
            f"{folder}: one folder Dataset{number}_… is needed, found: {held}. FOLDER is the one that holds all of "
            f"{', '.join(f'Dataset{n}_…' for n in STRUCTURES)}"
        )
    (dataset,) = datasets
    found = [p for p in sorted(dataset.iterdir()) if is_results_folder(p) and p.name.endswith(f"__{_CONFIGURATION}")]
    if len(found) != 1:
        held = ", ".join(path.name for path in found) or "none"
        raise PackageInvalid(f"{dataset}: one results folder TRAINER__PLANS__{_CONFIGURATION} is needed, found: {held}")
    results = ResultsFolder(found[0].resolve(), dataset=dataset.name)
    _check_structures(results, structures)
    return PartSource(results, {s.name: s.value for s in structures}, {s.own: s.value for s in structures})


def _check_structures(results: ResultsFolder, structures: Sequence[Structure]) -> None:
    """Refuse a network whose values have other meanings: no later check would notice that its labels are exchanged.

    TotalSegmentator goes by values alone, so some names may be spelt differently, but none may stand for another value.
    """
    wanted = {structure.own: structure.name for structure in structures}
    labels = read_labels(read_json(results.path / "dataset.json"))
    found = {value: name for name, value in labels.outputs.items()}
    if labels.has_regions or set(found) != set(wanted):
        raise PackageInvalid(f"{results.id}: has {len(found)} labels, this part of TotalSegmentator has {len(wanted)}")
    every = {structure.name for part in STRUCTURES.values() for structure in part}
    exchanged = [f"{value} is {found[value]}, not {wanted[value]}" for value in sorted(wanted)
                 if found[value] != wanted[value] and found[value] in every]  # fmt: skip
    unknown = sum(name not in every for name in found.values())
    if exchanged or unknown > len(wanted) // 2:
        what = ", ".join(exchanged[:3]) or f"{unknown} of {len(wanted)} names are unknown to TotalSegmentator"
        raise PackageInvalid(f"{results.id}: labels differ from this part of TotalSegmentator: {what}")


def _model_yaml(name: str) -> list[str]:
    structures = [structure for part in STRUCTURES.values() for structure in part]
    return [
        "# TotalSegmentator's task `total` as one model. Written by `segnode models add-totalsegmentator`; edit it",
        "# freely: weights and plans are sealed (SHA256SUMS), this file is not. Check it with",
        f"# `segnode models verify {name}`. Names, codes, sides and colours are TotalSegmentator's (Apache-2.0).",
        "schema: 1",
        f"name: {name}",
        'version: "1"',
        "description: TotalSegmentator, task total, 117 structures on CT",
        "",
        "# TotalSegmentator brings every image to RAS before its networks see it, whatever reader the plans name.",
        "orientation: RAS",
        "",
        "channels:",
        "  - name: CT",
        "    series:",
        "      modality: [CT]",
        "      exclude_image_type: [LOCALIZER]",
        "",
        *GEOMETRY,
        "",
        f"# Of the data sets {', '.join(map(str, STRUCTURES))}, in this order; later ones overwrite earlier ones.",
        "labels:",
        *(line for structure in structures for line in _label(structure)),
        "",
        "# TotalSegmentator has none for this task. Steps: keep_largest, remove_small, fill_holes, open, smooth.",
        "postprocessing: []",
        "",
        "inference:",
        "  profile: exact  # nnU-Net's own labels with the settings below; `fast` trades some for time",
        "  mirroring: false  # not trained with mirroring",
        "  step_size: 0.8  # TotalSegmentator's own; nnU-Net's default is 0.5",
        "  folds: []  # all that were found",
        "  fast:  # instead of the above in profile `fast`",
        "    mirroring: false",
        "    step_size: 0.8",
        "    bf16: true  # the networks in bfloat16, where the device computes that faster",
        "    crop_to_body: true  # only the patient, with a margin",
        "    finest_useful_spacing: 1.0  # mm; finer voxels are averaged first: the networks see 1.5 mm",
        "",
        *OUTPUT,
        "",
    ]


def _label(structure: Structure) -> list[str]:
    lines = [
        f"  - value: {structure.value}",
        f"    name: {structure.name}",
        f"    category: {_code(structure.category)}",
        f"    type: {_code(structure.type)}",
    ]
    if structure.laterality:
        lines.append(f"    laterality: {_code(structure.laterality)}")
    return [*lines, f"    colour: {list(structure.colour)}"]


def _code(code: Code) -> str:
    # A JSON object on one line is YAML.
    return json.dumps(code.model_dump())
