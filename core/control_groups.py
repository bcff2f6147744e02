"""Control groups that this process is in: where the kernel keeps the limits of a container or a service.

References
----------
``cgroups(7)``; Linux kernel documentation, control groups v1 and v2.
"""

from pathlib import Path


def control_groups(controller: str, root: Path = Path("/")) -> list[tuple[int, Path]]:
    """List version and folder of every group of a controller that this process is in, each within the one above it.

    Parameters
    ----------
    controller
        Name in version 1, ``cpu`` or ``memory``; the groups of version 2 have all controllers.
    root
        The folder that holds ``proc`` and ``sys``.

    Returns
    -------
    list of tuple
        Empty where the system has no control groups. A folder need not exist, since what is mounted differs.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            version, mounts = 2, ["sys/fs/cgroup", "sys/fs/cgroup/unified"]
        elif controller in controllers.split(","):
            version, mounts = 1, [f"sys/fs/cgroup/{controller}"]
        else:
            continue
        for mount in mounts:
            # Inside of a container the group's own folder is what is mounted, whatever its path outside.
            group = root / mount / path.strip("/")
            while group.is_relative_to(root / mount):
                found.append((version, group))
                group = group.parent
    return found
