"""A node under load whose processes are killed without end: ``make soak SECONDS=3600``.

The models are a stand-in (`tests.support.stub_worker`), so that a worker is back within seconds and a thousand kills
fit into an hour; all else is the node itself: its processes, spool, workflow database and sender. Exit code 1 where a
promise was broken, 2 where there were fewer kills than an hour of it promises.
"""

import argparse
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.kills.killer import Killer, plan
from tests.faults.kills.ledger import Ledger
from tests.faults.kills.sender import Modality
from tests.support.node_process import NodeProcess
from tests.support.receiver import Receiver

KILL_EVERY_S = 3.2
KILLS_PER_HOUR = {"all": 1000, "listener and node": 700}
SENDERS = 2
STUDY_EVERY_S = 2.5
MOST_UNFINISHED = 50
"""Studies under way with which no further ones are sent, so that all can come to their end after the last kill."""

BUSY = 0.05
"""Share of results that the receiver does not take at once (0xA700)."""

REPORT_EVERY_S = 30.0
TIME_TO_END_S = 600.0


@dataclass
class Result:
    """The result of a soak.

    Attributes
    ----------
    seed
        Seed of its random choices.
    seconds
        Time for which processes were killed.
    kills
        Number of kills by target.
    counts
        Numbers of instances sent, kept and received.
    states
        Final states of the studies.
    broken
        Broken promises, each in words.
    """

    seed: int
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    @property
    def on_listener_and_node(self) -> int:
        """Kills that do not concern the worker alone."""
        return self.kills["listener"] + self.kills["node"]

    @property
    def is_enough(self) -> bool:
        """Tell whether there were as many kills as the time requires."""
        hours = self.seconds / 3600.0
        done = {"all": self.kills.total(), "listener and node": self.on_listener_and_node}
        return all(done[name] >= int(wanted * hours) for name, wanted in KILLS_PER_HOUR.items())

    def table(self) -> str:
        """The summary, one line a figure."""
        rows: list[tuple[str, object]] = [("seed", self.seed), ("seconds of kills", round(self.seconds))]
        rows += [(f"kills of the {target}", self.kills[target]) for target in ("listener", "node", "worker")]
        rows += [("kills of listener and node", self.on_listener_and_node), ("kills", self.kills.total())]
        rows += list(self.counts.items())
        rows += [(f"studies {state}", number) for state, number in sorted(self.states.items())]
        rows += [("promises broken", len(self.broken))]
        return "\n".join([f"{name:<44}{value:>10}" for name, value in rows] + self.broken[:50])


def soak(folder: Path, kills: int, kill_every_s: float, seed: int, time_to_end_s: float = TIME_TO_END_S) -> Result:
    """Run a node under load, kill it again and again, and see what it kept.

    Parameters
    ----------
    folder
        Where everything is written.
    kills
        How many.
    kill_every_s
        Mean time between two of them.
    seed
        Decides targets, moments and load.
    time_to_end_s
        How long studies may take to come to their end after the last kill.
    """
    chance = random.Random(seed)  # noqa: S311 - test data
    busy = random.Random(seed + 1)  # noqa: S311
    receiver = Receiver(answer=lambda: 0xA700 if busy.random() < BUSY else 0x0000).start()
    node = NodeProcess(folder / "node", {"pacs": (receiver.port, "PACS")})
    retry = {"first_seconds": 0.5, "longest_seconds": 5.0}
    pacs = {"kind": "dicom", "ae_title": "PACS", "host": "127.0.0.1", "port": receiver.port, "retry": retry}
    node.set(destinations={"pacs": pacs})
    node.start()
    result, ledger, killer = Result(seed), Ledger(node.spool), Killer(node, chance)
    modalities = [
        Modality(node.port, ledger, random.Random(f"{seed} {number}"), STUDY_EVERY_S)  # noqa: S311
        for number in range(SENDERS)
    ]
    try:
        for modality in modalities:
            modality.start()
        begun = reported = time.monotonic()
        for number, target in enumerate(plan(kills, chance), 1):
            killer.kill(target, begun + number * kill_every_s)
            ledger.look(only_recent=True)
            for modality in modalities:
                modality.rest(ledger.unfinished() > MOST_UNFINISHED)
            if time.monotonic() - reported > REPORT_EVERY_S:
                reported = time.monotonic()
                _report(reported - begun, killer, ledger, receiver)
        time.sleep(max(0.0, begun + kills * kill_every_s - time.monotonic()))
        result.seconds, result.kills = time.monotonic() - begun, killer.kills
        for modality in modalities:
            modality.stop()
        for modality in modalities:
            modality.join()
        _wait_for_ends(killer, ledger, receiver, begun, time_to_end_s)
    finally:
        node.stop()
        receiver.stop()
    _judge(result, ledger, receiver)
    result.counts["associations that ended early"] = sum(modality.ended_early for modality in modalities)
    result.counts["node ended by itself"] = killer.ended_by_itself
    if killer.ended_by_itself:
        result.broken.append("the node ended by itself; see its log")
    return result


def _wait_for_ends(killer: Killer, ledger: Ledger, receiver: Receiver, begun: float, time_to_end_s: float) -> None:
    reported = time.monotonic()
    deadline = reported + time_to_end_s
    while ledger.unfinished() and time.monotonic() < deadline:
        killer.keep_alive()
        if time.monotonic() - reported > REPORT_EVERY_S:
            reported = time.monotonic()
            _report(reported - begun, killer, ledger, receiver)
        time.sleep(0.5)


def _report(seconds: float, killer: Killer, ledger: Ledger, receiver: Receiver) -> None:
    kills = " ".join(f"{target}={number}" for target, number in sorted(killer.kills.items()))
    logging.info(
        "%5.0f s  kills %s  instances=%d studies=%d unfinished=%d results=%d broken=%d",
        *(seconds, kills, ledger.instances(), len(ledger.studies()), ledger.unfinished()),
        *(len(receiver.taken), len(ledger.broken)),
    )


def _judge(result: Result, ledger: Ledger, receiver: Receiver) -> None:
    ledger.look()
    found = ledger.check_nothing_lost()
    ledger.check_ends()
    different = ledger.check_results(receiver.taken)
    result.states, result.broken = ledger.states(), ledger.broken
    result.counts = {
        "instances acknowledged": ledger.instances(),
        "of these found with equal bytes": found,
        "image files read whole": len(ledger.files_seen),
        "studies": len(ledger.studies()),
        "results received": len(receiver.taken),
        "of these different": different,
    }


def main() -> None:
    """Run it for some time, with lines on how it goes and a table at the end."""
    parser = argparse.ArgumentParser(description="Kill a node's processes at random, and see what it kept.")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    for noisy in ("pynetdicom", "pydicom"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="segnode-soak-"))
    logging.info("seed %d, in %s", arguments.seed, folder)
    result = soak(folder, int(arguments.seconds / KILL_EVERY_S), KILL_EVERY_S, arguments.seed)
    logging.info("%s", result.table())
    sys.exit(1 if result.broken else 0 if result.is_enough else 2)


if __name__ == "__main__":
    main()
