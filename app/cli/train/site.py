"""The site that commands of ``segnode train`` work in."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import ConfigInvalid

if TYPE_CHECKING:
    from training.settings import TrainingSettings


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
