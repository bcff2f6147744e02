"""The storage SCP for PACS and modalities; it answers "success" only when an object is safe on disk.

It runs in a process of its own, without the libraries of the networks. Images of the kinds that models read start work;
every other object is kept beside the study and starts nothing. So nothing that this node makes (SEG, SR)
can ever become its own input, whichever peer sends it back.
"""

import ssl
import sys
import threading

import pynetdicom
from pynetdicom import AE
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicom_io.commitment.request import PUSH_MODEL, REPORT_SYNTAXES
from dicom_io.commitment.transactions import Transactions
from dicom_io.reception.access_control import AccessControl
from dicom_io.reception.association import Answered, Caller, Context, Request
from dicom_io.reception.commitment_scp import CommitmentScp
from dicom_io.reception.dimse import C_ECHO_RQ, C_STORE_RQ, N_EVENT_REPORT_RQ, Command
from dicom_io.reception.limits import Limits
from dicom_io.reception.observer import Observer
from dicom_io.reception.presentation_contexts import VERIFICATION, Accepted
from dicom_io.reception.server import NodeServer, Rejection
from dicom_io.reception.storage_scp import NO_SUCH_CLASS, SUCCESS, StorageScp
from dicom_io.spool.ingest import Ingest
from dicom_io.tls import peer_certificate

GRACE_S = 5.0
"""Time for which associations may go on after the node was told to stop."""

SWITCH_S = 0.0005
"""Time for which a thread keeps the interpreter while others wait: a tenth of the default, since each peer can keep the
thread of its association as busy as it likes."""

ACCEPTING = "accept"
"""The thread that accepts connections."""


class Listener:
    """A storage SCP in front of a spool.

    Parameters
    ----------
    arrival
        Puts objects into the spool.
    ae_title
        The node's own AE title.
    access
        Peers that may open an association, and the called AE titles.
    limits
        Limits for every peer.
    contexts
        SOP classes that are accepted, each with its transfer syntaxes.
    tls
        TLS context, if every connection must be encrypted and show a certificate.
    observer
        Records received objects and rejected peers.
    """

    def __init__(
        self,
        arrival: Ingest,
        ae_title: str,
        access: AccessControl,
        *,
        limits: Limits | None = None,
        contexts: Accepted | None = None,
        tls: ssl.SSLContext | None = None,
        observer: Observer | None = None,
    ) -> None:
        # It writes what the peer sent into the log.
        pynetdicom._config.LOG_HANDLER_LEVEL = "none"
        sys.setswitchinterval(SWITCH_S)
        self._arrival = arrival
        self._observer = observer or Observer()
        self._access = access
        self._limits = limits or Limits()
        self._tls = tls
        self._ae = AE(ae_title=ae_title)
        self._ae.add_supported_context(VERIFICATION)
        self._accepted = contexts or Accepted()
        for sop_class, syntaxes in self._accepted.contexts():
            self._ae.add_supported_context(sop_class, syntaxes)
        # A peer that reports on storage commitment is the SCP of an association that it opens itself.
        self._ae.add_supported_context(PUSH_MODEL, list(REPORT_SYNTAXES), scu_role=False, scp_role=True)
        self._server: NodeServer | None = None

    def start(self, host: str, port: int, *, shares_port: bool = False) -> int:
        """Listen, in threads of its own.

        Parameters
        ----------
        host, port
            Address to listen on.
        shares_port
            Whether other processes may listen on it too.

        Returns
        -------
        int
            The port, which the system chooses where 0 is given.

        Raises
        ------
        OSError
            If the address cannot be listened on.
        """
        services = {
            C_ECHO_RQ: _echo,
            C_STORE_RQ: StorageScp(self._arrival, self._observer, self._accepted.sop_classes).begin,
            N_EVENT_REPORT_RQ: CommitmentScp(Transactions(self._arrival.spool.root)).begin,
        }
        self._server = NodeServer(
            self._ae,
            (host, port),
            services,
            limits=self._limits,
            admit=self._admit,
            on_end=self._observer.ended,
            on_tls_failed=self._observer.tls_failed,
            tls=self._tls,
            shares_port=shares_port,
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name=ACCEPTING, daemon=True)
        self._thread.start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening, and let open associations go on for at most `GRACE_S`."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.end_associations(GRACE_S)

    def _admit(self, request: A_ASSOCIATE, address: str, connection: ssl.SSLSocket | None) -> Rejection | None:
        certificate = peer_certificate(connection) if connection is not None else None
        rejection = self._access.rejection(request, address, certificate)
        if rejection is not None:
            self._observer.rejected(request.calling_ae_title, address)
        return rejection


def _echo(caller: Caller, context: Context, command: Command) -> Request:
    return Answered(SUCCESS if context.abstract_syntax == VERIFICATION else NO_SUCH_CLASS)
