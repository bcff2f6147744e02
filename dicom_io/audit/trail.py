"""The audit trail in DICOM's own form: it records who transferred which patient's images, and where.

It is the one stream that carries patient IDs, as PS3.15 requires; it goes to a protected file or an audit repository.

References
----------
PS3.15 A.5.1 (message schema), A.5.3.1 (Application Activity), A.5.3.3 (Begin Transferring DICOM Instances), A.5.3.6
(DICOM Instances Accessed), A.5.3.7 (DICOM Instances Transferred), A.5.3.8 (DICOM Study Deleted), A.5.3.11 (Security
Alert); RFC 3881.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from core.event_log import EventLog
from dicom_io.audit.sinks import AuditSink

DCM = "DCM"
SUCCESS, SERIOUS_FAILURE = "0", "8"

MAX_COMMENT = 1024
"""Characters that are kept of a peer's words; an Error Comment has 64."""

_log = EventLog()
_XML_TEXT = {code: "?" for code in range(32) if code not in (9, 10, 13)} | {0xFFFE: "?", 0xFFFF: "?"}


@dataclass(frozen=True)
class Party:
    """One end of a transfer.

    Attributes
    ----------
    name
        AE title, or address of a web server.
    address
        Host name or IP address; empty where it is not known.
    """

    name: str
    address: str = ""


@dataclass(frozen=True)
class Transfer:
    """Instances of one study.

    Attributes
    ----------
    study_uid, patient_id, patient_name
        Study and patient, as the images state them.
    instances
        Number of instances by SOP Class UID.
    """

    study_uid: str
    patient_id: str = ""
    patient_name: str = ""
    instances: Mapping[str, int] = field(default_factory=dict)


class AuditTrail:
    """The audit messages of a node; without a sink, nothing is written.

    Parameters
    ----------
    sinks
        Destinations of every message.
    node
        AE title of the node, its audit source.
    """

    def __init__(self, sinks: Sequence[AuditSink], node: str) -> None:
        self._sinks = sinks
        self.node = node

    @property
    def is_on(self) -> bool:
        """Tell whether there is a sink to write to."""
        return bool(self._sinks)

    def application(self, what: Literal["start", "stop"]) -> None:
        """Record that the node started or stopped (PS3.15 A.5.3.1)."""
        event = ("110120", "Application Start") if what == "start" else ("110121", "Application Stop")
        message = self._message(("110100", "Application Activity"), "E", event=event)
        self._participant(message, Party(self.node), requestor=False, role=("110150", "Application"))
        self._write(message)

    def begins(self, source: Party, destination: Party, transfer: Transfer) -> None:
        """Record that this node is about to send instances (PS3.15 A.5.3.3)."""
        self._transfer(("110102", "Begin Transferring DICOM Instances"), "E", source, destination, transfer, True)

    def transferred(
        self, source: Party, destination: Party, transfer: Transfer, *, complete: bool = True, comment: str = ""
    ) -> None:
        """Record that a transfer to this node or from it has ended (PS3.15 A.5.3.7).

        Parameters
        ----------
        comment
            The peer's own words about it, which may name a patient.
        """
        event = ("110104", "DICOM Instances Transferred")
        self._transfer(event, "C", source, destination, transfer, complete, comment)

    def handled(self, user: str, action: Literal["R", "U", "D"], transfer: Transfer) -> None:
        """Record that a person viewed a study on the node (R), had it processed again (U), or deleted it (D)."""
        event = ("110105", "DICOM Study Deleted") if action == "D" else ("110103", "DICOM Instances Accessed")
        message = self._message(event, action)
        self._participant(message, Party(user), requestor=True)
        self._participant(message, Party(self.node), requestor=False, role=("110150", "Application"))
        self._objects(message, transfer)
        self._write(message)

    def alert(self, peer: Party, description: str) -> None:
        """Record that a peer was refused (PS3.15 A.5.3.11).

        Parameters
        ----------
        peer
            The peer, as far as it identified itself.
        description
            The reason, in this program's own words.
        """
        event = ("110126", "Node Authentication")
        message = self._message(("110113", "Security Alert"), "E", event=event, outcome=SERIOUS_FAILURE)
        SubElement(message[0], "EventOutcomeDescription").text = _text(description)
        self._participant(message, Party(self.node), requestor=False)
        self._participant(message, peer, requestor=True)
        self._write(message)

    def _transfer(
        self,
        event: tuple[str, str],
        action: str,
        source: Party,
        destination: Party,
        transfer: Transfer,
        good: bool,
        comment: str = "",
    ) -> None:
        message = self._message(event, action, outcome=SUCCESS if good else SERIOUS_FAILURE)
        if comment:
            SubElement(message[0], "EventOutcomeDescription").text = _text(comment[:MAX_COMMENT])
        self._participant(message, source, requestor=True, role=("110153", "Source Role ID"))
        self._participant(message, destination, requestor=False, role=("110152", "Destination Role ID"))
        self._objects(message, transfer)
        self._write(message)

    @staticmethod
    def _objects(message: Element, transfer: Transfer) -> None:
        study = _object(message, transfer.study_uid, ("110180", DCM, "Study Instance UID"), "2", "3", "study")
        description = SubElement(study, "ParticipantObjectDescription")
        for uid, count in sorted(transfer.instances.items()):
            SubElement(description, "SOPClass", UID=uid, NumberOfInstances=str(count))
        _object(message, transfer.patient_id, ("2", "RFC-3881", "Patient Number"), "1", "1", transfer.patient_name)

    def _message(
        self, identity: tuple[str, str], action: str, *, event: tuple[str, str] | None = None, outcome: str = SUCCESS
    ) -> Element:
        message = Element("AuditMessage")
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        head = SubElement(
            message, "EventIdentification", EventActionCode=action, EventDateTime=stamp, EventOutcomeIndicator=outcome
        )
        _code(head, "EventID", (identity[0], DCM, identity[1]))
        if event is not None:
            _code(head, "EventTypeCode", (event[0], DCM, event[1]))
        return message

    @staticmethod
    def _participant(message: Element, party: Party, *, requestor: bool, role: tuple[str, str] | None = None) -> None:
        attributes = {"UserID": _text(party.name), "UserIsRequestor": "true" if requestor else "false"}
        if party.address:
            kind = "2" if party.address.replace(".", "").isdigit() or ":" in party.address else "1"
            attributes |= {"NetworkAccessPointID": _text(party.address), "NetworkAccessPointTypeCode": kind}
        element = SubElement(message, "ActiveParticipant", attributes)
        if role is not None:
            _code(element, "RoleIDCode", (role[0], DCM, role[1]))

    def _write(self, message: Element) -> None:
        if not self._sinks:
            return
        # The source stands behind the participants and before the objects.
        place = max(number for number, part in enumerate(message) if part.tag == "ActiveParticipant") + 1
        source = Element("AuditSourceIdentification", AuditSourceID=_text(self.node))
        SubElement(source, "AuditSourceTypeCode", {"csd-code": "4"})
        message.insert(place, source)
        line = tostring(message, encoding="utf-8").replace(b"\r", b" ").replace(b"\n", b" ")
        for sink in self._sinks:
            try:
                sink.write(line)
            except OSError as error:
                _log.error("audit_not_written", problem=error.strerror or type(error).__name__)


def _code(parent: Element, tag: str, code: tuple[str, str, str]) -> None:
    SubElement(parent, tag, {"csd-code": code[0], "codeSystemName": code[1], "originalText": code[2]})


def _object(message: Element, uid: str, code: tuple[str, str, str], kind: str, role: str, name: str) -> Element:
    element = SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_text(uid),
        ParticipantObjectTypeCode=kind,
        ParticipantObjectTypeCodeRole=role,
    )
    _code(element, "ParticipantObjectIDTypeCode", code)
    SubElement(element, "ParticipantObjectName").text = _text(name)
    return element


def _text(text: str) -> str:
    # XML 1.0 has no way to write these, and a peer can send them in an AE title.
    return text.translate(_XML_TEXT).encode("utf-8", "replace").decode("utf-8")
