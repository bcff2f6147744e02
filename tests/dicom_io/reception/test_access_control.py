"""Addresses of peers as ``peers:`` names them, whatever the socket is that they came through."""

import pytest

from dicom_io.reception.acceptor import address_of

GIVEN = {
    "10.1.2.3": "10.1.2.3",
    "::ffff:10.1.2.3": "10.1.2.3",
    "::ffff:0:10.1.2.3": "::ffff:0:a01:203",
    "::1": "::1",
    "fe80::1%eth0": "fe80::1%eth0",
}


@pytest.mark.parametrize("given", GIVEN)
def test_an_ipv4_address_is_one_however_it_comes(given: str) -> None:
    assert address_of(given) == GIVEN[given]
