"""One case predicted by stock nnU-Net from its results folders, for the golden case of a package."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segmentation.importing.checkpoints import read_checkpoint
from training.runs.checkpoints import FINAL
from training.runs.trainer import find_trainer


def predict_case(members: Sequence[Path], images: Sequence[Path], work: Path) -> Path:
    """Predict a case with all folds, and return the mask; an ensemble averages its members' probabilities.

    Parameters
    ----------
    members
        Results folders; a cascade finds its first stage beside itself.
    images
        One file a channel.
    work
        An empty folder for what is made on the way.
    """
    description = json.loads((members[0] / "dataset.json").read_text())
    ending = str(description["file_ending"])
    if len(members) == 1:
        return _predict(members[0], images, work / "one", ending, probabilities=False)
    from nnunetv2.ensembling.ensemble import ensemble_folders

    folders = [work / str(number) for number in range(len(members))]
    for member, folder in zip(members, folders, strict=True):
        _predict(member, images, folder, ending, probabilities=True)
    ensemble_folders([str(folder) for folder in folders], str(work / "mean"), num_processes=1)
    return work / "mean" / f"{_case_of(images, ending)}{ending}"


def _case_of(images: Sequence[Path], ending: str) -> str:
    """Return a case's name, by which nnU-Net looks for what the stage before predicted."""
    return images[0].name.removesuffix(ending)[: -len("_0000")]


def _predict(model: Path, images: Sequence[Path], folder: Path, ending: str, *, probabilities: bool) -> Path:
    folder.mkdir(parents=True)
    case = _case_of(images, ending)
    predictor = stock_predictor(model)
    previous = predictor.configuration_manager.previous_stage_name
    if previous is not None:
        stage = model.with_name("__".join((*model.name.split("__")[:2], previous)))
        _predict(stage, images, folder / "previous", ending, probabilities=False)
    predictor.predict_from_files_sequential(
        [[str(path) for path in images]],
        [str(folder / case)],
        save_probabilities=probabilities,
        folder_with_segs_from_prev_stage=str(folder / "previous") if previous is not None else None,
    )
    return folder / f"{case}{ending}"


def stock_predictor(model: Path) -> Any:
    """Build nnU-Net's predictor of a results folder, all folds, with its defaults.

    Its own way reads checkpoints with the unpickler that runs what a file names, and looks for the trainer by importing
    all that nnU-Net has.
    """
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    folds = [read_checkpoint(path) for path in sorted(model.glob(f"fold_*/{FINAL}"))]
    plans = PlansManager(json.loads((model / "plans.json").read_text()))
    description = json.loads((model / "dataset.json").read_text())
    configuration = plans.get_configuration(folds[0].configuration)
    network = find_trainer(folds[0].trainer).build_network_architecture(
        plans,
        configuration,
        determine_num_input_channels(plans, configuration, description),
        plans.get_label_manager(description).num_segmentation_heads,
        enable_deep_supervision=False,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    predictor = nnUNetPredictor(device=device, allow_tqdm=False)
    predictor.manual_initialization(
        network,
        plans,
        configuration,
        [fold.weights for fold in folds],
        description,
        folds[0].trainer,
        folds[0].mirror_axes or None,
    )
    return predictor
