"""HTTP connections that take a place without a request."""

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S: Final = 20.0
"""Seconds from the start of a connection, or the end of a response, to the end of the next request's headers."""


class Impatient(H11Protocol):
    """Uvicorn's connection, closed if no request comes: places are limited, and only a request shows a token.

    Uvicorn itself waits some seconds for the first byte after a response, and without end for every other byte.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start the clock of a new connection."""
        super().connection_made(transport)
        self._end_unless_asked()

    def on_response_complete(self) -> None:
        """Restart the clock after a response."""
        self._end_unless_asked()
        super().on_response_complete()

    def _end_unless_asked(self) -> None:
        answered = self.cycle
        self.loop.call_later(HEAD_S, lambda: self.transport.close() if self.cycle is answered else None)
