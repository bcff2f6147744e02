"""From a destination of ``node.yaml`` to the sender that reaches it."""

from collections.abc import Callable
from pathlib import Path

from pydicom import dcmread

from app.settings.destination import ClientTls, DicomDestination, WebDestination
from dicom_io.delivery import echo_scu, find_scu, qido, store_scu, stow, web
from dicom_io.delivery.answer import Answer, Held
from dicom_io.tls import TlsFiles


def send_file(
    path: Path, settings: DicomDestination | WebDestination, calling_ae: str, may_go_on: Callable[[], bool]
) -> Answer:
    """Send one object, as long as this process may.

    Raises
    ------
    RetryLater
        If another try may succeed.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    if isinstance(settings, WebDestination):
        return stow.send_by_web(path, web_server(settings), may_go_on)
    return store_scu.send_object(path, storage_scp(settings), calling_ae, may_go_on)


def ask_whether_held(path: Path, settings: DicomDestination | WebDestination, calling_ae: str) -> Held:
    """Ask a destination whether it has an object: by QIDO-RS, or by C-FIND.

    Raises
    ------
    RetryLater
        If it may answer another time.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    tags = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
    header = dcmread(path, specific_tags=list(tags), stop_before_pixels=True)
    study, series, instance = (str(header[tag].value) for tag in tags)
    if isinstance(settings, WebDestination):
        return qido.has_instance(web_server(settings), study, instance)
    return find_scu.has_instance(storage_scp(settings), calling_ae, study, series, instance)


def check_that_it_answers(settings: DicomDestination | WebDestination, calling_ae: str) -> None:
    """Return if a destination answers a request that costs it nothing.

    Raises
    ------
    RetryLater, ConfigInvalid
        With the reason why it does not.
    """
    if isinstance(settings, WebDestination):
        qido.check_that_it_answers(web_server(settings))
    else:
        echo_scu.check_that_it_answers(storage_scp(settings), calling_ae)


def web_server(settings: WebDestination) -> web.WebDestination:
    """Return the address, token and TLS files of a DICOMweb server."""
    return web.WebDestination(settings.url, _files(settings.tls), settings.token_file, settings.token_env)


def storage_scp(settings: DicomDestination) -> store_scu.Destination:
    """Return the address, AE title and TLS files of a destination's storage SCP."""
    tls = _files(settings.tls) if settings.tls is not None else None
    return store_scu.Destination(settings.host, settings.port, settings.ae_title, tls)


def _files(tls: ClientTls) -> TlsFiles:
    return TlsFiles(tls.ca, tls.certificate, tls.key, tls.verify_host)
