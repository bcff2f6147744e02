"""The share of one address in a server's connections."""

from runtime.address_share import AddressShare


def test_address_beyond_its_share_ends_its_own_oldest() -> None:
    share: AddressShare[int] = AddressShare(10, 2)
    assert [share.enter("a", number) for number in (1, 2, 3, 4)] == [None, None, 1, 2]
    assert share.enter("b", 5) is None
    share.leave(3)
    assert share.enter("a", 6) is None


def test_full_server_ends_the_oldest_of_the_address_that_has_most() -> None:
    share: AddressShare[int] = AddressShare(4, 3)
    for number, address in enumerate("abaa"):
        assert share.enter(address, number) is None
    assert share.enter("c", 4) == 0
    assert share.enter("c", 5) == 2


def test_connection_that_waits_for_an_answer_stays_and_the_newcomer_goes() -> None:
    share: AddressShare[int] = AddressShare(10, 2, lambda connection: connection != 1)
    assert [share.enter("a", number) for number in (1, 2, 3)] == [None, None, 2]
    busy: AddressShare[int] = AddressShare(10, 2, lambda connection: False)
    assert [busy.enter("a", number) for number in (1, 2, 3)] == [None, None, 3]
    busy.leave(1)
    assert busy.enter("a", 4) is None
