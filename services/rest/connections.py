"""HTTP connections that take a place and ask for nothing."""

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S: Final = 20.0
"""From the beginning of a connection, or the end of an answer, to the end of the next request's headers."""


class Impatient(H11Protocol):
    """Uvicorn's connection, ended where no request comes: places are counted, and only a request shows a token.

    Uvicorn alone waits some seconds for the first byte after an answer, and for every other without end.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin."""
        super().connection_made(transport)
        self._end_unless_asked()

    def on_response_complete(self) -> None:
        """Go on after an answer."""
        self._end_unless_asked()
        super().on_response_complete()

    def _end_unless_asked(self) -> None:
        answered = self.cycle
        self.loop.call_later(HEAD_S, lambda: self.transport.close() if self.cycle is answered else None)
