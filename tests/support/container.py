"""Runs a program of an unpacked image as a container runtime would, with nothing but util-linux.

Read-only root, namespaces of its own without a network, any user, no capabilities.
"""

import json
import os
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--net", "--ipc", "--uts")
_SCRIPT = """
set -e
root=$1; user=$2; shift 2
mount --make-rprivate /
mount --bind "$root" "$root"; mount -o remount,ro,bind "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/shm"; mount -t tmpfs -o mode=1777,size=64m tmpfs "$root/dev/shm"
for device in null zero random urandom; do
  touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"
done
while [ "$1" != -- ]; do
  mount --bind "$1" "$root$2"; [ "$3" = rw ] || mount -o remount,ro,bind "$root$2"
  shift 3
done
shift
here=$1; shift
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --clear-groups --bounding-set=-all --inh-caps=-all \\
  --no-new-privs env -i "$@" sh -c 'cd "$HERE"; exec $COMMAND'
"""


@dataclass(frozen=True)
class Layer:
    """One layer of an image: bytes of its files, unpacked and as it is transferred, and what made it."""

    unpacked: int
    packed: int
    made_by: str


@dataclass(frozen=True)
class OciImage:
    """An image's configuration and layers, read from an OCI archive."""

    config: dict[str, Any]
    layers: tuple[Layer, ...]

    @property
    def environment(self) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in self.config["Env"])


def read_image(archive: Path) -> OciImage:
    """Read what an OCI archive says, by the specification, without any tool of a builder."""
    with tarfile.open(archive) as outer:

        def blob(digest: str) -> Any:
            found = outer.extractfile(f"blobs/{digest.replace(':', '/')}")
            assert found is not None
            return found

        index = outer.extractfile("index.json")
        assert index is not None
        manifest = json.load(blob(json.load(index)["manifests"][0]["digest"]))
        config = json.load(blob(manifest["config"]["digest"]))
        made_by = [step.get("created_by", "") for step in config["history"] if not step.get("empty_layer")]
        layers = []
        for layer, text in zip(manifest["layers"], made_by, strict=True):
            with tarfile.open(fileobj=blob(layer["digest"]), mode="r|*") as inner:
                layers.append(Layer(sum(member.size for member in inner), layer["size"], text))
    return OciImage(config["config"], tuple(layers))


@dataclass(frozen=True)
class Container:
    """An image that is unpacked.

    Attributes
    ----------
    root
        Its root file system.
    image
        What its archive says.
    """

    root: Path
    image: OciImage

    def run(
        self,
        arguments: Sequence[str] = (),
        *,
        mounts: Mapping[str, Path] = {},
        writable: Sequence[str] = (),
        user: int = 54321,
        command: Sequence[str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the entry point, or another command, to its end.

        Parameters
        ----------
        mounts
            Folders of this machine by their place in the container.
        writable
            Which of them may be written.
        """
        for place in mounts:  # as a runtime makes them; by a path without links, which would lead out of the root
            (self.root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
        words = [*(command if command is not None else self.image.config["Entrypoint"]), *arguments]
        folders = [x for place, path in mounts.items() for x in (str(path), place, "rw" if place in writable else "ro")]
        here = self.image.config.get("WorkingDir") or "/"
        settings = [f"{name}={value}" for name, value in self.image.environment.items()]
        settings += [f"HERE={here}", f"COMMAND={' '.join(words)}"]
        return subprocess.run(  # noqa: S603 - util-linux, with this file's script
            [*_UNSHARE, "sh", "-c", _SCRIPT, "sh", str(self.root), str(user), *folders, "--", here, *settings],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"]},
        )
