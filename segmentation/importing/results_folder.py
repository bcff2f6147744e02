"""A results folder: one trained configuration as nnU-Net wrote it.

::

    DatasetXXX_Name/                                    the parent; also what the zip of an export holds
    ├── nnUNetTrainer__nnUNetPlans__3d_fullres/         a results folder; any other name will do
    │   ├── plans.json  dataset.json
    │   ├── fold_0/checkpoint_final.pth …               trainer and configuration stand in it
    │   └── crossval_results_folds_0_1_2_3_4/postprocessing.json
    ├── ensembles/ensemble___A___B___0_1_2_3_4/postprocessing.json
    └── inference_information.json                      which configuration or ensemble won
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from core.errors import PackageInvalid
from segmentation.importing.checkpoints import read_checkpoint
from segmentation.importing.source_files import read_json

CheckpointKind = Literal["final", "best"]
CHECKPOINTS: dict[CheckpointKind, str] = {"final": "checkpoint_final.pth", "best": "checkpoint_best.pth"}
"""File of each kind: after the last epoch, and of the epoch with the best Dice in training."""
_DATASET = re.compile(r"Dataset\d+_.+")


@dataclass(frozen=True)
class ResultsFolder:
    """One trained configuration.

    Attributes
    ----------
    kind
        The checkpoint of each fold that is taken.
    dataset
        Name of its data set, set where configurations of several data sets are combined.
    """

    path: Path
    kind: CheckpointKind = "final"
    dataset: str = ""

    @property
    def id(self) -> str:
        """The folder's name, below that of the data set if there are several; it names folders of the package."""
        name = _plain(self.path.name)
        return f"{_plain(self.dataset)}/{name}" if self.dataset else name

    @property
    def trainer(self) -> str:
        """The trainer's class, from the checkpoint."""
        return self._said[0]

    @property
    def configuration(self) -> str:
        """The configuration, from the checkpoint."""
        return self._said[1]

    @cached_property
    def plans_name(self) -> str:
        """The name of the plans, from ``plans.json``; the oldest plans have none, so it stands in the folder's name."""
        named = self._named
        return str(read_json(self.path / "plans.json").get("plans_name") or (named[1] if named else "nnUNetPlans"))

    @cached_property
    def dataset_name(self) -> str:
        """The name of the data set: of the folder above, else from ``plans.json``."""
        above = self.path.parent.name
        return (
            above
            if _DATASET.fullmatch(above)
            else str(read_json(self.path / "plans.json").get("dataset_name") or above)
        )

    def checkpoints(self) -> dict[int | str, Path]:
        """Find the checkpoint of every fold; ``fold_all`` counts only if there is no other, as in nnU-Net.

        Raises
        ------
        PackageInvalid
            If there is none.
        """
        found: dict[int | str, Path] = {}
        for path in sorted(self.path.glob(f"fold_*/{CHECKPOINTS[self.kind]}")):
            fold = path.parent.name.removeprefix("fold_")
            if (fold.isascii() and fold.isdigit()) or fold == "all":
                found[int(fold) if fold != "all" else fold] = path
        if len(found) > 1:
            found.pop("all", None)
        if not found:
            raise PackageInvalid(
                f"{self.path}: no fold_*/{CHECKPOINTS[self.kind]}; training has not finished, or it was not copied"
                + self._other_kind()
            )
        return dict(sorted(found.items(), key=lambda item: str(item[0]).zfill(9)))

    def _other_kind(self) -> str:
        others = [kind for kind, name in CHECKPOINTS.items() if any(self.path.glob(f"fold_*/{name}"))]
        return f"; --checkpoint {others[0]} takes {CHECKPOINTS[others[0]]}, which is there" if others else ""

    @property
    def _named(self) -> list[str] | None:
        parts = self.path.name.split("__")
        return parts if len(parts) == 3 else None

    @cached_property
    def _said(self) -> tuple[str, str]:
        try:
            first = next(iter(self.checkpoints().values()))
        except PackageInvalid:
            if self._named is None:
                raise
            return self._named[0], self._named[2]  # of a folder that is only named; taken, it is refused later
        checkpoint = read_checkpoint(first)
        return checkpoint.trainer, checkpoint.configuration


def is_results_folder(path: Path) -> bool:
    """Return whether a folder has the files of nnU-Net's results of one configuration, whatever its name."""
    return (path / "plans.json").is_file() and (path / "dataset.json").is_file()


def results_below(folder: Path, depth: int) -> list[Path]:
    """Find the results folders at most ``depth`` levels below a folder, in order of their names."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_dir() or path.name.startswith("."):
            continue
        if is_results_folder(path):
            found.append(path)
        elif depth > 1:
            found += results_below(path, depth - 1)
    return found


def _plain(name: str) -> str:
    # It becomes a folder of the package, and a key of its hashes.
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII).lstrip(".") or "model"
