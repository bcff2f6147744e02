"""The line of ``model.yaml`` in which ``segnode models measure --use`` wrote a profile, and the mark it left there.

A profile with the mark was chosen for the processors that were measured, and by nobody who could be asked elsewhere.
The mark names the profile: it says nothing of another that a person has written in its place.
"""

import re
from pathlib import Path
from typing import cast

import yaml

from core.errors import ConfigInvalid, PackageInvalid
from core.model_config import ModelConfig, Profile, parse_model_config
from segmentation.package.questions import without_scalars

MARK = "written by segnode models measure --use"
_MARKED = re.compile(rf"#.*{MARK}.*: (equal|exact|fast)\b")


def used_profile(text: str) -> Profile | None:
    """Return the profile that ``--use`` wrote into a ``model.yaml``, as long as it stands there.

    Parameters
    ----------
    text
        A valid ``model.yaml``.
    """
    if MARK not in text:
        return None
    node = _profile_of(text)
    if node is None:
        return None
    lines = without_scalars(text).split("\n")
    number = node.start_mark.line
    match = _MARKED.search(lines[number]) if number < len(lines) else None
    return cast("Profile", match[1]) if match is not None and match[1] == node.value else None


def with_profile(text: str, profile: Profile, limits: str, path: Path) -> str:
    """Return a ``model.yaml`` with another profile and the mark beside it; the rest of the text stays as it is.

    Parameters
    ----------
    text
        A valid ``model.yaml``.
    limits
        What was allowed of the profile, for the mark; may be empty.
    path
        Its path, for errors.

    Raises
    ------
    ConfigInvalid
        If the file is written in a way in which the line cannot be found or added.
    """
    mark = f"  # {MARK}{limits}: {profile}"
    changed = _changed(text, profile, mark)
    wanted = parse_model_config(text.encode(), path)
    wanted = wanted.model_copy(update={"inference": wanted.inference.model_copy(update={"profile": profile})})
    if _parsed(changed, path) != wanted or used_profile(changed) != profile:
        raise ConfigInvalid(f"{path}: the place of inference.profile was not found; write `profile: {profile}` there")
    return changed


def _parsed(text: str, path: Path) -> ModelConfig | None:
    try:
        return parse_model_config(text.encode(), path)
    except PackageInvalid:
        return None


def _changed(text: str, profile: Profile, mark: str) -> str:
    node = _profile_of(text)
    if node is not None:
        return _marked(
            text[: node.start_mark.index] + profile + text[node.end_mark.index :], node.start_mark.line, mark
        )
    inference = _value_of(yaml.compose(text, Loader=yaml.SafeLoader), "inference")
    if not isinstance(inference, yaml.MappingNode):
        return f"{text.rstrip()}\n\ninference:\n  profile: {profile}{mark}\n"
    at = inference.start_mark
    if inference.flow_style:
        return _marked(f"{text[: at.index + 1]}profile: {profile}, {text[at.index + 1 :]}", at.line, mark)
    return f"{text[: at.index]}profile: {profile}{mark}\n{' ' * at.column}{text[at.index :]}"


def _marked(text: str, number: int, mark: str) -> str:
    """Put the mark at the end of a line, in the place of a comment."""
    lines, bare = text.split("\n"), without_scalars(text).split("\n")
    if number >= len(lines):
        return text  # the file ends its lines in another way
    comment = bare[number].find("#")
    kept = lines[number] if comment < 0 else lines[number][:comment]
    lines[number] = kept.rstrip() + mark
    return "\n".join(lines)


def _profile_of(text: str) -> yaml.ScalarNode | None:
    node = _value_of(_value_of(yaml.compose(text, Loader=yaml.SafeLoader), "inference"), "profile")
    return node if isinstance(node, yaml.ScalarNode) else None


def _value_of(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)
