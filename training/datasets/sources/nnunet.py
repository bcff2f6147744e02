"""nnU-Net raw data sets and folders of the medical segmentation decathlon."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import CaseCode, ConfigInvalid
from training.datasets.case import Found, FoundCase, Request
from training.datasets.lock import DATASET_JSON, SPLITS
from training.datasets.sources.files import Files, by_stem, found_case
from training.datasets.table import ignore_value_of, table_of_dataset_json


def read_dataset_json(folder: Path) -> dict[str, Any]:
    """Read ``dataset.json`` of a folder.

    Raises
    ------
    ConfigInvalid
        If it is no JSON object.
    """
    path = folder / DATASET_JSON
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigInvalid(f"{path}: it cannot be read as JSON") from error
    if not isinstance(content, dict):
        raise ConfigInvalid(f"{path}: it holds no keys")
    return content


def is_decathlon(content: Mapping[str, Any]) -> bool:
    """Tell whether a ``dataset.json`` is the decathlon's: it lists its training cases by image and label."""
    listed = content.get("training")
    return isinstance(listed, list) and "channel_names" not in content


def find_in_nnunet(folder: Path, request: Request) -> Found:
    """Find the training cases of an nnU-Net v2 raw data set.

    Raises
    ------
    ConfigInvalid
        If its ``dataset.json`` is not nnU-Net's, or there is no case.
    """
    content = read_dataset_json(folder)
    table = table_of_dataset_json(content, str(folder / DATASET_JSON))
    images, labels = by_stem(folder / "imagesTr"), by_stem(folder / "labelsTr")
    channels: dict[str, dict[int, Path]] = {}
    for stem, path in images.items():
        case, _, number = stem.rpartition("_")
        if len(number) == 4 and number.isdigit():
            channels.setdefault(case, {})[int(number)] = path
    cases: list[FoundCase] = []
    refused = []
    for case in sorted(channels.keys() | labels.keys()):
        files = channels.get(case, {})
        if case not in labels:
            refused.append((case, str(CaseCode.NO_MASK), CaseCode.NO_MASK.sentence))
        elif sorted(files) != list(range(len(table.channels))):
            detail = f"It has {len(files)} images, and {len(table.channels)} channels are stated."
            refused.append((case, str(CaseCode.NO_IMAGE), f"{CaseCode.NO_IMAGE.sentence} {detail}"))
        else:
            pair = Files(tuple(files[n] for n in sorted(files)), labels[case], ignored=ignore_value_of(content))
            cases.append(found_case("nnunet", case, None, pair, request, folder.name))
    if not cases and not refused:
        raise ConfigInvalid(f"{folder}: no training case; expected imagesTr/CASE_0000.nii.gz and labelsTr/CASE.nii.gz")
    return Found(tuple(cases), tuple(refused), table, _splits_of(folder))


def _splits_of(folder: Path) -> tuple[Mapping[str, tuple[str, ...]], ...]:
    path = folder / SPLITS
    if not path.exists():
        return ()
    return read_splits(path)


def read_splits(path: Path) -> tuple[Mapping[str, tuple[str, ...]], ...]:
    """Read a file in the form of nnU-Net's ``splits_final.json``.

    Raises
    ------
    ConfigInvalid
        If it is of another form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return tuple(
            {side: tuple(str(name) for name in fold[side]) for side in ("train", "val")} for fold in list(content)
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigInvalid(f"{path}: expected a list of folds, each with the cases of train and val") from error


def find_in_decathlon(folder: Path, request: Request) -> Found:
    """Find the training cases of a folder of the medical segmentation decathlon.

    Raises
    ------
    ConfigInvalid
        If its ``dataset.json`` is not the decathlon's, or names files outside of the folder.
    """
    content = read_dataset_json(folder)
    table = table_of_dataset_json(content, str(folder / DATASET_JSON))
    cases: list[FoundCase] = []
    refused = []
    for number, entry in enumerate(content["training"]):
        try:
            image, label = (folder / str(entry[key]) for key in ("image", "label"))
        except (TypeError, KeyError) as error:
            raise ConfigInvalid(f"{folder / DATASET_JSON}: training.{number}: expected an image and a label") from error
        if not all(path.resolve().is_relative_to(folder.resolve()) for path in (image, label)):
            raise ConfigInvalid(f"{folder / DATASET_JSON}: training.{number}: a path leads out of the folder")
        code = CaseCode.NO_IMAGE if not image.is_file() else CaseCode.NO_MASK if not label.is_file() else None
        if code is not None:
            refused.append((image.name, str(code), code.sentence))
        else:
            files = Files((image,), label, is_packed=len(table.channels) > 1)
            cases.append(found_case("decathlon", image.name, None, files, request, folder.name))
    return Found(tuple(cases), tuple(refused), table)
