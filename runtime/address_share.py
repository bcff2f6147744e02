"""The share of one address in a server's connections: no client alone can take them all."""

import threading
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)


class AddressShare(Generic[C]):
    """The open connections of a server by address, from any thread.

    A connection beyond its address's share takes the place of the oldest of that address that may go; beyond what the
    server takes at once, of the oldest of the address that has most.

    Parameters
    ----------
    at_once
        Connections that the server takes.
    per_address
        Connections that it takes of one address.
    may_go
        Whether a connection may be ended for another, as it waits for no answer.
    """

    def __init__(self, at_once: int, per_address: int, may_go: Callable[[C], bool] = lambda connection: True) -> None:
        self._at_once = at_once
        self._per_address = per_address
        self._may_go = may_go
        self._open: dict[C, str] = {}  # in the order in which they came
        self._lock = threading.Lock()

    def enter(self, address: str, connection: C) -> C | None:
        """Note a new connection, and return the one to end for it: itself, where every other waits for an answer."""
        with self._lock:
            counts = Counter(self._open.values())
            self._open[connection] = address
            if counts[address] >= self._per_address:
                crowded = address
            elif len(self._open) > self._at_once:
                crowded = counts.most_common(1)[0][0]
            else:
                return None
            others = (one for one, its in self._open.items() if its == crowded and one != connection)
            ended = next((one for one in others if self._may_go(one)), connection)
            del self._open[ended]
            return ended

    def leave(self, connection: C) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._open.pop(connection, None)
