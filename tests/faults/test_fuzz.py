"""Damaged messages in great number, by seed: the listener lives, no thread of it dies, and honest peers are served."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from pydicom.uid import generate_uid

from tests.faults.objects import image_bytes, store_command
from tests.support.listener_process import ListenerProcess
from tests.support.upper_layer import ECHO, Connection, echo_from, p_data, pdu, pdv

FIRST_SEED = int(os.environ.get("SEGNODE_FUZZ_SEED", "0"))
TRIES = int(os.environ.get("SEGNODE_FUZZ_TRIES", "25"))
"""Other seeds and more tries: ``make test-long``."""

TIMEOUT_S = 30.0
"""Of the listener: who is served in less did not wait until it gave somebody up."""


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListenerProcess]:
    limits = {"pdu_seconds": TIMEOUT_S, "idle_seconds": TIMEOUT_S}
    process = ListenerProcess(tmp_path_factory.mktemp("fuzz"), limits=limits)
    yield process
    process.stop()


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, taken out or doubled."""
    changed = bytearray(content)
    for _ in range(chance.randrange(1, 5)):
        if not changed:
            break
        # What stands in front has the more meanings.
        at = min(chance.randrange(len(changed)), chance.randrange(len(changed)))
        kind = chance.randrange(4)
        if kind == 0:
            changed[at] = chance.randrange(256)
        elif kind == 1:
            del changed[at : at + chance.randrange(1, 9)]
        elif kind == 2:
            changed[at:at] = changed[at : at + chance.randrange(1, 9)]
        else:
            changed[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(changed)


def as_sent(study: str) -> list[bytes]:
    command, data = pdv(3, 3, store_command(study)), pdv(3, 2, image_bytes(study))
    return [ECHO, p_data(command), p_data(data), p_data(command, data), pdu(5, bytes(4))]


def a_damaged_pdu(chance: random.Random, study: str) -> bytes:
    return damaged(chance.choice(as_sent(study)), chance)


def a_damaged_value(chance: random.Random, study: str) -> bytes:
    """The lengths around it are right."""
    content = damaged(chance.choice([store_command(study), image_bytes(study)]), chance)
    return p_data(pdv(3, 3, content)) + p_data(pdv(3, 2, image_bytes(study)))


def a_damaged_object(chance: random.Random, study: str) -> bytes:
    return p_data(pdv(3, 3, store_command(study))) + p_data(pdv(3, 2, damaged(image_bytes(study), chance)))


@pytest.mark.parametrize("make", [a_damaged_pdu, a_damaged_value, a_damaged_object])
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + 3))
def test_damage(listener: ListenerProcess, make: Callable[[random.Random, str], bytes], seed: int) -> None:
    chance = random.Random(f"{make.__name__} {seed}")  # noqa: S311 - test data
    for _ in range(TRIES):
        with Connection(listener.port) as connection, suppress(OSError):
            connection.associate()
            connection.socket.settimeout(0.1)
            connection.send(make(chance, generate_uid()))
            connection.receive_pdu()
    assert echo_from("127.0.0.2", listener.port) < TIMEOUT_S
    log = listener.log.read_text()
    assert "thread_died" not in log
    assert "association_failed" not in log
    assert "CANARY" not in log
    assert listener.process.poll() is None
