"""Association requests, damaged in every way: decoded, or refused for what they are, and nothing else."""

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dicom_io.reception.association_request import MAX_ITEMS, RequestError, decode_request
from tests.support.upper_layer import CONTEXTS, associate_rq, item, pdu

REQUEST = associate_rq()


def decodes(content: bytes) -> bool:
    try:
        decode_request(content)
    except RequestError:
        return False
    return True


def test_a_whole_request_says_who_asks_for_what() -> None:
    request = decode_request(REQUEST)
    assert (request.called_ae_title, request.calling_ae_title) == ("SEGNODE", "HONEST")
    asked = [context.abstract_syntax for context in request.presentation_context_definition_list]
    assert asked == [abstract for _, abstract, _ in CONTEXTS]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
@example(b"")
@example(b"\x01")
def test_any_bytes(content: bytes) -> None:
    assert not decodes(content)
    decodes(pdu(1, content))
    decodes(REQUEST + content)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(REQUEST) - 1), st.integers(0, 255)), max_size=6), st.integers(0, 400))
def test_damaged_requests(changes: list[tuple[int, int]], length: int) -> None:
    damaged = bytearray(REQUEST)
    for at, byte in changes:
        damaged[at] = byte
    decodes(bytes(damaged))
    decodes(bytes(damaged[:length]))


@pytest.mark.parametrize("kind", range(256))
def test_every_kind_of_item(kind: int) -> None:
    for content in (b"", b"\0", b"x" * 50, item(kind, b""), struct.pack(">H", 65535)):
        decodes(associate_rq(extra=item(kind, content)))


def test_many_items_are_refused_before_they_are_made() -> None:
    within = item(0x50, b"") * (MAX_ITEMS // 2)
    assert decodes(associate_rq(extra=item(0x50, b"")))
    with pytest.raises(RequestError, match="items"):
        decode_request(associate_rq(extra=within * 2))
