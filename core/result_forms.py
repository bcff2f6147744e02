"""The forms in which a result can leave, and the choice among them."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator

Form = Literal["seg", "sr", "sc", "rtstruct", "pdf"]
"""A kind of DICOM object: a file ``<model>.<form>.dcm``."""
FORMS: tuple[Form, ...] = get_args(Form)
MADE: tuple[Form, ...] = ("seg",)
"""Those that this version makes."""
DEFAULT: tuple[Form, ...] = ("seg",)


def _checked(forms: Sequence[str]) -> tuple[Form, ...]:
    """Put forms in their order, each once.

    Raises
    ------
    ValueError
        If one is unknown or not made by this version, or there is none.
    """
    wanted = set(forms)
    if not wanted:
        raise ValueError(f"names no form of a result; give one or more of {', '.join(MADE)}")
    for form in sorted(wanted.difference(MADE)):
        what = "is not made by this version" if form in FORMS else "is no form of a result"
        raise ValueError(f"{form!r} {what}; give one or more of {', '.join(MADE)}")
    return tuple(form for form in FORMS if form in wanted)


Outputs = Annotated[tuple[str, ...], AfterValidator(_checked)]
"""The forms that somebody wants, validated."""


def parse_outputs(text: str) -> tuple[Form, ...]:
    """Read forms from a text such as ``seg,sr``.

    Raises
    ------
    ValueError
        If one is unknown or not made by this version, or there is none.
    """
    return _checked([form.strip() for form in text.split(",") if form.strip()])


def form_of(name: str) -> str | None:
    """Return the form of a result's file, or ``None`` if its name says none."""
    return next((form for form in FORMS if name.endswith(f".{form}.dcm")), None)


def union(outputs: Iterable[Sequence[str]]) -> tuple[Form, ...]:
    """Return what several together want, in the order of forms."""
    wanted = {form for forms in outputs for form in forms}
    return tuple(form for form in FORMS if form in wanted)
