"""A folder that is a small file system of its own, for one process and its children, without being root."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import missing


def in_small_tmpfs(folder: Path, mib: int) -> Sequence[str]:
    """Return the command that starts a process to which a folder is a ``tmpfs`` of that number of MiB.

    The process keeps its process ID; others see the folder below ``/proc/<pid>/root``. Skips the test where the system
    gives no user namespace.
    """
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Urm", "true"], check=False).returncode:  # noqa: S607
        missing("no user namespace can be had (unshare -Urm)")
    folder.mkdir(parents=True, exist_ok=True)
    mount = f'mount -t tmpfs -o size={mib}m tmpfs "$0" && exec "$@"'
    return ("unshare", "-Urm", "sh", "-c", mount, str(folder))
