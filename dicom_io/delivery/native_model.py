"""The two text forms of a data set that DICOMweb servers answer with, read into one: JSON and the Native DICOM Model.

Both come from strangers: lengths are bounded by who calls this, XML with a document type is not read (no entity is ever
expanded), and what is nested deeper than any answer is refused.

References
----------
PS3.18 annex F (DICOM JSON Model); PS3.19 A.1 (Native DICOM Model).
"""

import json
import re
from collections.abc import Mapping, Sequence
from email.parser import BytesParser
from xml.parsers import expat

MAX_DEPTH = 32
"""Elements within elements; a response of STOW-RS has six."""

MAX_PARTS = 64
"""Parts of a multipart answer; one about one object has one."""

Attributes = Mapping[str, Sequence[object]]
"""Values by tag, as eight upper-case hexadecimal digits; items of a sequence are `Attributes`."""

_JSON = ("application/dicom+json", "application/json")
_XML = ("application/dicom+xml", "application/xml", "text/xml")
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
"""RFC 2046 section 5.1.1 has 70 characters at most."""


class MalformedModelError(ValueError):
    """The text is no data set; the message says why, without quoting it."""


def read_model(content_type: str, body: bytes) -> list[Attributes]:
    """Read the data sets of an answer.

    Parameters
    ----------
    content_type
        As it came, with parameters; where it is empty, the text's first character tells.
    body
        The text; of ``multipart/related``, all parts.

    Returns
    -------
    list of Attributes
        Empty where the body is.

    Raises
    ------
    MalformedModelError
        If it cannot be read, or is of another kind.
    """
    media_type, begins = content_type.partition(";")[0].strip().lower(), body.lstrip()[:1]
    if not begins:
        return []
    if media_type.startswith("multipart/"):
        return _read_parts(content_type, body)
    if media_type in _JSON or (not media_type and begins in (b"{", b"[")):
        return _read_json(body)
    if media_type in _XML or (not media_type and begins == b"<"):
        return [_read_xml(body)]
    raise MalformedModelError("its answer is neither JSON nor XML")


def _read_parts(content_type: str, body: bytes) -> list[Attributes]:
    """Read each part by its own head alone: a parser that goes into parts within parts can be led on without end."""
    named = _BOUNDARY.search(content_type)
    boundary = (named[1] or named[2]).encode("utf-8", "replace") if named is not None else b""
    pieces = re.split(rb"(?m)^--" + re.escape(boundary) + rb"(--)?[ \t]*\r?(?:\n|\Z)", body) if boundary else []
    if len(pieces) < 2:
        raise MalformedModelError("its multipart answer has no parts")
    if len(pieces) // 2 > MAX_PARTS:
        raise MalformedModelError("its multipart answer has too many parts")
    found: list[Attributes] = []
    for is_end, part in zip(pieces[1::2], pieces[2::2], strict=True):
        if is_end:
            break
        message = BytesParser().parsebytes(part, headersonly=True)
        kind, content = message.get_content_type(), message.get_payload(decode=True)
        if message.get_content_maintype() in ("multipart", "message"):
            raise MalformedModelError("its multipart answer has parts within parts")
        if isinstance(content, bytes) and kind in (*_JSON, *_XML):
            found += read_model(kind, content)
    return found


def _read_json(body: bytes) -> list[Attributes]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedModelError("its answer is not JSON") from error
    sets = content if isinstance(content, list) else [content]
    return [_json_attributes(one, 0) for one in sets if isinstance(one, dict)]


def _json_attributes(content: Mapping[str, object], depth: int) -> Attributes:
    """Take what is written as annex F asks for; an element that is written in another way has no values."""
    found: dict[str, Sequence[object]] = {}
    for tag, element in content.items():
        values = element.get("Value") if isinstance(element, dict) else None
        if isinstance(values, list) and depth < MAX_DEPTH:
            found[tag.upper()] = [_json_attributes(v, depth + 1) if isinstance(v, dict) else v for v in values]
        else:
            found[tag.upper()] = []
    return found


def _read_xml(body: bytes) -> Attributes:
    reader = _XmlReader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.refuse_document_type
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(body, True)
    except MalformedModelError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two of an encoding that is not read
        raise MalformedModelError("its answer is not XML") from error
    return reader.root


class _XmlReader:
    """The part of a Native DICOM Model that has been read: a stack of data sets and of the values of their elements."""

    def __init__(self) -> None:
        self.root: dict[str, Sequence[object]] = {}
        self._sets = [self.root]
        self._values: list[list[object]] = []
        self._text: list[str] | None = None
        self._depth = 0

    def refuse_document_type(self, *_: object) -> None:
        raise MalformedModelError("its answer is XML with a document type, which is not read")

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise MalformedModelError("its answer is nested too deeply")
        kind = name.rpartition(":")[2]
        if kind == "DicomAttribute":
            values: list[object] = []
            self._sets[-1][attributes.get("tag", "").upper()] = values
            self._values.append(values)
        elif kind == "Item" and self._values:
            item: dict[str, Sequence[object]] = {}
            self._values[-1].append(item)
            self._sets.append(item)
        elif kind == "Value":
            self._text = []

    def text(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def end(self, name: str) -> None:
        self._depth -= 1
        kind = name.rpartition(":")[2]
        if kind == "DicomAttribute":
            self._values.pop()
        elif kind == "Item" and len(self._sets) > 1:
            self._sets.pop()
        elif kind == "Value":
            if self._values:
                self._values[-1].append("".join(self._text or ()))
            self._text = None
