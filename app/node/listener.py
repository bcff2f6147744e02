"""The listener's process: ``python -m app.node.listener node.yaml``; imports nothing of the networks."""

import ssl
import sys
from pathlib import Path

from app.node.spool_access import prepared_spool
from app.settings.node import NodeSettings, load_settings
from app.settings.reception import TlsListening
from core.errors import ConfigInvalid
from core.event_log import EventLog
from dicom_io.audit.trail import AuditTrail
from dicom_io.reception.access_control import AccessControl
from dicom_io.reception.listener import ACCEPTING, Listener
from dicom_io.reception.observer import ReceptionRecord
from dicom_io.reception.presentation_contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES, Accepted
from dicom_io.spool.counters import COUNTERS, Counters
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.retention import delete_delivered
from dicom_io.spool.spool import Spool
from dicom_io.tls import ServerTls, server_context
from runtime.child import ParentLink, run_child, watch_threads
from runtime.logs import configure_logging

RETENTION_EVERY_S = 600.0
"""Age counts days; each time every study is looked at, in a process that has to receive."""

_log = EventLog()


def listen(settings: NodeSettings) -> None:
    """Receive until the node asks to stop.

    Raises
    ------
    ConfigInvalid
        If the address cannot be listened on, or the spool not be written.
    RetryLater
        If the spool's disk is full or fails.
    """
    link = ParentLink()
    configure_logging("listener", settings.logs)
    reception = settings.reception
    spool = prepared_spool(settings.spool)
    arrival = Ingest(spool, rerun_repeated=reception.on_repeat == "rerun", kept_free=reception.kept_free)
    listener = make_listener(settings, arrival)
    try:
        listener.start(settings.host, settings.port, shares_port=settings.reception.processes > 1)
    except OSError as error:
        raise ConfigInvalid(f"host {settings.host} port {settings.port}: {error.strerror}; choose another") from error
    link.say_ready()
    if (days := reception.keep_delivered_days) is not None:
        _delete_until_stopped(link, spool, days, settings.audit_trail())
    link.wait_for_stop()
    listener.stop()


def _delete_until_stopped(link: ParentLink, spool: Spool, days: float, trail: AuditTrail) -> None:
    while True:
        try:
            delete_delivered(spool, days * 86400.0, trail=trail)
        except OSError as error:
            _log.warning("studies_not_deleted", reason=error.strerror)
        if link.wait_for_stop(RETENTION_EVERY_S):
            return


def make_listener(settings: NodeSettings, arrival: Ingest) -> Listener:
    """Build a listener as ``node.yaml`` describes it.

    Raises
    ------
    ConfigInvalid
        If a file of ``tls`` cannot be used.
    """
    reception = settings.reception
    return Listener(
        arrival,
        settings.ae_title,
        AccessControl.of(settings.called_aes, settings.allowed_peers),
        limits=settings.limits.share(reception.processes),
        contexts=Accepted(
            reception.uids(reception.sop_classes, STORAGE_CLASSES),
            reception.uids(reception.transfer_syntaxes, TRANSFER_SYNTAXES),
        ),
        tls=_tls(settings.tls),
        observer=ReceptionRecord(Counters(settings.spool / COUNTERS, "listener"), settings.audit_trail()),
    )


def _tls(files: TlsListening | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    try:
        return server_context(ServerTls(files.certificate, files.key, files.ca, files.minimum))
    except OSError as error:
        raise ConfigInvalid(f"tls: {error.strerror or error}; give PEM files, the key without pass phrase") from error


def main() -> None:
    """Entry of the process."""
    configure_logging("listener")
    watch_threads(lambda thread: thread is not None and thread.name == ACCEPTING)
    run_child(lambda: listen(load_settings(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
