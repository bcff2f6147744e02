"""The peers that may open an association: calling AE title, address and certificate must match together."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicom_io.commitment.request import PUSH_MODEL
from dicom_io.reception.presentation_contexts import VERIFICATION
from dicom_io.reception.server import Rejection
from dicom_io.tls import PeerCertificate

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_REPORTING = frozenset({str(PUSH_MODEL), str(VERIFICATION)})
"""SOP classes of a peer that only reports: storage commitment, and verification."""


@dataclass(frozen=True)
class AllowedPeer:
    """A peer that may send.

    Attributes
    ----------
    ae_title
        Its calling AE title; any if None.
    networks
        Networks of its address; any if empty.
    certificate
        A name of its certificate, or the fingerprint; any trusted certificate if None.
    reports_only
        Whether it may only report on storage commitment that was requested of it.
    """

    ae_title: str | None
    networks: tuple[Network, ...] = ()
    certificate: str | None = None
    reports_only: bool = False

    def fits(self, calling_ae: str, address: str, certificate: PeerCertificate | None) -> bool:
        """Tell whether a caller is this peer."""
        if self.ae_title is not None and calling_ae != self.ae_title:
            return False
        if self.networks and not any(ipaddress.ip_address(address) in network for network in self.networks):
            return False
        # Without TLS there is nothing that a name could be compared with, and settings ask for TLS with it.
        return self.certificate is None or (certificate is not None and certificate.is_called(self.certificate))


@dataclass(frozen=True)
class AccessControl:
    """Rules for association requests.

    Attributes
    ----------
    called_aes
        Called AE titles that are accepted.
    peers
        Peers that may call; any if None.
    """

    called_aes: frozenset[str]
    peers: tuple[AllowedPeer, ...] | None

    @classmethod
    def of(cls, called_aes: Iterable[str], peers: Iterable[AllowedPeer] | None) -> "AccessControl":
        """Make rules from any collections."""
        return cls(frozenset(called_aes), None if peers is None else tuple(peers))

    def rejection(self, request: A_ASSOCIATE, address: str, certificate: PeerCertificate | None) -> Rejection | None:
        """Return the rejection of a request, or None; it hides which of title, address and certificate failed."""
        if request.called_ae_title not in self.called_aes:
            return Rejection.CALLED_AE
        if self.peers is None:
            return None
        calling = request.calling_ae_title
        asked = {str(context.abstract_syntax) for context in request.presentation_context_definition_list}
        for peer in self.peers:
            if peer.fits(calling, address, certificate) and (not peer.reports_only or asked <= _REPORTING):
                return None
        return Rejection.CALLING_AE
