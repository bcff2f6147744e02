"""The training cases of an nnU-Net raw folder, listed without the processes that nnU-Net starts for it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ConfigInvalid


@dataclass(frozen=True)
class RawCase:
    """The files of a case: one image a channel, and the mask."""

    images: tuple[Path, ...]
    label: Path


def raw_cases(raw: Path) -> dict[str, RawCase]:
    """Return the cases by name, as nnU-Net finds them: by their masks, or as ``dataset.json`` lists them.

    Raises
    ------
    ConfigInvalid
        If the folder has no description, or an image is missing.
    """
    try:
        description: dict[str, Any] = json.loads((raw / "dataset.json").read_text())
    except OSError as error:
        remedy = "register the data set, or bring an nnU-Net raw folder"
        raise ConfigInvalid(f"{raw}: its dataset.json cannot be read; {remedy}") from error
    if "dataset" in description:
        listed = description["dataset"]
        cases = {
            name: RawCase(tuple((raw / image).absolute() for image in one["images"]), (raw / one["label"]).absolute())
            for name, one in listed.items()
        }
    else:
        ending, channels = str(description["file_ending"]), len(description["channel_names"])
        labels = {path.name.removesuffix(ending): path for path in (raw / "labelsTr").glob(f"*{ending}")}
        cases = {
            name: RawCase(tuple(raw / "imagesTr" / f"{name}_{n:04d}{ending}" for n in range(channels)), label)
            for name, label in sorted(labels.items())
        }
    for name, case in cases.items():
        if missing := [path for path in (*case.images, case.label) if not path.is_file()]:
            raise ConfigInvalid(f"{raw}: case {name} lacks {missing[0].name}; bring it, or take the case out")
    return cases
