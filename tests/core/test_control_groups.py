"""Control groups of a process, as files under a made root tell them."""

from pathlib import Path

from core.control_groups import control_groups


def membership(root: Path, text: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(text)
    return root


def test_groups_of_both_versions_and_those_above_them_are_listed(tmp_path: Path) -> None:
    root = membership(tmp_path, "3:cpu,cpuacct:/box/a\n2:memory:/m\n1:name=systemd:/cpu\n0::/pod\n")
    groups = tmp_path / "sys/fs/cgroup"
    assert control_groups("cpu", root) == [
        (1, groups / "cpu/box/a"),
        (1, groups / "cpu/box"),
        (1, groups / "cpu"),
        (2, groups / "pod"),
        (2, groups),
        (2, groups / "unified/pod"),
        (2, groups / "unified"),
    ]


def test_a_system_without_control_groups_has_none(tmp_path: Path) -> None:
    assert control_groups("cpu", tmp_path) == []
