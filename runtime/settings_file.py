"""Read a settings file, and say of each thing that is wrong with it where it stands and what to do.

The environment may give keys in the file's place (`runtime.settings_environment`).
"""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.errors import ConfigInvalid
from core.validation_message import plain_message
from core.yaml_file import read_mapping
from core.yaml_problems import close_to, keys_of, location_of
from core.yaml_text import line_of
from runtime.settings_environment import variable_of, with_environment, without_values

Settings = TypeVar("Settings", bound=BaseModel)


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
    text, content = read_mapping(path, f"give a file like {example}")
    whole, overrides = with_environment(content, prefix, model)
    try:
        return model.model_validate(whole, context={"folder": path.absolute().parent})
    except ValidationError as error:
        known = keys_of(model)
        lines = []
        for problem in error.errors():
            location = location_of(problem, whole)
            key = ".".join(map(str, location)) or "(whole file)"
            said = f"{without_values(plain_message(problem['msg']), overrides)}; {_remedy(problem, known, example)}"
            place = variable_of(location, overrides, content) or f"{path}:{line_of(text, location)}"
            lines.append(f"{place}: {key}: {said}")
        raise ConfigInvalid("\n".join(lines)) from error


def _remedy(problem: ErrorDetails, known: set[str], example: str) -> str:
    if problem["type"] == "missing":
        return f"add it, see {example}"
    if problem["type"] == "extra_forbidden":
        key = str(problem["loc"][-1])
        close = close_to(key, known)
        return f"did you mean {close}?" if close else "remove it"
    return f"correct it, see {example}"
