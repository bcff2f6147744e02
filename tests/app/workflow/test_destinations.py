"""One node, several kinds of destinations, one of them dead: the others get their results all the same."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.support.certificates import make_authority, make_certificate
from tests.support.node_process import NodeProcess, free_port, wait_until, write_study
from tests.support.peers import StorageServer, store
from tests.support.web_server import WebServer


def test_a_dead_destination_delays_no_other(
    peer: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openssl, keys = peer("openssl"), tmp_path / "keys"
    authority = make_authority(openssl, keys)
    own, theirs = (make_certificate(openssl, keys, name, authority) for name in ("node", "pacs"))
    tls = ("+tls", str(theirs.key), str(theirs.certificate), "+cf", str(authority.certificate), "-rc")
    pacs = StorageServer(peer("storescp"), tmp_path / "pacs", options=tls).start()
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS"), "down": (free_port(), "DOWN")})
    settings = yaml.safe_load(node.config.read_text())
    files = {"ca": str(authority.certificate), "certificate": str(own.certificate), "key": str(own.key)}
    settings["destinations"]["pacs"]["tls"] = files
    settings["destinations"]["down"]["retry"] = {
        "first_seconds": 0.5,
        "longest_seconds": 0.5,
        "give_up_after_hours": 1e-9,
    }
    study = generate_uid()
    with WebServer() as web:
        settings["destinations"]["web"] = {"kind": "dicomweb", "url": web.url, "token_env": "SEGNODE_TEST_TOKEN"}
        settings["routes"][0]["destinations"] = ["pacs", "down", "web"]
        node.config.write_text(yaml.safe_dump(settings))
        monkeypatch.setenv("SEGNODE_TEST_TOKEN", "made-up")
        node.start()
        try:
            assert store(peer("storescu"), node.port, "SEGNODE", write_study(tmp_path / "study", study)) == 0
            wait_until(pacs.received)
            wait_until(lambda: web.requests)
            end = node.wait_for_end(study)
        finally:
            node.stop()
            pacs.stop()
    (received,) = [dcmread(path) for path in pacs.received()]
    ((_, headers, body),) = web.requests
    assert headers["Authorization"] == "Bearer made-up"
    assert str(received.SOPInstanceUID).encode() in body
    # The patience with the dead one is over at once, by its own setting.
    assert (end["state"], end["reason"]["message"]) == ("failed", "Not delivered to down.")
    assert "made-up" not in node.log.read_text()
