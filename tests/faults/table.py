"""A row of the fault table, and the helpers that it may use.

A row states a fault and its required outcome. Rows of other kinds (clinical, system) are tests of their own
in this folder; each counts by ``record_property(FAULT, name)``.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.conftest import FAULT as FAULT  # for rows that are tests of their own
from tests.support.listener_process import ListenerProcess


@dataclass(frozen=True)
class Fault:
    """One row.

    Attributes
    ----------
    name
        What is done wrong.
    expected
        What has to come of it: what `inject` returns.
    inject
        Does it, and says what came of it.
    listener
        Which of the listeners of the table it is done to: ``plain``, ``tls`` or ``deflated``.
    """

    name: str
    expected: str
    inject: Callable[[ListenerProcess], str]
    listener: str = "plain"
