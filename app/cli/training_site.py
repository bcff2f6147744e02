"""The site that commands of ``segnode train`` work in, and the options by which they find it and its data sets."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import ConfigInvalid

if TYPE_CHECKING:
    from training.settings import TrainingSettings

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The site's training.yaml; left out: here, then in /etc/segnode."),
]
Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="Its number, its title or its whole name.")]


def open_site_of(config: Path | None) -> "TrainingSettings":
    """Read the site's settings, and make its folders.

    Raises
    ------
    ConfigInvalid
        If nnU-Net is not installed, the settings are not right, or a folder cannot be made.
    """
    if find_spec("nnunetv2") is None:
        raise ConfigInvalid("the training's packages are not installed; see: pip install 'segnode[training]'")
    from training.folders import open_site
    from training.settings import load_training_settings

    settings = load_training_settings(config)
    open_site(settings)
    return settings
