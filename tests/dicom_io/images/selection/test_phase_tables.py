"""Descriptions of series as sites write them, each with its contrast phase: two tables, frozen before the rules."""

import hashlib
from pathlib import Path

import pytest

TABLES = Path(__file__).parent / "phases"
HASHES = {
    "phases_first.json": "d68fa7247339e4ae12c3bb0cb3c040f0f828d1e884e27abe70ddab9f9bf773c8",
    "phases_second.json": "a0af8696db5109c766a75281e847855a4397888b7b488cd341f3c6d5a9cc98d2",
}
"""SHA-256 of each table; a label that seems wrong is listed in the documentation, never changed here."""


@pytest.mark.parametrize("name", HASHES)
def test_a_table_is_as_it_was_before_the_rules_were_written(name: str) -> None:
    assert hashlib.sha256((TABLES / name).read_bytes()).hexdigest() == HASHES[name]
