"""Mutations of plans, data set and manifest: each gives a package or a refusal, never another error."""

import copy
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import PackageInvalid
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.package.hashes import write_sums
from segmentation.package.package import MANIFEST, Package, load_package
from tests.faults.table import FAULT
from tests.support.tiny_models import make_results_folder

TRIES = int(os.environ.get("SEGNODE_PACKAGE_TRIES", "60"))
SEED = int(os.environ.get("SEGNODE_PACKAGE_SEED", "1"))
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 2**40, 10**30, 0.5, -0.5, 1e308, float("nan"), float("inf")),
    *("", "0", "liver", "../x", "\x00", [], [[]], [0], [1, 2, 3], ["a"], {}, {"0": 0}, {"": []}, [None]),
)


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def mutated(content: Any, rng: random.Random) -> Any:
    """Change one to three values: another one, none at all, twice, or under another key."""
    content = copy.deepcopy(content)
    for _ in range(rng.randint(1, 3)):
        found = list(places(content))
        if not found:
            break
        *way, key = rng.choice(found)
        holder = content
        for step in way:
            holder = holder[step]
        kind = rng.random()
        if kind < 0.65:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
        elif kind < 0.8:
            del holder[key]
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[rng.choice(["x", "0", f"{key}s"])] = holder.pop(key)
    return content


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
@pytest.mark.parametrize("kind", ["3d_fullres", "regions"])
def test_mutated_plans_and_data_set(
    name: str, kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, f"{TRIES} mutations of {name}, {kind}")
    results = make_results_folder(tmp_path / "source", kind)
    original = json.loads((results / name).read_text())
    rng = random.Random(f"{SEED}{name}{kind}")  # noqa: S311 - of a test
    refusals = []
    for number in range(TRIES):
        changed = mutated(original, rng)
        (results / name).write_text(json.dumps(changed))
        try:
            shutil.rmtree(add_package(results, f"m{number}", tmp_path / "models").folder)
        except PackageInvalid as refusal:
            refusals.append(str(refusal))
    assert refusals
    assert all(refusals)


def test_mutated_manifest(package: Package, record_property: Callable[[str, object], None]) -> None:
    record_property(FAULT, f"{TRIES} mutations of a package's {MANIFEST}")
    path = package.folder / MANIFEST
    original = json.loads(path.read_text())
    rng = random.Random(SEED)  # noqa: S311 - of a test
    refusals = []
    for _ in range(TRIES):
        path.write_text(json.dumps(mutated(original, rng)))
        write_sums(package.folder)
        try:
            Engine(load_package(package.folder), "cpu")
        except PackageInvalid as refusal:
            refusals.append(str(refusal))
    assert refusals
    assert all(refusals)
