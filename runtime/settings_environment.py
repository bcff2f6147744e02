"""Keys of a settings file that the environment gives in its place, as in ``SEGNODE_NODE__RECEPTION__ON_REPEAT=rerun``.

A variable's name is a prefix and the keys on the way to a value, in capitals or small letters, with two underscores
between them. Its value is text as it stands; that of a key which holds a list or a map is JSON. No value is ever said:
one may be a password.
"""

import difflib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from core.errors import ConfigInvalid

BETWEEN = "__"
_LISTS = (list, tuple, set, frozenset)
_PLAIN = re.compile(r"[-+.\d]{0,3}|true|false|null", re.IGNORECASE)
"""Values that are left in messages: they are no secrets, and a message names bounds that look like them."""


@dataclass(frozen=True)
class Override:
    """One variable.

    Attributes
    ----------
    variable
        Its name.
    at
        The keys on the way to what it sets.
    value
        What it sets.
    """

    variable: str
    at: tuple[str, ...]
    value: Any


def with_environment(
    content: dict[str, Any], prefix: str, model: type[BaseModel]
) -> tuple[dict[str, Any], list[Override]]:
    """Put what the environment gives into the content of a settings file.

    Where one variable gives a map and another a key of it, the key counts, whatever their order.

    Parameters
    ----------
    content
        What the file says; it stays as it is.
    prefix
        What the variables' names begin with.
    model
        What the settings must fit.

    Raises
    ------
    ConfigInvalid
        With the variable and the remedy, if one names no key, or the same key as another, or its value is no JSON.
    """
    overrides: list[Override] = []
    problems: list[str] = []
    for variable in sorted(_variables(prefix), key=lambda name: (name.count(BETWEEN), name)):
        try:
            at, kinds = _place(variable, variable.removeprefix(prefix).split(BETWEEN), model, content)
            if same := next((one.variable for one in overrides if one.at == at), None):
                raise ConfigInvalid(f"{variable}: {same} gives this key, too; unset one of them")
            overrides.append(Override(variable, at, _value(variable, os.environ[variable], kinds)))
            content = _with(content, at, overrides[-1].value)
        except ConfigInvalid as problem:
            problems.append(str(problem))
    if problems:
        raise ConfigInvalid("\n".join(problems))
    return content, overrides


def keys_from_environment(prefix: str) -> list[str]:
    """Give the keys that variables with this prefix set, in the form ``reception.on_repeat``, without their values."""
    return sorted(name.removeprefix(prefix).lower().replace(BETWEEN, ".") for name in _variables(prefix))


def variable_of(location: Sequence[int | str], overrides: Iterable[Override], file_content: Any) -> str | None:
    """Give the variable to which a problem at a location is due; None where it is due to the file.

    A fault in a map that the environment alone gives is due to a variable that gives a part of it.
    """
    place = tuple(map(str, location))
    for one in reversed(list(overrides)):
        if place[: len(one.at)] == one.at:
            return one.variable
        for beginning in (place, place[:-1]):
            if one.at[: len(beginning)] == beginning and not _has(file_content, beginning):
                return one.variable
    return None


def without_values(text: str, overrides: Iterable[Override]) -> str:
    """Give a text in which every word or line that is a value from the environment is left out."""
    leaves = {leaf for one in overrides for leaf in _leaves(one.value) if not _PLAIN.fullmatch(leaf)}
    forms = {form for leaf in leaves for form in (leaf, leaf.strip(), repr(leaf)[1:-1]) if form}
    for form in sorted(forms, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", "…", text)
    return text


def _variables(prefix: str) -> list[str]:
    return [name for name in os.environ if name.startswith(prefix)]


def _place(
    variable: str, parts: Sequence[str], model: type[BaseModel], content: Any
) -> tuple[tuple[str, ...], list[Any]]:
    """Find the keys that the parts of a name mean, and the types of what stands there."""
    at: tuple[str, ...] = ()
    kinds: list[Any] = [model]
    for part in parts:
        known = {name: field.annotation for kind in kinds if _is_model(kind) for name, field in _fields(kind)}
        maps = [get_args(kind)[1] for kind in kinds if get_origin(kind) is dict]
        if not known and not maps and any(_is_list(kind) for kind in kinds):
            whole = variable.removesuffix(BETWEEN.join(["", *parts[len(at) :]]))
            raise ConfigInvalid(f"{variable}: {'.'.join(at)} is a list; give it whole, as JSON, in {whole}")
        key = _key_of_map(part, content) if maps else part.lower()
        if not part or (not maps and key not in known):
            close = difflib.get_close_matches(key, sorted(known), n=1)
            remedy = f"did you mean {'.'.join([*at, *close])}?" if close else "unset it"
            raise ConfigInvalid(f"{variable}: there is no key {'.'.join([*at, key])}; {remedy}")
        at = (*at, key)
        kinds = [kind for inner in (maps or [known[key]]) for kind in _flat(inner)]
        content = content.get(key) if isinstance(content, dict) else None
    return at, kinds


def _key_of_map(part: str, content: Any) -> str:
    """Give a person's own key of a map as the file spells it, else in small letters, as all other keys are."""
    known = [key for key in content if isinstance(key, str)] if isinstance(content, dict) else []
    same = [key for key in known if key.lower() == part.lower()]
    return part if part in known else same[0] if len(same) == 1 else part.lower()


def _value(variable: str, text: str, kinds: Iterable[Any]) -> Any:
    if not any(_is_model(kind) or _is_list(kind) or get_origin(kind) is dict for kind in kinds):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip()[:1] in ("[", "{"):
            raise ConfigInvalid(f"{variable}: not JSON; give a list or a map as JSON") from error
        return text  # a word in place of a list, as in peers: any


def _with(content: Any, at: Sequence[str], value: Any) -> Any:
    # Copies what is on the way: by an alias of YAML one map may stand at several places.
    if not at:
        return value
    known = content if isinstance(content, dict) else {}
    return {**known, at[0]: _with(known.get(at[0]), at[1:], value)}


def _has(content: Any, at: Sequence[str]) -> bool:
    for key in at:
        if isinstance(content, Mapping) and key in content:
            content = content[key]
        elif isinstance(content, list) and key.isdigit() and int(key) < len(content):
            content = content[int(key)]
        else:
            return False
    return True


def _flat(annotation: Any) -> Iterator[Any]:
    """Give the types that an annotation allows, without what is noted beside them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _flat(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from _flat(part)
    else:
        yield annotation


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_list(kind: Any) -> bool:
    return get_origin(kind) in _LISTS


def _fields(model: type[BaseModel]) -> Iterable[tuple[str, Any]]:
    return model.model_fields.items()


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif str(value):
        yield str(value)
