"""Helpers for every YAML file of this project: reading it, the line of a value, and patterns that compile."""

import re
from typing import Annotated, Any

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


def load_yaml(text: str) -> Any:
    """Read a YAML text in which a key that is given twice is an error; to PyYAML alone the last one counts.

    Raises
    ------
    yaml.YAMLError, ValueError, RecursionError
        If it is not YAML.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        _check_keys(node, set())
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _check_keys(node: yaml.Node | None, seen: set[int]) -> None:
    if node is None or id(node) in seen:  # an alias leads to its anchor's node
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            _check_keys(entry, seen)
    if isinstance(node, yaml.MappingNode):
        first: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                name, line = (key.tag, key.value), key.start_mark.line + 1
                if name in first:
                    finding = f"the key {key.value} is given twice, first on line {first[name]}; delete one"
                    raise yaml.MarkedYAMLError(problem=finding, problem_mark=key.start_mark)
                first[name] = line
            _check_keys(value, seen)


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
