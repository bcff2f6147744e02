"""PDUs and files encoded by hand equal those that pydicom and pynetdicom write."""

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless
from pynetdicom.dimse_messages import C_STORE_RQ as C_STORE_RQ_MESSAGE
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import create_file_meta, encode_file_meta

from dicom_io.images.headers.part10 import file_head
from dicom_io.implementation import sign
from dicom_io.reception.dimse import C_STORE_RQ, Command, decode_command, encode_response
from dicom_io.reception.pdu_stream import BreachError


@pytest.mark.parametrize("instance", ["1.2.3", "1.2.34", "1" * 30 + ".2" * 17])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless])
def test_file_head(instance: str, syntax: str) -> None:
    meta = create_file_meta(sop_class_uid=CTImageStorage, sop_instance_uid=instance, transfer_syntax=syntax)
    sign(meta)
    head = file_head(CTImageStorage, instance, syntax)
    assert head == bytes(128) + b"DICM" + encode_file_meta(meta)
    assert dcmread(BytesIO(head)).file_meta == meta


@pytest.mark.parametrize("instance", ["1.2.3", "1.2.34"])
@pytest.mark.parametrize("status", [0x0000, 0xA700])
def test_store_response(instance: str, status: int) -> None:
    response = C_STORE()
    response.MessageIDBeingRespondedTo = 513
    response.AffectedSOPClassUID, response.AffectedSOPInstanceUID = CTImageStorage, instance
    response.Status = status
    message = C_STORE_RSP()
    message.primitive_to_message(response)
    (data,) = message.encode_msg(1, 16384)
    ((_, value),) = data.presentation_data_value_list
    assert value == b"\x03" + encode_response(Command(C_STORE_RQ, 513, True, CTImageStorage, instance), status)


def test_an_invalid_uid_is_not_sent_back() -> None:
    assert len(encode_response(Command(C_STORE_RQ, 513, True, "x" * 60_000, "../" * 20_000), 0xC000)) < 100


def test_commands_are_decoded_as_pynetdicom_encodes_them() -> None:
    request = C_STORE()
    request.MessageID, request.Priority = 513, 0
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CTImageStorage, "1.2.3"
    request.DataSet = BytesIO(b"data")
    message = C_STORE_RQ_MESSAGE()
    message.primitive_to_message(request)
    ((_, value),) = next(iter(message.encode_msg(1, 16384))).presentation_data_value_list
    assert decode_command(value[1:]) == Command(C_STORE_RQ, 513, True, CTImageStorage, "1.2.3")


@pytest.mark.parametrize("encoded", [b"", b"\0" * 7, b"\0" * 8, b"\0\0\0\1\xff\0\0\0", b"\x08\0\0\1\0\0\0\0"])
def test_a_malformed_command_is_a_breach(encoded: bytes) -> None:
    with pytest.raises(BreachError):
        decode_command(encoded)
