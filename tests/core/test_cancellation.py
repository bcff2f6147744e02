"""A token ends work at the next step after the request, and not before."""

import pytest

from core.cancellation import NEVER, Cancellation
from core.errors import Cancelled


def test_work_goes_on_until_its_end_is_requested() -> None:
    requested = False
    token = Cancellation(lambda: requested)
    token.raise_if_cancelled()
    requested = True
    with pytest.raises(Cancelled):
        token.raise_if_cancelled()


def test_work_that_nobody_can_cancel_goes_on() -> None:
    NEVER.raise_if_cancelled()
