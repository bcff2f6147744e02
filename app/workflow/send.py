"""From a destination of ``node.yaml`` to the sender that reaches it."""

from collections.abc import Callable
from pathlib import Path

from app.settings.destination import ClientTls, DicomDestination, WebDestination
from dicom_io.delivery import store_scu, stow
from dicom_io.delivery.store_scu import Answer
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
        tls = _files(settings.tls)
        server = stow.WebDestination(settings.url, tls, settings.token_file, settings.token_env)
        return stow.send_by_web(path, server, may_go_on)
    return store_scu.send_object(path, storage_scp(settings), calling_ae, may_go_on)


def storage_scp(settings: DicomDestination) -> store_scu.Destination:
    """Return the address, AE title and TLS files of a destination's storage SCP."""
    tls = _files(settings.tls) if settings.tls is not None else None
    return store_scu.Destination(settings.host, settings.port, settings.ae_title, tls)


def _files(tls: ClientTls) -> TlsFiles:
    return TlsFiles(tls.ca, tls.certificate, tls.key, tls.verify_host)
