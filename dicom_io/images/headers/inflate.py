"""A deflated dataset, read without trusting it: no more is inflated than is read.

A file of 0.5 MB can inflate to 1 GB, and ``zlib.decompress`` does so before anybody can look at it.
"""

import io
import zlib
from typing import Any, BinaryIO

MAX_INFLATED_HEADER = 64 * 2**20
"""Largest header in bytes; a functional group sequence of 10,000 frames takes a tenth of it."""

_CHUNK = 64 * 1024


class InflateLimitError(ValueError):
    """The dataset inflates beyond its limit, or is not deflated data."""


class InflatingFile(io.RawIOBase):
    """A seekable view of deflated data that inflates as far as it is read, up to a limit.

    Parameters
    ----------
    source
        Positioned at the start of the deflated data; must stay open.
    limit
        Most bytes that may be inflated.
    """

    def __init__(self, source: BinaryIO, limit: int) -> None:
        super().__init__()
        self._source, self._limit = source, limit
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._inflated = bytearray()
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True; seeking back costs nothing, seeking ahead inflates at the next read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, from the start or from here; the end is not known."""
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("cannot seek from the end of deflated data")
        self._position = offset + (self._position if whence == io.SEEK_CUR else 0)
        return self._position

    def tell(self) -> int:
        """Position in the inflated data."""
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Read ``size`` bytes, or fewer at the end.

        Raises
        ------
        InflateLimitError
            If that lies beyond the limit, or the data is damaged.
        """
        end = self._limit + 1 if size is None or size < 0 else self._position + size
        self._inflate(end)
        data = bytes(self._inflated[self._position : end])
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there are bytes; see ``read``."""
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _inflate(self, end: int) -> None:
        if end > self._limit:
            raise InflateLimitError(f"more than {self._limit} bytes")
        while len(self._inflated) < end and not self._inflater.eof:
            data = self._inflater.unconsumed_tail or self._source.read(_CHUNK)
            if not data:
                return
            try:
                self._inflated += self._inflater.decompress(data, end - len(self._inflated))
            except zlib.error as error:
                raise InflateLimitError("not deflated data") from error
