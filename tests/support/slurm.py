"""A SLURM cluster of one node on the loopback interface, from Debian's packages: ``slurm-wlm``."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.node_process import free_port, wait_until
from tests.support.peers import find_program

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
_SETTINGS = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ReturnToService=2
SchedulerParameters=sched_interval=1,sched_min_interval=100000
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if find_program(name) is None]


@dataclass(frozen=True)
class Slurm:
    """A running cluster.

    Attributes
    ----------
    environment
        Variables with which its programs find it.
    """

    environment: dict[str, str]

    def ask(self, program: str, *arguments: str) -> str:
        """Run one of its programs, and return what it prints."""
        path = find_program(program)
        assert path is not None
        done = subprocess.run(  # noqa: S603 - SLURM's own program
            [path, *arguments], env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def begin_now(self) -> None:
        """Let jobs that were requeued begin now; SLURM makes them wait for two minutes."""
        for line in self.ask("squeue", "--noheader", "--array", "--format=%i %t").splitlines():
            job, state = line.split()
            if state == "PD":
                self.ask("scontrol", "update", f"JobId={job}", "StartTime=now")


@contextmanager
def running_slurm(folder: Path) -> Iterator[Slurm]:
    """A controller and a node, which end with the block."""
    host = socket.gethostname()
    for name in ("state", "spool"):
        (folder / name).mkdir()
    settings = folder / "slurm.conf"
    ports = {"control_port": free_port(), "node_port": free_port()}
    user = subprocess.run(["/usr/bin/id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    settings.write_text(_SETTINGS.format(host=host, folder=folder, user=user, **ports))
    slurm = Slurm({**os.environ, "SLURM_CONF": str(settings)})
    with ExitStack() as stack:
        for name in ("slurmctld", "slurmd"):
            path = find_program(name)
            assert path is not None
            log = stack.enter_context((folder / f"{name}.out").open("wb"))
            process = subprocess.Popen([path, "-D"], env=slurm.environment, stdout=log, stderr=log)  # noqa: S603 - SLURM's own
            stack.callback(process.wait)
            stack.callback(process.terminate)
        wait_until(lambda: "idle" in _asked(slurm))
        yield slurm
        slurm.ask("scancel", "--user", user)
        wait_until(lambda: not slurm.ask("squeue", "--noheader").strip())


def _asked(slurm: Slurm) -> str:
    try:
        return slurm.ask("sinfo", "--noheader")
    except subprocess.CalledProcessError:
        return ""  # the controller is not there yet
