"""A PostgreSQL of its own on a free port of the loopback interface, run by an ordinary user."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.support.node_process import PATIENCE_S, free_port, wait_until

UNPRIVILEGED = ("postgres", "nobody")
"""It refuses to run as root, so as root it is started as the first of these that exists."""


def find_postgres() -> Path | None:
    """Folder of PostgreSQL's programs, the newest if there are several; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path is not None else None


class Postgres:
    """One PostgreSQL with an empty database, which its user ``segnode`` owns.

    Parameters
    ----------
    programs
        Folder of ``initdb`` and ``postgres``.
    """

    def __init__(self, programs: Path) -> None:
        # Not below pytest's folder, which no other user can reach into.
        self._folder = Path(tempfile.mkdtemp(prefix="segnode-postgres-"))
        self._programs = programs
        self._user = _other_user()
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self.port = free_port()
        self.url = ""
        self._databases = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "--auth=trust", "--username=admin", "--no-sync", "--pgdata=data")
        self.start()
        self._admin = ("--host=127.0.0.1", f"--port={self.port}", "--username=admin")
        self._run("createuser", *self._admin, "segnode")

    def renew(self) -> None:
        """Make another empty database the one of `url`: a node never takes one that belonged to another spool."""
        self._databases += 1
        name = f"segnode{self._databases}"
        self._run("createdb", *self._admin, "--owner=segnode", name)
        self.url = f"postgresql://segnode@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a peer found by name
                [self._programs / "postgres", "-D", "data", "-p", str(self.port), "-h", "127.0.0.1", "-k", "", "-F"],
                cwd=self._folder,
                user=self._user,
                stdout=log,
                stderr=log,
            )
        ask = [self._programs / "pg_isready", "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        wait_until(lambda: subprocess.run(ask, check=False).returncode == 0)  # noqa: S603 - a peer found by name

    def stop(self) -> None:
        """Stop it as an administrator does who does not wait for its users."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE_S)
            self._process = None

    def remove(self) -> None:
        """Stop it and delete all that it had."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def query(self, statement: str) -> str:
        """Return the bare output of ``psql``."""
        command = [self._programs / "psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", statement]
        return subprocess.run([*command, self.url], check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - a peer found by name

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(  # noqa: S603 - a peer found by name
            [self._programs / program, *arguments],
            cwd=self._folder,
            user=self._user,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def _other_user() -> str | None:
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in UNPRIVILEGED if name in known)
