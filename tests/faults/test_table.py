"""The fault table of reception: each row does something wrong, and an honest peer is served right after it."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

from dicom_io.tls import TlsFiles, client_context
from tests.faults.network import NETWORK
from tests.faults.objects import OBJECTS, image_bytes, store_command
from tests.faults.table import FAULT, Fault
from tests.support.certificates import make_authority, make_certificate
from tests.support.listener_process import ListenerProcess
from tests.support.node_process import wait_until
from tests.support.upper_layer import Connection, associate_rq, p_data, pdv

LIMITS = {"first_pdu_seconds": 1.0, "pdu_seconds": 1.0, "object_bytes": 4 << 20}
MAX_GROWTH_KIB = 64 * 1024
ROWS = NETWORK + OBJECTS


@pytest.fixture(scope="module")
def listeners(
    peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], tuple[ListenerProcess, Any]]]:
    folder = tmp_path_factory.mktemp("faults")
    started: dict[str, tuple[ListenerProcess, Any]] = {}

    def find(name: str) -> tuple[ListenerProcess, Any]:
        if name not in started:
            settings: dict[str, Any] = {"limits": LIMITS}
            context = None
            if name == "deflated":
                syntaxes = [str(DeflatedExplicitVRLittleEndian), str(ExplicitVRLittleEndian)]
                settings["reception"] = {"transfer_syntaxes": syntaxes}
                settings["audit_file"] = str(folder / "audit.xml")
            if name == "tls":
                authority = make_authority(peer("openssl"), folder)
                own = make_certificate(peer("openssl"), folder, "node", authority)
                settings["tls"] = {
                    "certificate": str(own.certificate),
                    "key": str(own.key),
                    "ca": str(authority.certificate),
                }
                context = client_context(TlsFiles(authority.certificate, own.certificate, own.key, verify_host=False))
            started[name] = ListenerProcess(folder / name, **settings), context
        return started[name]

    yield find
    for process, _ in started.values():
        process.stop()


# The test's own reader warns of what it was made to read.
@pytest.mark.filterwarnings("ignore:Unknown encoding:UserWarning")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"\W+", "-", row.name))
def test_fault(
    row: Fault, listeners: Callable[[str], tuple[ListenerProcess, Any]], record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, row.name)
    listener, tls = listeners(row.listener)
    before, pid = listener.resident_kib(), listener.process.pid
    assert row.inject(listener) == row.expected
    study = generate_uid()
    with Connection(listener.port, "127.0.0.2", tls=tls) as honest:
        honest.associate(associate_rq())
        honest.send(p_data(pdv(3, 3, store_command(study))) + p_data(pdv(3, 2, image_bytes(study))))
        assert honest.status() == 0
    assert len(listener.images(study)) == 1
    wait_until(lambda: not any((listener.spool.root / "incoming").iterdir()))  # what was cut off is removed soon
    assert listener.process.poll() is None
    assert listener.process.pid == pid
    assert listener.resident_kib() - before < MAX_GROWTH_KIB
    log = listener.log.read_text()
    assert "CANARY" not in log
    assert "Traceback" not in log
    assert "thread_died" not in log
    assert "association_failed" not in log


def test_no_two_rows_have_one_name() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
