"""The settings of reception in ``node.yaml``: who may send, over what, and how much."""

import ipaddress
from collections.abc import Collection, Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydicom.uid import UID

from app.settings.destination import DicomDestination
from core.frozen import Frozen
from dicom_io.reception.access_control import AllowedPeer
from dicom_io.reception.presentation_contexts import known_uid
from dicom_io.spool.free_space import KeptFree
from runtime.setting_types import AETitle, LocalPath


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError("an IP address, or a network such as 10.1.0.0/16") from error
    return value


SopClass = Annotated[str, AfterValidator(lambda name: str(known_uid(name, "SOP Class")))]
TransferSyntax = Annotated[str, AfterValidator(lambda name: str(known_uid(name, "Transfer Syntax")))]


class Peer(Frozen):
    """Somebody who may send: AE title, addresses and certificate have to fit together."""

    ae_title: AETitle | None = Field(default=None, description="left out: any, where addresses or certificate say who")
    addresses: tuple[Annotated[str, AfterValidator(_network)], ...] = Field(
        default=(), description="addresses or networks it calls from; left out: any"
    )
    certificate: str | None = Field(
        default=None, min_length=1, description="a name in its certificate, or the SHA-256 fingerprint"
    )

    @model_validator(mode="after")
    def _says_who(self) -> "Peer":
        if self.ae_title is None and not self.addresses and self.certificate is None:
            raise ValueError("name an ae_title, addresses or a certificate; peers: any lets everybody in")
        return self

    @property
    def allowed(self) -> AllowedPeer:
        """The same, for the listener."""
        networks = tuple(ipaddress.ip_network(address) for address in self.addresses)
        return AllowedPeer(self.ae_title, networks, self.certificate)


def allowed_peers(peers: Iterable[Peer], destinations: Collection[DicomDestination]) -> tuple[AllowedPeer, ...]:
    """Return the named peers, or else the destinations; a destination that is asked for commitment may report, too."""
    named = tuple(peer.allowed for peer in peers)
    titles = sorted({destination.ae_title for destination in destinations})
    reporting = sorted({destination.ae_title for destination in destinations if destination.commitment is not None})
    return (
        *(named or (AllowedPeer(title) for title in titles)),
        *(AllowedPeer(title, reports_only=True) for title in reporting),
    )


class TlsListening(Frozen):
    """Files for encrypted reception: peers and node both show a certificate."""

    certificate: LocalPath
    key: LocalPath
    ca: LocalPath = Field(description="who may have signed the certificates of peers")
    minimum: Literal["1.2", "1.3"] = "1.2"


class KeepFree(Frozen):
    """Space that stays free on the spool's disk; objects beyond it are answered with 0xA700, and come again later."""

    gib: float = Field(default=2.0, ge=0)
    percent: float = Field(default=5.0, ge=0, lt=100)


class Reception(Frozen):
    """Lists of what is negotiated; left out: every storage class, and every lossless syntax but deflated."""

    sop_classes: tuple[SopClass, ...] | None = Field(default=None, min_length=1)
    transfer_syntaxes: tuple[TransferSyntax, ...] | None = Field(default=None, min_length=1)
    processes: int = Field(
        default=1, ge=1, le=16, description="receiving processes on the one port; each takes its share of limits"
    )
    on_repeat: Literal["ignore", "rerun"] = "ignore"
    keep_free: KeepFree = KeepFree()
    keep_delivered_days: float | None = Field(default=None, gt=0, description="left out: for ever")

    @property
    def kept_free(self) -> KeptFree:
        """Return what has to stay free on the spool's disk."""
        return KeptFree(int(self.keep_free.gib * 2**30), self.keep_free.percent)

    def uids(self, names: tuple[str, ...] | None, default: tuple[UID, ...]) -> tuple[UID, ...]:
        """Return the UIDs of a list, or the default where it was left out."""
        return default if names is None else tuple(UID(name) for name in names)
