"""What is written out by hand is what pydicom and pynetdicom write."""

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import create_file_meta, encode_file_meta

from dicom_io.reception.encoding import file_head, store_response


@pytest.mark.parametrize("instance", ["1.2.3", "1.2.34", "1" * 30 + ".2" * 17])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless])
def test_file_head(instance: str, syntax: str) -> None:
    meta = create_file_meta(sop_class_uid=CTImageStorage, sop_instance_uid=instance, transfer_syntax=syntax)
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
    assert value == b"\x03" + store_response(513, CTImageStorage, instance, status)
