"""The problems of a YAML file that a person wrote, each on one line: place, key, finding, remedy.

``node.yaml``, ``service.yaml`` and ``model.yaml`` are refused in the same form.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails, PydanticCustomError

from core.validation_message import plain_message

Location = tuple[int | str, ...]

_FINDINGS = {
    "missing": "is missing",
    "extra_forbidden": "there is no such key",
    "string_type": "is not text",
    "model_type": "is not a mapping of keys to values",
    "model_attributes_type": "is not a mapping of keys to values",
    "dict_type": "is not a mapping of keys to values",
    "tuple_type": "is not a list",
    "list_type": "is not a list",
    "union_tag_not_found": "is missing",
}
_CHOICES = ("literal_error", "union_tag_invalid")
_NO_NUMBER = ("int_type", "int_parsing", "int_from_float", "float_type", "float_parsing")
_NO_TRUTH = ("bool_type", "bool_parsing")


def problem_at(location: Location, message: str) -> PydanticCustomError:
    """Build a problem for a validator of several keys to raise; pydantic gives such a validator no location."""
    return PydanticCustomError("reference", "{message}", {"message": message, "at": location})


def not_yaml(error: Exception) -> str:
    """Say on one line where and why a text is not YAML: ``LINE: not YAML: …``."""
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or str(error)
    return f"{mark.line + 1 if mark else 1}: not YAML: {' '.join(str(reason).split())}"


def location_of(problem: ErrorDetails, content: Any) -> Location:
    """Return where in the file a problem is; of a union pydantic also names the member, which the file does not."""
    context = problem.get("ctx", {})
    parts = [part for part in context.get("at", problem["loc"]) if part != "[key]"]
    kept: list[int | str] = []
    for number, part in enumerate(parts):
        if isinstance(content, dict):
            is_missing_key = problem["type"] == "missing" and number + 1 == len(parts)
            if part not in content and not is_missing_key:
                continue
            content = content.get(part)
        elif isinstance(content, list) and isinstance(part, int):
            content = content[part] if part < len(content) else None
        elif not isinstance(content, list) and number:
            continue  # the member of a union, of a value that is neither
        kept.append(part)
    if problem["type"].startswith("union_tag"):
        kept.append(str(context["discriminator"]).strip("'"))
    return tuple(kept)


def finding_of(problem: ErrorDetails) -> str:
    """Say what was found, in words about the file."""
    kind, value = problem["type"], problem.get("input")
    if kind in _FINDINGS:
        return _FINDINGS[kind]
    if kind in _NO_NUMBER:
        whole = "whole " if kind.startswith("int") else ""
        return f"{short(value)} is not a {whole}number"
    if kind in _NO_TRUTH:
        return f"{short(value)} is neither true nor false"
    if kind in _CHOICES:
        context = problem.get("ctx", {})
        if kind == "union_tag_invalid":
            value = context.get("tag", value)
        choices = str(context.get("expected") or context.get("expected_tags")).replace("'", "")
        return f"{short(value)} is none of {choices}"
    if kind == "string_pattern_mismatch":
        return f"{short(value)} has a form that is not allowed"
    if kind in ("too_short", "too_long"):
        context = problem.get("ctx", {})
        most = f"at most {context['max_length']}" if kind == "too_long" else f"at least {context['min_length']}"
        return f"has {context['actual_length'] or 'too many'} entries, expected {most}"
    return plain_message(problem["msg"]).replace("Input should be", f"{short(value)} is not")


def close_to(word: object, known: Iterable[str]) -> str | None:
    """Find the word that a misspelt one most likely stands for."""
    close = difflib.get_close_matches(str(word), sorted(set(known) - {str(word)}), n=1)
    return close[0] if close else None


def keys_of(annotation: Any) -> set[str]:
    """Return every key that a model and the models in it know, by the names that a file uses."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields: Mapping[str, Any] = annotation.model_fields
        names = {field.alias or name for name, field in fields.items()}
        return names.union(*(keys_of(field.annotation) for field in fields.values()))
    return set().union(*(keys_of(part) for part in get_args(annotation)))


def short(value: object) -> str:
    """Write a value as YAML does, on one line and cut short."""
    if isinstance(value, BaseModel):
        return "this"
    text = (
        yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True) if _is_plain(value) else "this"
    )
    text = text.removesuffix("\n").removesuffix("\n...")
    return text if len(text) <= 60 else text[:57] + "..."


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(one) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple):
        return not isinstance(value, tuple) and all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
