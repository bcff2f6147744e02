"""The examples in problems of a ``model.yaml``: each key has one, and each is right."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from core.model_config import Code, ModelConfig, PostprocessingStep, Range, parse_model_config
from core.model_problems import EXAMPLES

STEPS: tuple[type[BaseModel], ...] = get_args(get_args(PostprocessingStep)[0])


def keys_below(annotation: Any, prefix: str = "") -> Iterator[str]:
    """List the path of every key; of a range and a code the example shows the whole."""
    if annotation in (Range, Code):
        return
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            path = prefix + (field.alias or name)
            yield path
            yield from keys_below(field.annotation, f"{path}.")
    for part in get_args(annotation):
        yield from keys_below(part, prefix)


def example(path: str) -> Any:
    return yaml.safe_load(EXAMPLES[path])


def step_with(key: str) -> dict[str, Any]:
    """Build a step that knows a key, with every key that it must have."""
    kind = next(step for step in STEPS if key in step.model_fields)
    fields = kind.model_fields
    needed = {name: example(f"postprocessing.{name}") for name, field in fields.items() if field.is_required()}
    return needed | {"step": get_args(fields["step"].annotation)[0]}


def model_with(path: str) -> Mapping[str, Any]:
    """Build a model whose every key is its example, the one at this path among them."""
    content = {key: example(key) for key in EXAMPLES if key and "." not in key}
    *above, last = path.split(".")
    if above == ["postprocessing"]:
        content["postprocessing"] = [step_with(last)]
    place = content
    for depth, key in enumerate(above, start=1):
        place = place.setdefault(key, example(".".join(above[:depth])))
        place = place[0] if isinstance(place, list) else place
    place[last] = example(path)
    return content


def test_each_key_has_an_example_and_no_example_is_of_another() -> None:
    assert set(keys_below(ModelConfig)) == set(EXAMPLES) - {""}


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path])
def test_example_is_right(path: str) -> None:
    parse_model_config(yaml.safe_dump(model_with(path)).encode(), Path("model.yaml"))


def test_example_of_the_whole_file_is_its_first_line() -> None:
    assert example("") == {"schema": example("schema")}
