"""Peers that may open an association, by the peers and destinations of ``node.yaml``."""

from pathlib import Path

import pytest

from app.settings.node import load_settings
from core.errors import ConfigInvalid
from dicom_io.commitment.request import PUSH_MODEL
from dicom_io.reception.access_control import AccessControl
from dicom_io.reception.association_request import decode_request
from dicom_io.reception.limits import Limits
from tests.support.upper_layer import CONTEXTS, IMPLICIT_LITTLE, VERIFICATION, associate_rq

EXAMPLE = (Path(__file__).parents[3] / "manifests" / "node.example.yaml").read_text()
REPORT = ((1, str(PUSH_MODEL), (IMPLICIT_LITTLE,)), (3, VERIFICATION, (IMPLICIT_LITTLE,)))
COMMITTING = EXAMPLE.replace("port: 4242", "port: 4242\n    commitment: {deadline_seconds: 60}")


def access(folder: Path, text: str) -> AccessControl:
    path = folder / "node.yaml"
    path.write_text(text)
    settings = load_settings(path)
    return AccessControl.of(settings.called_aes, settings.allowed_peers)


def lets_in(
    access: AccessControl, calling: str, address: str, contexts: object = CONTEXTS, called: str = "SEGNODE"
) -> bool:
    request = decode_request(associate_rq(called, calling, contexts))  # type: ignore[arg-type]
    return access.rejection(request, address, None) is None


def without_peers(text: str) -> str:
    start, end = text.index("\npeers:\n"), text.index("\n# tls:")
    return text[:start] + text[end:]


def test_by_default_it_is_who_gets_results_wherever_it_calls_from(tmp_path: Path) -> None:
    default = access(tmp_path, without_peers(EXAMPLE))
    assert lets_in(default, "ORTHANC", "10.1.2.3")
    for address in ("10.1.2.3", "127.0.0.1", "::1"):
        assert not lets_in(default, "STORESCU", address)
    assert not lets_in(default, "ORTHANC", "10.1.2.3", called="OTHER")


def test_the_example_lets_who_tries_it_out_in_by_a_line_of_its_own(tmp_path: Path) -> None:
    example = access(tmp_path, EXAMPLE)
    assert lets_in(example, "ORTHANC", "10.1.2.3")
    assert lets_in(example, "STORESCU", "127.0.0.1")
    assert lets_in(example, "STORESCU", "::1")
    assert not lets_in(example, "STORESCU", "10.1.2.3")


def test_any_must_be_written_and_an_empty_key_means_nobody(tmp_path: Path) -> None:
    assert lets_in(access(tmp_path, without_peers(EXAMPLE) + "\npeers: any\n"), "STORESCU", "10.1.2.3")
    assert not lets_in(access(tmp_path, without_peers(EXAMPLE) + "\npeers:\n"), "STORESCU", "10.1.2.3")


def test_a_peer_has_to_say_who_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="ae_title, addresses or a certificate"):
        access(tmp_path, without_peers(EXAMPLE) + "\npeers: [{}]\n")


def test_a_node_that_nobody_may_send_to_is_an_error(tmp_path: Path) -> None:
    dicom = EXAMPLE[EXAMPLE.index("    kind: dicom\n") : EXAMPLE.index("    # tls: {ca: ca.pem, certificate: node.pem")]
    text = EXAMPLE.replace(dicom, "    kind: dicomweb\n    url: https://pacs.example/dicom-web\n")
    assert not lets_in(access(tmp_path, text), "ORTHANC", "10.1.2.3", called="OTHER")
    with pytest.raises(ConfigInvalid, match="destinations: none has an AE title, so nobody may send"):
        access(tmp_path, without_peers(text))


def test_a_destination_that_is_asked_for_commitment_may_report_and_no_more(tmp_path: Path) -> None:
    ct1 = "\npeers: [{ae_title: CT1}]\n"
    asked = access(tmp_path, without_peers(COMMITTING) + ct1)
    assert lets_in(asked, "ORTHANC", "10.1.2.3", REPORT)
    assert not lets_in(asked, "ORTHANC", "10.1.2.3", CONTEXTS)
    assert not lets_in(asked, "OTHER", "10.1.2.3", REPORT)
    assert not lets_in(access(tmp_path, without_peers(EXAMPLE) + ct1), "ORTHANC", "10.1.2.3", REPORT)


@pytest.mark.parametrize(("processes", "share"), [(1, (50, 16)), (2, (25, 8)), (3, (17, 6)), (16, (4, 1))])
def test_processes_share_what_the_node_may_take(processes: int, share: tuple[int, int]) -> None:
    limits = Limits().share(processes)
    assert (limits.associations, limits.associations_per_address) == share
    assert limits.waiting == Limits().waiting
