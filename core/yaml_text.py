"""Helpers for every YAML file of this project: the line of a value, and patterns that compile."""

import re
from typing import Annotated

import yaml
from pydantic import AfterValidator


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]
"""A regular expression."""


def line_of(text: str, location: tuple[int | str, ...]) -> int:
    """Find the 1-based line of a YAML text that holds the value at a validation error's location."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1
    for key in location:
        if isinstance(node, yaml.MappingNode):
            match = next(((k, v) for k, v in node.value if k.value == str(key)), None)
            if match is None:
                continue  # a discriminator's tag, or a key that is missing: stay at its parent
            line, node = match[0].start_mark.line + 1, match[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
    return line
