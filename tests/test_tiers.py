"""Every test has one tier, and its tier follows from what it uses."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from tests.support import node_process, peers, postgres
from tests.support.listener_process import ListenerProcess
from tests.support.node_process import NodeProcess, free_port, wait_until
from tests.support.service_process import ServiceProcess
from tests.support.tiers import STARTERS, TIERS, Guard, starts_programs


def runs() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def in_a_module() -> None:
    peers.store("storescu", 1, "A")


def inside() -> Callable[[], None]:
    def inner() -> None:
        runs()

    return inner


class Holder:
    """Starts something by a method."""

    def start(self) -> None:
        """Start it."""
        runs()


def holds() -> None:
    Holder()


def waits() -> None:
    wait_until(lambda: free_port())


def catches() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        raise subprocess.CalledProcessError(1, "x")


@pytest.mark.unit  # it runs none of them
@pytest.mark.parametrize(
    "starter",
    [
        *(runs, in_a_module, inside, inside(), holds, Holder, Holder().start, partial(runs), {"a": (1, runs)}),
        *(NodeProcess, ListenerProcess, ServiceProcess, peers.Orthanc, postgres.Postgres),
    ],
)
def test_test_that_names_a_starter_starts_programs(starter: object) -> None:
    assert starts_programs(starter)


@pytest.mark.parametrize("other", [waits, node_process.make_image, "subprocess", 3, None, wait_until])
def test_others_start_none(other: object) -> None:
    assert not starts_programs(other)


def test_every_test_has_one_tier(request: pytest.FixtureRequest) -> None:
    """All that this run chose: in ``make test`` all that there are."""
    counts = {item.nodeid: Counter(mark.name for mark in item.iter_markers()) for item in request.session.items}
    assert counts
    wrong = {
        name: {tier: found[tier] for tier in TIERS}
        for name, found in counts.items()
        if sum(found[t] > 0 for t in TIERS) != 1
    }
    assert wrong == {}
    declared = [str(line).partition(":")[0] for line in request.config.getini("markers")]
    assert set(TIERS) <= set(declared)


@pytest.mark.peers
def test_the_guard_stops_a_start_and_lets_go_again() -> None:
    guard = Guard()
    with guard.closed(), pytest.raises(AssertionError, match="mark it peers"):
        runs()
    runs()


def test_a_test_of_this_tier_is_guarded() -> None:
    with pytest.raises(AssertionError, match="mark it peers"):
        sys.modules[STARTERS[1]].run([sys.executable, "-c", ""])
