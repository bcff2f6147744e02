"""Elements of an encoded data set, one after the other, in constant memory: no element becomes an object.

pydicom makes a tree of a whole data set first; sequences before the elements that are needed cost 88 times their bytes.
A walk reads heads, skips values that are not needed, and is bounded by a number of elements and a depth.

References
----------
PS3.5 section 7 (data elements, sequences, items), 6.2.2 (UN of undefined length), annex A (transfer syntaxes).
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import BinaryIO, Protocol

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

MAX_ELEMENTS = 500_000
"""Elements, items and delimiters of one walk: a list of 100,000 objects, or the frames of the longest multi-frame."""

MAX_DEPTH = 100
"""Sequences within sequences."""

MAX_INFLATED_BYTES = 64 * 2**20
"""Bytes that a walk inflates at most."""

UNDEFINED = 0xFFFFFFFF
SHORT = frozenset({b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH"})
SHORT |= {b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS = 0xFFFE
_CHUNK = 65536
_LONGEST_UID = 72
"""64 characters, and more padding than anybody writes."""

_PADDING = "\0 \t\n\v\f\r"
"""White space is removed as pydicom removes it, who reads what is stored."""


class ElementsError(ValueError):
    """The bytes are no data set, or one that asks for too much.

    Parameters
    ----------
    reason
        For the log: ``damaged``, ``too_many_elements``, ``nested_too_deep`` or ``inflates_too_far``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Source(Protocol):
    """The bytes that a walk reads."""

    def read(self, size: int, /) -> bytes:
        """Read the next bytes, fewer at the end."""

    def skip(self, size: int, /) -> None:
        """Pass over bytes; beyond the end there is nothing to read."""


class _Plain:
    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self._seek = file.seek

    def skip(self, size: int) -> None:
        self._seek(size, 1)


class _Inflating:
    """Deflated data from its beginning, of which no more than a chunk is held."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._left = limit
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._ready, self._at = b"", 0

    def read(self, size: int) -> bytes:
        while len(self._ready) - self._at < size and self._inflate():
            pass
        data = self._ready[self._at : self._at + size]
        self._at += len(data)
        return data

    def skip(self, size: int) -> None:
        while size:
            passed = min(size, len(self._ready) - self._at)
            self._at += passed
            size -= passed
            if size and not self._inflate():
                return

    def _inflate(self) -> bool:
        data = self._inflater.unconsumed_tail or self._file.read(_CHUNK)
        try:
            # Without input it gives out what it still holds.
            more = b"" if self._inflater.eof else self._inflater.decompress(data, _CHUNK)
        except zlib.error as error:
            raise ElementsError("damaged") from error
        self._left -= len(more)
        if self._left < 0:
            raise ElementsError("inflates_too_far")
        self._ready, self._at = self._ready[self._at :] + more, 0
        return bool(more) or bool(data and not self._inflater.eof)


def source_of(data_set: BinaryIO, transfer_syntax: str, limit: int = MAX_INFLATED_BYTES) -> Source:
    """Return the source to read a data set from.

    Parameters
    ----------
    data_set
        Positioned at its beginning; seekable, and buffered where that matters.
    transfer_syntax
        UID.
    limit
        Most bytes that deflated data may inflate to.
    """
    return _Inflating(data_set, limit) if transfer_syntax == DeflatedExplicitVRLittleEndian else _Plain(data_set)


@dataclass(slots=True)
class _Level:
    """A data set, a sequence, or an item of one; they alternate."""

    end: float = inf
    implicit: bool | None = None
    entered: bool = True


class Walk:
    """A walk through a data set; explicit VRs are detected, whatever was negotiated.

    Parameters
    ----------
    source
        Positioned at its beginning.
    transfer_syntax
        UID.
    enters
        Whether to walk through a sequence or item of defined length too, by the sequence's tag, and its VR where that
        is explicit; without it they are values. A value of undefined length is always walked through.
    most
        Elements, items and delimiters after which it ends.

    Attributes
    ----------
    head
        The bytes before the value of the last element yielded.
    position
        Bytes from the beginning to what is read next.
    unread
        Bytes of its value that are still to be read; none of what is walked through.
    """

    def __init__(
        self,
        source: Source,
        transfer_syntax: str,
        enters: Callable[[int, bytes | None], bool] = lambda tag, vr: False,
        *,
        most: int = MAX_ELEMENTS,
    ) -> None:
        order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
        self._source = source
        self._enters = enters
        self._implicit_head, self._word = struct.Struct(f"{order}HHL"), struct.Struct(f"{order}L")
        self._half = struct.Struct(f"{order}H")
        self._levels = [_Level()]
        self._most = most
        self.unread = 0
        self.head = b""
        self.position = 0

    @property
    def is_implicit(self) -> bool:
        """Tell whether VRs are implicit outside of sequences; known after the first element."""
        return bool(self._levels[0].implicit)

    def __iter__(self) -> Iterator[tuple[int, int, bytes | None, int]]:
        """Yield depth, tag, VR and length of every element and item; outermost elements have depth 0, their items 1.

        Raises
        ------
        ElementsError
            If the data set is damaged, or beyond a bound.
        OSError
            If it cannot be read.
        """
        read, skip, levels = self._source.read, self._source.skip, self._levels
        for _ in range(self._most):
            if self.unread:
                skip(self.unread)
                self.position += self.unread
                self.unread = 0
            while self.position >= levels[-1].end:
                if self.position > levels.pop().end:
                    raise ElementsError("damaged")
            level = levels[-1]
            self.head = head = read(8)
            if len(head) < 8:
                if len(levels) == 1:
                    return
                raise ElementsError("damaged")
            self.position += 8
            group, number, length = self._implicit_head.unpack(head)
            tag, vr, depth = group << 16 | number, None, len(levels) // 2
            if group == _DELIMITERS or len(levels) % 2 == 0:
                if len(levels) == 1 and tag != SEQUENCE_END:
                    return
                if not self._take_item(tag, length, level):
                    continue
            else:
                vr, length = self._vr_and_length(head, length, level)
                self._take_element(tag, vr, length, level)
            yield depth, tag, vr, length
        raise ElementsError("too_many_elements")

    def value(self, most: int = _LONGEST_UID) -> bytes | None:
        """Read the value of the last element yielded, None if it is longer; empty for what is walked through."""
        if self.unread > most:
            return None
        return b"".join(self.pieces())

    def uid(self) -> str:
        """Read the same value as text without padding; it may hold any characters, and is empty if it is too long."""
        return (self.value() or b"").decode("latin-1").strip(_PADDING)

    def number(self) -> int:
        """Read the same value as an unsigned 16-bit number; 0 if it is not one."""
        value = self.value() or b""
        return int(self._half.unpack(value)[0]) if len(value) == self._half.size else 0

    def pieces(self) -> Iterator[bytes]:
        """Yield the same value in pieces, however long it is."""
        while self.unread:
            piece = self._source.read(min(self.unread, _CHUNK))
            if not piece:
                raise ElementsError("damaged")
            self.unread -= len(piece)
            self.position += len(piece)
            yield piece

    def _take_item(self, tag: int, length: int, level: _Level) -> bool:
        """Begin an item, or end an item or sequence; return True if an item begins."""
        in_sequence = len(self._levels) % 2 == 0
        if in_sequence and tag == ITEM:
            if length == UNDEFINED or level.entered:
                end = inf if length == UNDEFINED else self.position + length
                self._levels.append(_Level(end, True if level.implicit else None))
            else:
                self.unread = length
            return True
        if tag == (SEQUENCE_END if in_sequence else ITEM_END):
            if level.end == inf:  # the others end where they say, and some writers add this, within or behind
                self._levels.pop()
        elif tag not in (ITEM_END, SEQUENCE_END) or length:
            raise ElementsError("damaged")
        return False

    def _vr_and_length(self, head: bytes, length: int, level: _Level) -> tuple[bytes | None, int]:
        vr = head[4:6]
        if level.implicit is None:
            # Items of an explicit data set may be implicit, and those of UN have to be.
            level.implicit = not (0x40 < vr[0] < 0x5B and 0x40 < vr[1] < 0x5B)
        if level.implicit:
            return None, length
        if vr in SHORT:
            return vr, int(self._half.unpack_from(head, 6)[0])
        if vr in LONG:
            rest = self._source.read(4)
            if len(rest) < 4:
                raise ElementsError("damaged")
            self.head += rest
            self.position += 4
            return vr, int(self._word.unpack(rest)[0])
        # As pydicom reads them, who reads what is stored: other letters with a short length, anything else as implicit.
        return (vr, int(self._half.unpack_from(head, 6)[0])) if b"AA" <= vr <= b"ZZ" else (None, length)

    def _take_element(self, tag: int, vr: bytes | None, length: int, level: _Level) -> None:
        entered = length > 0 and self._enters(tag, vr)
        if length != UNDEFINED and not entered:
            self.unread = length
            return
        if len(self._levels) > 2 * MAX_DEPTH:
            raise ElementsError("nested_too_deep")
        self._levels.append(_Level(inf if length == UNDEFINED else self.position + length, level.implicit, entered))
