"""Read a settings file, and say of each thing that is wrong with it where it stands and what to do.

The environment may give keys in the file's place (`runtime.settings_environment`).
"""

import difflib
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from core.errors import ConfigInvalid
from core.validation_message import message_of
from core.yaml_text import line_of
from runtime.settings_environment import variable_of, with_environment, without_values

Settings = TypeVar("Settings", bound=BaseModel)
Location = tuple[int | str, ...]


def load_settings_file(path: Path, model: type[Settings], example: str, prefix: str) -> Settings:
    """Read and validate a YAML file; relative paths in it are read from its folder.

    Parameters
    ----------
    path
        The file.
    model
        What it must fit.
    example
        A file of this project that is right, named in remedies.
    prefix
        What the names of environment variables begin with that give keys in place of the file.

    Raises
    ------
    ConfigInvalid
        With file and line, or the variable, key and remedy of every problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except OSError as error:
        raise ConfigInvalid(f"{path}: {error.strerror}; give a file like {example}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigInvalid(f"{path}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigInvalid(f"{path}:1: no settings in the file; start from {example}")
    whole, overrides = with_environment(content, prefix, model)
    try:
        return model.model_validate(whole, context={"folder": path.absolute().parent})
    except ValidationError as error:
        known = _keys_of(model)
        lines = []
        for problem in error.errors():
            location = _location(problem, whole)
            key = ".".join(map(str, location)) or "(whole file)"
            said = f"{without_values(message_of(problem), overrides)}; {_remedy(problem, known, example)}"
            place = variable_of(location, overrides, content) or f"{path}:{line_of(text, location)}"
            lines.append(f"{place}: {key}: {said}")
        raise ConfigInvalid("\n".join(lines)) from error


def problem_at(location: Location, message: str) -> PydanticCustomError:
    """Build a problem for a validator of several keys to raise; pydantic gives such a validator no location."""
    return PydanticCustomError("reference", "{message}", {"message": message, "at": location})


def _location(problem: ErrorDetails, content: Any) -> Location:
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
        kept.append(part)
    if problem["type"].startswith("union_tag"):
        kept.append(str(context["discriminator"]).strip("'"))
    return tuple(kept)


def _remedy(problem: ErrorDetails, known: set[str], example: str) -> str:
    if problem["type"] == "missing":
        return f"add it, see {example}"
    if problem["type"] == "extra_forbidden":
        key = str(problem["loc"][-1])
        close = difflib.get_close_matches(key, sorted(known - {key}), n=1)
        return f"did you mean {close[0]}?" if close else "remove it"
    return f"correct it, see {example}"


def _keys_of(annotation: Any) -> set[str]:
    """Every key that a model and the models in it know."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return set(fields).union(*(_keys_of(field.annotation) for field in fields.values()))
    return set().union(*(_keys_of(part) for part in get_args(annotation)))
