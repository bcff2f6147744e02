"""Mutated headers in a fixed number: fast readers say what pydicom says; ``make test-long`` reads many more."""

from collections.abc import Callable

import pytest

from dicom_io.elements import Walk
from tests.faults.mutated_headers import Difference, run
from tests.faults.table import FAULT

TRIES = 200


def test_fast_readers_say_what_pydicom_says(record_property: Callable[[str, object], None]) -> None:
    record_property(FAULT, f"{TRIES} mutated headers, read by every fast reader")
    found: list[tuple[str, Difference]] = []
    assert run(TRIES, 0, lambda seed, one: found.append((seed, one))) == (TRIES, 0)
    assert found == []


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of headers that are wrong on purpose
def test_a_reader_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Walk, "uid", lambda self: (self.value() or b"").decode("latin-1"))
    found: list[Difference] = []
    compared, differing = run(60, 0, lambda seed, one: found.append(one))
    assert compared == 60
    assert 0 < differing <= len(found)
    assert "identify" in {reader for reader, _ in found}
