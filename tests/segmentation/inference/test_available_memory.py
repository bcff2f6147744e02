"""Free memory as the kernel tells it, of a machine and of containers of both kinds."""

from pathlib import Path

import pytest

from segmentation.inference.available_memory import Memory, host_memory

GB = 2**30


def tree(root: Path, files: dict[str, str]) -> Path:
    """Make a ``/proc`` and ``/sys`` of a machine with 24 GB, 20 of them free."""
    made = {"proc/meminfo": f"MemTotal: {24 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {20 * 2**20} kB\n", **files}
    for name, text in made.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_this_machine() -> None:
    memory = host_memory()
    assert 0 < memory.free <= memory.total
    total = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]) * 1024
    assert memory.total <= total


def test_a_machine_without_limits(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n5:cpu:/x\n4:memory:/y\n"}
    files["sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712\n"
    files["sys/fs/cgroup/memory/memory.usage_in_bytes"] = "5\n"
    files["sys/fs/cgroup/memory/memory.stat"] = "total_inactive_file 1\n"
    assert host_memory(tree(tmp_path, files)) == Memory(20 * GB, 24 * GB)


@pytest.mark.parametrize("inside", [True, False], ids=["seen from inside", "seen from outside"])
def test_a_container_of_version_2(tmp_path: Path, inside: bool) -> None:
    """The limit of a group above counts too, and what the kernel can give up of the cache is free."""
    group = "" if inside else "pod/box/"
    files = {
        "proc/self/cgroup": "0::/\n" if inside else "0::/pod/box\n",
        f"sys/fs/cgroup/{group}memory.max": f"{8 * GB}\n",
        f"sys/fs/cgroup/{group}memory.current": f"{5 * GB}\n",
        f"sys/fs/cgroup/{group}memory.stat": f"anon 5\ninactive_file {2 * GB}\nactive_file {GB}\n",
    }
    if not inside:
        files |= {
            "sys/fs/cgroup/pod/memory.max": "max\n",
            "sys/fs/cgroup/pod/memory.current": f"{9 * GB}\n",
            "sys/fs/cgroup/pod/memory.stat": "inactive_file 0\n",
        }
    assert host_memory(tree(tmp_path, files)) == Memory(5 * GB, 8 * GB)


def test_a_container_of_version_1(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory,hugetlb:/docker/1\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GB}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{6 * GB}\n",
        "sys/fs/cgroup/memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {GB}\n",
    }
    assert host_memory(tree(tmp_path, files)) == Memory(0, 4 * GB)
