"""A-ASSOCIATE-AC (PS3.8 section 9.3.3): the contexts accepted of a request, by pynetdicom's rules of negotiation."""

from collections.abc import Sequence

from pynetdicom._globals import APPLICATION_CONTEXT_NAME
from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

from dicom_io.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_io.reception.association import Context

MAX_PDU_SIZE = 131072
"""Longest PDU that is offered to receive, the longest that DCMTK sends; longer ones are read all the same."""


def negotiate(request: A_ASSOCIATE, supported: Sequence[PresentationContext]) -> tuple[bytes, dict[int, Context]]:
    """Accept an association request.

    Parameters
    ----------
    request
        The request.
    supported
        Presentation contexts that this node supports.

    Returns
    -------
    tuple
        The PDU, and the accepted presentation contexts by their IDs.
    """
    roles = {
        item.sop_class_uid: (item.scu_role, item.scp_role)
        for item in request.user_information
        if isinstance(item, SCP_SCU_RoleSelectionNegotiation) and item.sop_class_uid is not None
    }
    contexts, answered_roles = negotiate_as_acceptor(
        request.presentation_context_definition_list, list(supported), roles
    )
    answer = A_ASSOCIATE()
    answer.application_context_name = APPLICATION_CONTEXT_NAME
    answer.calling_ae_title, answer.called_ae_title = request.calling_ae_title, request.called_ae_title
    answer.result, answer.result_source = 0x00, 0x01
    answer.presentation_context_definition_results_list = contexts
    answer.user_information = [*_who_answers(), *answered_roles]
    encoded = A_ASSOCIATE_AC()
    encoded.from_primitive(answer)
    accepted = {
        int(context.context_id): Context(str(context.abstract_syntax), str(context.transfer_syntax[0]))
        for context in contexts
        if context.result == 0x00 and context.context_id is not None
    }
    return encoded.encode(), accepted


def _who_answers() -> list[
    MaximumLengthNotification | ImplementationClassUIDNotification | ImplementationVersionNameNotification
]:
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    version = ImplementationVersionNameNotification()
    length.maximum_length_received = MAX_PDU_SIZE
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return [length, implementation, version]
