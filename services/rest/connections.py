"""HTTP connections that take a place without a request, or more places than one caller may have."""

import asyncio
from typing import ClassVar, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from runtime.address_share import AddressShare

HEAD_S: Final = 20.0
"""Seconds from the start of a connection, or the end of a response, to the end of the next request's headers."""


TOO_MANY: Final = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Impatient(H11Protocol):
    """Uvicorn's connection, closed if no request comes: places are limited, and only a request shows a token.

    Uvicorn itself waits some seconds for the first byte after a response, and without end for every other byte.

    Attributes
    ----------
    share
        The places of each address among the server's connections; see `sharing`.
    """

    share: ClassVar["AddressShare[Impatient]"]

    @classmethod
    def sharing(cls, at_once: int, per_address: int) -> type["Impatient"]:
        """Return the kind of connection of one server, with its limits."""
        share: AddressShare[Impatient] = AddressShare(at_once, per_address, lambda connection: connection.is_idle)
        return type(cls.__name__, (cls,), {"share": share})

    @property
    def is_idle(self) -> bool:
        """Return whether no answer is due."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start the clock of a new connection, and end another where its address has too many."""
        super().connection_made(transport)
        ended = self.share.enter(self.client[0] if self.client else "", self)
        if ended is self:
            transport.write(TOO_MANY)
        if ended is not None:
            ended.transport.close()
        self._end_unless_asked()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self.share.leave(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Restart the clock after a response."""
        self._end_unless_asked()
        super().on_response_complete()

    def _end_unless_asked(self) -> None:
        answered = self.cycle
        self.loop.call_later(HEAD_S, lambda: self.transport.close() if self.cycle is answered else None)
