"""The meaning of STOW-RS answers over real sockets: nothing is delivered that is only well-formed."""

import gzip
import json
import socket
import threading
import time
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import SegmentationStorage, generate_uid

from dicom_io.delivery.answer import Answer, Said
from dicom_io.delivery.stow import send_by_web
from dicom_io.delivery.web import MAX_ANSWER_BYTES, WebDestination
from tests.support.node_process import make_image
from tests.support.web_server import DICOM_JSON, WebServer, naming

XML = "application/dicom+xml"
OTHER = "1.2.3.4"


@pytest.fixture
def result(tmp_path: Path) -> Path:
    path = tmp_path / "result.dcm"
    make_image(generate_uid(), sop_class=SegmentationStorage).save_as(path, enforce_file_format=True)
    return path


def uid_of(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def xml(tag: str, uid: str, more: str = "", *, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> bytes:
    """A response of STOW-RS in the Native DICOM Model (PS3.19 A.1)."""
    instance = f'<DicomAttribute tag="00081155" vr="UI"><Value number="1">{uid}</Value></DicomAttribute>'
    item = f'<Item number="1">{instance}{more}</Item>'
    sequence = f'<DicomAttribute tag="{tag}" vr="SQ" keyword="X">{item}</DicomAttribute>'
    space = 'xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM"'
    return f'{head}<NativeDicomModel {space} xml:space="preserve">{sequence}</NativeDicomModel>'.encode()


def reason_xml(tag: str, number: int) -> str:
    return f'<DicomAttribute tag="{tag}" vr="US"><Value number="1">{number}</Value></DicomAttribute>'


def answered(result: Path, server: WebServer) -> Answer:
    with server:
        return send_by_web(result, WebDestination(server.url))


def test_an_object_that_is_named_as_stored_is_delivered(result: Path) -> None:
    assert answered(result, WebServer(200, naming(uid_of(result)))) == Answer(Said.STORED)


@pytest.mark.parametrize("status", [201, 202])
def test_it_counts_with_any_success(result: Path, status: int) -> None:
    answer = answered(result, WebServer(status, naming(uid_of(result))))
    assert answer == Answer(Said.STORED, f"stored with HTTP status {status}")


def test_xml_says_the_same(result: Path) -> None:
    stored, failed = xml("00081199", uid_of(result)), xml("00081198", uid_of(result), reason_xml("00081197", 0xC000))
    assert answered(result, WebServer(200, stored, content_type=XML)) == Answer(Said.STORED)
    refusal = Answer(Said.REFUSED, "the destination refused the object with failure reason 0xC000")
    assert answered(result, WebServer(202, failed, content_type=XML)) == refusal
    assert answered(result, WebServer(409, failed, content_type="text/xml; charset=utf-8")) == refusal


def test_so_does_multipart(result: Path) -> None:
    for kind, text in ((XML, xml("00081199", uid_of(result))), (DICOM_JSON, naming(uid_of(result)))):
        body = b"--b\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + text + b"\r\n--b--\r\n"
        server = WebServer(200, body, content_type=f'multipart/related; type="{kind}"; boundary=b')
        assert answered(result, server) == Answer(Said.STORED), kind


def test_so_does_what_has_no_content_type_or_is_packed(result: Path) -> None:
    uid = uid_of(result)
    for body in (naming(uid), xml("00081199", uid)):
        assert answered(result, WebServer(200, body, content_type="")) == Answer(Said.STORED)
    packed = WebServer(200, gzip.compress(naming(uid)), headers={"Content-Encoding": "gzip"})
    assert answered(result, packed) == Answer(Said.STORED)
    in_a_list = WebServer(200, b"[" + naming(uid) + b"]", content_type="application/json")
    assert answered(result, in_a_list) == Answer(Said.STORED)


def test_a_warning_counts_as_stored_and_is_told(result: Path) -> None:
    item = {"00081155": {"vr": "UI", "Value": [uid_of(result)]}, "00081196": {"vr": "US", "Value": [0xB000]}}
    body = json.dumps({"00081199": {"vr": "SQ", "Value": [item]}}).encode()
    reason = "stored with warning status 0xB000: it coerced data elements"
    assert answered(result, WebServer(202, body)) == Answer(Said.STORED, reason)
    body = xml("00081199", uid_of(result), reason_xml("00081196", 0xB006))
    reason = "stored with warning status 0xB006: it discarded elements"
    assert answered(result, WebServer(202, body, content_type=XML)) == Answer(Said.STORED, reason)


ENTITIES = '<!DOCTYPE x [<!ENTITY a "1.2"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
UNNAMED = {
    "an empty 200": (200, DICOM_JSON, b"", "names no object"),
    "an empty 202": (202, "", b"", "names no object"),
    "a 204": (204, "", b"", "names no object"),
    "no data set": (200, DICOM_JSON, b"{}", "names no object"),
    "a list of none": (200, DICOM_JSON, b"[]", "names no object"),
    "another object stored": (200, DICOM_JSON, naming(OTHER), "names another object"),
    "another object failed": (202, DICOM_JSON, naming(failed=((OTHER, 0xC000),)), "names another object"),
    "cut JSON": (200, DICOM_JSON, naming(OTHER)[:-9], "is not JSON"),
    "no JSON at all": (200, DICOM_JSON, b"\xff\xfe", "is not JSON"),
    "JSON nested without end": (200, DICOM_JSON, b"[" * 100_000, "is not JSON"),
    "cut XML": (200, XML, xml("00081199", OTHER)[:-9], "is not XML"),
    "XML with entities": (200, XML, xml("00081199", "&b;", head=ENTITIES), "document type"),
    "XML with an external entity": (
        *(200, XML),
        xml("00081199", "&e;", head='<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>'),
        "document type",
    ),
    "XML nested without end": (200, XML, b"<a>" * 10_000, "nested too deeply"),
    "plain text": (200, "text/plain", b"OK", "neither JSON nor XML"),
    "multipart without parts": (200, "multipart/related; boundary=b", b"x", "no parts"),
    "multipart without a boundary": (200, "multipart/related", b"--\r\n\r\nx\r\n----", "no parts"),
    "multipart of parts within parts": (
        *(200, "multipart/related; boundary=b"),
        b"--b\r\n"
        + b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(1000)),
        "parts within parts",
    ),
    "multipart of messages": (
        *(200, "multipart/related; boundary=b"),
        b"--b\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 1000,
        "parts within parts",
    ),
    "multipart of many parts": (200, "multipart/related; boundary=b", b"--b\r\n" * 100_000, "too many parts"),
    **{
        f"XML in {name}": (200, XML, f'<?xml version="1.0" encoding="{name}"?><a/>'.encode(), "is not XML")
        for name in ("Shift_JIS", "EUC-JP", "GB18030", "utf-32", "idna", "punycode", "undefined", "rot13", "none-such")
    },
    "an answer without end": (200, DICOM_JSON, b" " * (MAX_ANSWER_BYTES + 1), "longer than"),
}


@pytest.mark.parametrize("name", UNNAMED)
def test_answer_that_names_neither_is_no_delivery(result: Path, name: str) -> None:
    status, kind, body, words = UNNAMED[name]
    answer = answered(result, WebServer(status, body, content_type=kind))
    assert (answer.said, words in answer.reason) == (Said.UNNAMED, True), answer
    assert f"HTTP status {status}" in answer.reason


def test_answer_that_cannot_be_unpacked_names_nothing(result: Path) -> None:
    for body in (b"no gzip", gzip.compress(naming(uid_of(result)))[:-12], gzip.compress(bytes(64 << 20))):
        answer = answered(result, WebServer(200, body, headers={"Content-Encoding": "gzip"}))
        assert answer.said is Said.UNNAMED, answer


def packed(content: bytes, *layers: str) -> bytes:
    for name in layers:
        content = zlib.compress(content) if name == "deflate" else gzip.compress(content, mtime=0)
    return content


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (("gzip", "gzip"), "packed in a way that is not read"),
        (("deflate", "gzip"), "packed in a way that is not read"),
        (("gzip",) * 4, "packed in a way that is not read"),
        (("br",), "packed in a way that is not read"),
        (("gzip",), "longer than"),
        (("deflate",), "longer than"),
    ],
)
def test_answer_that_grows_without_bound_takes_no_memory(result: Path, layers: tuple[str, ...], words: str) -> None:
    body = packed(bytes(64 << 20), *(name for name in layers if name != "br"))
    tracemalloc.start()
    try:
        answer = answered(result, WebServer(200, body, headers={"Content-Encoding": ", ".join(layers)}))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (answer.said, words in answer.reason) == (Said.UNNAMED, True), answer
    assert peak < 16 << 20


def test_answer_in_one_layer_is_read(result: Path) -> None:
    body = naming(uid_of(result))
    for name, content in (
        ("deflate", packed(body, "deflate")),
        ("X-GZIP", packed(body, "gzip")),
        ("identity", body),
        ("identity, gzip", packed(body, "gzip")),
    ):
        server = WebServer(200, content, headers={"Content-Encoding": name})
        assert answered(result, server) == Answer(Said.STORED), name
    ((_, headers, _),) = server.requests
    assert headers["Accept-Encoding"] == "identity"
    longer = WebServer(200, packed(body, "gzip") + b"more", headers={"Content-Encoding": "gzip"})
    assert answered(result, longer).said is Said.UNNAMED


PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/xhtml+xml", "", DICOM_JSON, "text/plain"])
def test_a_web_page_is_never_a_delivery(result: Path, kind: str) -> None:
    answer = answered(result, WebServer(200, PAGE, content_type=kind))
    reason = "the destination answered with a web page (HTTP status 200); check url and token"
    assert answer == Answer(Said.LATER, reason)


def test_web_page_that_quotes_the_object_is_no_delivery(result: Path) -> None:
    answer = answered(result, WebServer(200, naming(uid_of(result)), content_type="text/html"))
    assert answer.said is Said.LATER


@pytest.mark.parametrize("status", [200, 202, 409])
def test_a_failure_counts_whatever_the_status(result: Path, status: int) -> None:
    uid = uid_of(result)
    meanings = {
        0xC122: Said.REFUSED,
        0xA700: Said.LATER,
        0x0110: Said.DOUBTFUL,
        0x0111: Said.HAS_IT,
        45070: Said.HAS_IT,
    }
    for reason, said in meanings.items():
        answer = answered(result, WebServer(status, naming(failed=((uid, reason),))))
        assert (answer.said, f"0x{reason:04X}" in answer.reason) == (said, True)


def test_a_failure_counts_more_than_success(result: Path) -> None:
    uid = uid_of(result)
    assert answered(result, WebServer(200, naming(uid, failed=((uid, 0xA900),)))).said is Said.REFUSED
    assert answered(result, WebServer(200, naming(uid, failed=((OTHER, 0xA900),)))).said is Said.STORED


def test_other_failures_are_of_the_one_object(result: Path) -> None:
    other = {"0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xC000]}}]}}
    answer = answered(result, WebServer(202, json.dumps(other).encode()))
    assert answer == Answer(Said.REFUSED, "the destination refused the object with failure reason 0xC000")


def test_a_conflict_that_names_the_object_says_that_it_is_there(result: Path) -> None:
    uid = uid_of(result)
    without_reason = json.dumps({"00081198": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [uid]}}]}})
    for body in (without_reason.encode(), naming(failed=((uid, 0),)), naming(uid), naming(failed=((uid, 0x0111),))):
        assert answered(result, WebServer(409, body)).said is Said.HAS_IT
    for body in (b"", naming(failed=((OTHER, 0x0111),)), naming(OTHER)):
        assert answered(result, WebServer(409, body)).said is Said.REFUSED


WITHOUT_REASON = ["null", "7", "[]", "{}", '{"00081197": 7}', '{"00081197": {}}', '{"00081197": {"Value": {}}}']
WITHOUT_REASON += [f'{{"00081197": {{"Value": [{value}]}}}}' for value in ("", "null", '"x"', "1e999", "{}")]


@pytest.mark.parametrize("item", [item for item in WITHOUT_REASON if item != '{"00081197": {"Value": []}}'])
def test_a_failure_without_a_reason_is_one(result: Path, item: str) -> None:
    answer = answered(result, WebServer(200, f'{{"00081198": {{"Value": [{item}]}}}}'.encode()))
    assert answer == Answer(Said.REFUSED, "the destination refused the object with failure reason 0x0000")


@pytest.mark.parametrize("text", ["{}", "1", "[1]", "null", '{"Value": 7}', '{"Value": {"0": 1}}'])
def test_failure_sequence_without_items_is_no_success(result: Path, text: str) -> None:
    assert answered(result, WebServer(200, f'{{"00081198": {text}}}'.encode())).said is Said.UNNAMED


def test_the_words_of_the_peer_are_kept_apart(result: Path) -> None:
    item = {"00081155": {"Value": [uid_of(result)]}, "00081197": {"Value": [0xC000]}, "00000902": {"Value": ["DOE^J"]}}
    answer = answered(result, WebServer(409, json.dumps({"00081198": {"Value": [item]}}).encode()))
    assert (answer.comment, "DOE" in answer.reason) == ("DOE^J", False)


def test_answer_that_trickles_is_not_waited_for(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_io.delivery.web.ANSWER_WITHIN_S", 0.2)

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n\r\n")
                while True:
                    connection.sendall(b" ")
                    time.sleep(0.05)

        threading.Thread(target=trickle, daemon=True).start()
        answer = send_by_web(result, WebDestination(f"http://127.0.0.1:{listening.getsockname()[1]}"))
    assert (answer.said, "its answer takes over" in answer.reason) == (Said.UNNAMED, True)
