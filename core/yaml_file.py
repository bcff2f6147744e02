"""A YAML file of keys that a person wrote, read as text, for the lines of its problems, and as content."""

from pathlib import Path
from typing import Any

import yaml

from core.errors import ConfigInvalid
from core.yaml_problems import not_yaml
from core.yaml_text import load_yaml


def read_mapping(path: Path, remedy: str) -> tuple[str, dict[Any, Any]]:
    """Read a file whose first level is keys.

    Parameters
    ----------
    path
        The file.
    remedy
        What a person should do where it cannot be read; the end of each error.

    Raises
    ------
    ConfigInvalid
        If it cannot be read, is not YAML in UTF-8, or holds no keys; with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = load_yaml(text)
    except OSError as error:
        raise ConfigInvalid(f"{path}: {error.strerror}; {remedy}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigInvalid(f"{path}:{not_yaml(error)}; {remedy}") from error
    if not isinstance(content, dict):
        raise ConfigInvalid(f"{path}:1: no keys in the file; {remedy}")
    return text, content
