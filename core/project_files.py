"""The place of the project's files that are no modules: models, manifests, images' recipes, the licence.

They stand at the top of the repository, beside the rooms; in a checkout and in an editable installation that is where
they are found. A wheel has them below one folder beside the rooms, because ``site-packages`` belongs to other
distributions, too; ``pyproject.toml`` says which files a wheel holds.
"""

from pathlib import Path

ROOMS = Path(__file__).parents[1]
"""The folder of the program's top-level packages."""

_OF_A_WHEEL = ROOMS / "segnode_project"
IS_INSTALLED = _OF_A_WHEEL.is_dir()
"""True where the program runs from a wheel, without a checkout."""

PROJECT = _OF_A_WHEEL if IS_INSTALLED else ROOMS
"""The folder of ``models/``, ``manifests/``, ``docker/``, ``constraints.txt``, ``LICENSE`` and ``pyproject.toml``."""


def shown(name: str) -> str:
    """Give the name of a project's file for a person to find it by.

    Where there is a checkout, its pages and this name agree; where there is none, the whole path says where it lies.
    """
    return str(PROJECT / name) if IS_INSTALLED else name
