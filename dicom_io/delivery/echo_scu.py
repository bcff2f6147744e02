"""Asks a storage SCP by C-ECHO whether it is there (PS3.4 annex A)."""

from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made by the module itself

from core.errors import RetryLater
from dicom_io.delivery.answer import Answer
from dicom_io.delivery.store_scu import UNCOMPRESSED, Destination, associate, requesting_ae

ANSWER_TIMEOUT_S = 30.0


def check_that_it_answers(destination: Destination, calling_ae: str) -> None:
    """Return if a storage SCP takes this node's association and answers; with which status does not matter.

    Raises
    ------
    RetryLater
        If there is no connection, association or answer.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    ae = requesting_ae(calling_ae)
    ae.network_timeout = ae.dimse_timeout = ANSWER_TIMEOUT_S
    ae.add_requested_context(Verification, list(UNCOMPRESSED))
    association = associate(ae, destination)
    if isinstance(association, Answer):
        return  # it has no such service, and said so
    try:
        status = association.send_c_echo()
    except (RuntimeError, ValueError) as error:
        raise RetryLater("the destination ended the association") from error
    finally:
        if association.is_established:
            association.release()
    if "Status" not in status:
        raise RetryLater("the destination did not answer the C-ECHO in time, or closed the connection")
