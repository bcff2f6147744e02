"""The tasks that the service offers, and the names that other models may have in it."""

import re
from collections.abc import Iterable
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator

Task = Literal["totalseg", "vessel", "ureter", "tumor"]
"""The four segmentations; each runs the model package that its alias names."""
TASKS: Final[tuple[Task, ...]] = get_args(Task)

RESERVED: Final = {
    "batch": "/v1/inference/batch runs several tasks",
    "smooth": "it is work on a mask",
    "postprocess": "it is work on a mask",
    "total": "the masks of totalseg begin so",
}
"""Names that no alias can have, and why."""
_ALIAS: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def check_alias(name: str) -> str:
    """Return the name if an alias may have it.

    Raises
    ------
    ValueError
        If not; the sentence says why.
    """
    if name in RESERVED:
        raise ValueError(f"{name} is reserved: {RESERVED[name]}; choose another name")
    if not _ALIAS.fullmatch(name):
        raise ValueError(
            "an alias has 1 to 63 lower case letters, digits, '_' and '-', and begins with a letter or digit"
        )
    return name


def check_apart(names: Iterable[str]) -> None:
    """Check that the masks of different aliases have different names.

    Raises
    ------
    ValueError
        If two aliases differ only in '_' and '-'.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(mask_prefix(name), name)
        if other != name:
            raise ValueError(f"{other} and {name} differ only in '_' and '-', and their masks would share a name")


def mask_prefix(name: str) -> str:
    """Return the first part of the names of a task's or alias's masks; it has no '_', which ends it there."""
    return "total" if name == "totalseg" else name.replace("_", "-")


AliasName = Annotated[str, AfterValidator(check_alias)]
"""A task, or any other name behind which a model package stands."""
