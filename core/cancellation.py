"""Tokens by which a caller ends work early: the worker asks its token between steps."""

from collections.abc import Callable

from core.errors import Cancelled


class Cancellation:
    """A token of one piece of work.

    Parameters
    ----------
    is_cancelled
        Tells whether the work is to end; it is asked often, and answers quickly.
    """

    def __init__(self, is_cancelled: Callable[[], bool]) -> None:
        self._is_cancelled = is_cancelled

    def raise_if_cancelled(self) -> None:
        """End the work here if that is requested.

        Raises
        ------
        Cancelled
            If it is.
        """
        if self._is_cancelled():
            raise Cancelled("the work was cancelled")


NEVER = Cancellation(lambda: False)
"""The token of work that nobody can cancel."""
