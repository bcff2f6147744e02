"""Real archives, asked whether they have an object, and nginx in the place of an archive."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, generate_uid

from core.errors import RetryLater
from dicom_io.delivery import echo_scu, find_scu, qido
from dicom_io.delivery.answer import Answer, Held, Said
from dicom_io.delivery.store_scu import Destination, send_object
from dicom_io.delivery.stow import send_by_web
from dicom_io.delivery.web import WebDestination
from tests.conftest import missing
from tests.support.delivery_case import Case
from tests.support.node_process import free_port, make_image, wait_until
from tests.support.peers import ORTHANC_PLUGINS, Orthanc


@pytest.fixture
def result(tmp_path: Path) -> Path:
    path = tmp_path / "result.dcm"
    make_image(str(generate_uid()), sop_class=CTImageStorage).save_as(path, enforce_file_format=True)
    return path


def uids(path: Path) -> tuple[str, str, str]:
    header = dcmread(path, stop_before_pixels=True)
    return str(header.StudyInstanceUID), str(header.SeriesInstanceUID), str(header.SOPInstanceUID)


def test_orthanc_is_asked_by_c_find_and_qido(orthanc: Orthanc, result: Path) -> None:
    if not (ORTHANC_PLUGINS / "libOrthancDicomWeb.so").exists():
        missing("Orthanc's DICOMweb plugin is not installed")
    study, series, instance = uids(result)
    dimse = Destination("127.0.0.1", orthanc.dicom_port, orthanc.ae_title)
    web = WebDestination(f"http://127.0.0.1:{orthanc.http_port}/dicom-web")

    def held(instance: str) -> list[Held]:
        by_find = find_scu.has_instance(dimse, "SEGNODE", study, series, instance)
        return [by_find, qido.has_instance(web, study, instance)]

    assert held(instance) == [Held.NO, Held.NO]
    assert send_by_web(result, web) == Answer(Said.STORED)
    assert held(instance) == [Held.YES, Held.YES]
    assert held(f"{instance}.1") == [Held.NO, Held.NO]
    echo_scu.check_that_it_answers(dimse, "SEGNODE")
    qido.check_that_it_answers(web)


@contextmanager
def dcmqrscp(program: str, folder: Path) -> Iterator[Destination]:
    """DCMTK's image archive."""
    (folder / "store").mkdir(parents=True)
    port, config = free_port(), folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {folder / 'store'} RW (100, 1024mb) ANY\nAETable END\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)  # noqa: S603 - a peer found by name
    destination = Destination("127.0.0.1", port, "ARCHIVE")
    try:
        wait_until(lambda: answers(destination))
        yield destination
    finally:
        process.kill()
        process.wait()


def answers(destination: Destination) -> bool:
    try:
        echo_scu.check_that_it_answers(destination, "SEGNODE")
    except RetryLater:
        return False
    return True


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")
def test_dcmqrscp_is_asked_by_c_find(peer: Callable[[str], str], result: Path, tmp_path: Path) -> None:
    study, series, instance = uids(result)
    with dcmqrscp(peer("dcmqrscp"), tmp_path / "archive") as archive:
        assert find_scu.has_instance(archive, "SEGNODE", study, series, instance) is Held.NO
        assert send_object(result, archive, "SEGNODE") == Answer(Said.STORED)
        assert find_scu.has_instance(archive, "SEGNODE", study, series, instance) is Held.YES


LOGIN = """
location /dicom-web/ { return 302 /login; }
location /login { default_type text/html; return 200 "<html><body>Log in</body></html>"; }
location /paged/ { default_type text/html; return 200 "<html><body>Log in</body></html>"; }
location /silent/ { return 200; }
"""


@contextmanager
def nginx(program: str, folder: Path, locations: str) -> Iterator[str]:
    """Base address of an nginx with these locations."""
    folder.mkdir()
    port, config = free_port(), folder / "nginx.conf"
    temporary = " ".join(f"{name}_temp_path {folder / name};" for name in ("client_body", "proxy", "fastcgi"))
    temporary += " ".join(f"{name}_temp_path {folder / name};" for name in ("uwsgi", "scgi"))
    config.write_text(
        f"daemon off; pid {folder / 'nginx.pid'}; error_log {folder / 'error.log'}; events {{}}\n"
        f"http {{ access_log off; client_max_body_size 0; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port}; {locations} }} }}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-p", str(folder), "-c", str(config)], stdout=log, stderr=log)  # noqa: S603 - a peer found by name
    try:
        wait_until((folder / "nginx.pid").exists)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_nginx_that_asks_for_a_login_delivers_nothing(peer: Callable[[str], str], tmp_path: Path) -> None:
    with nginx(peer("nginx"), tmp_path / "nginx", LOGIN) as address:
        found = {}
        for path in ("dicom-web", "paged", "silent"):
            (folder := tmp_path / path).mkdir()
            case = Case(folder, {"kind": "dicomweb", "url": f"{address}/{path}"})
            for _ in range(3):
                if case.delivery.state == "waiting":
                    case.advance()
            found[path] = case.delivery
    states = {path: (one.state, one.sent) for path, one in found.items()}
    assert states == {"dicom-web": ("waiting", ()), "paged": ("waiting", ()), "silent": ("unconfirmed", ())}
    assert "redirects" in found["dicom-web"].reason
    assert "web page" in found["paged"].reason
