"""Other projects' programs as peers, each on a free port of the loopback interface."""

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.support.node_process import PATIENCE_S, free_port, wait_until


def find_program(name: str) -> str | None:
    """Path of a program of another project, found on PATH or in /usr/sbin.

    pynetdicom installs Python programs with the names of DCMTK's, which an activated environment puts first.
    """
    for folder in (*os.get_exec_path(), "/usr/sbin"):
        path = shutil.which(name, path=folder)
        if path is not None and not _is_python(Path(path)):
            return path
    return None


def _is_python(program: Path) -> bool:
    with program.open("rb") as file:
        first = file.readline(200)
    return first.startswith(b"#!") and b"python" in first


def store(storescu: str, port: int, called_ae: str, *paths: Path, options: tuple[str, ...] = ()) -> int:
    """Send files or folders with DCMTK's ``storescu``; its exit code, 0 where all were accepted."""
    command = [storescu, "-aec", called_ae, "+sd", "+r", *options, "127.0.0.1", str(port), *map(str, paths)]
    # Without it DCMTK waits for acknowledgements between its small packets, and sends 22 images a second.
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.run(command, capture_output=True, check=False, env=environment).returncode  # noqa: S603 - a peer found by name


class StorageServer:
    """DCMTK's ``storescp``, writing what it receives into a folder.

    Parameters
    ----------
    program
        Path of ``storescp``.
    folder
        Where it writes.
    port
        Where it listens; a free port if left out.
    """

    def __init__(self, program: str, folder: Path, port: int | None = None, options: tuple[str, ...] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self._command = [program, "-od", str(folder), "-uf", "+uf", *options, str(self.port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "StorageServer":
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - a peer found by name
        wait_until(lambda: _listens(self.port))
        return self

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def received(self) -> list[Path]:
        """Files that came, sorted."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


ORTHANC_PLUGINS = Path("/usr/share/orthanc/plugins")


class Orthanc:
    """An Orthanc with its database in a folder, optionally routing by a Lua script.

    Parameters
    ----------
    program
        Path of ``Orthanc``.
    folder
        Where its settings, database and log go.
    modalities
        AE title and port of each peer, by name.
    lua
        Text of a Lua script.
    plugins
        Paths of plugins.
    """

    ae_title = "ORTHANC"

    def __init__(
        self,
        program: str,
        folder: Path,
        modalities: Mapping[str, tuple[str, int]],
        lua: str = "",
        *,
        dicom_port: int | None = None,
        plugins: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.dicom_port = dicom_port or free_port()
        self.http_port = free_port()
        script, settings = folder / "routes.lua", folder / "orthanc.json"
        script.write_text(lua)
        settings.write_text(
            json.dumps(
                {
                    "Name": "PACS",
                    "StorageDirectory": str(folder / "storage"),
                    "IndexDirectory": str(folder / "storage"),
                    "DicomAet": self.ae_title,
                    "DicomPort": self.dicom_port,
                    "HttpPort": self.http_port,
                    "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": False,
                    "DicomAlwaysAllowStore": True,
                    "DicomModalities": {
                        name: [ae_title, "127.0.0.1", port] for name, (ae_title, port) in modalities.items()
                    },
                    "LuaScripts": [str(script)] if lua else [],
                    "StableAge": 1,
                    "Plugins": list(plugins),
                }
            )
        )
        self._command = [program, str(settings)]
        self._log = folder / "orthanc.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Orthanc":
        """Start it, and wait until both of its ports answer."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)  # noqa: S603 - a peer found by name
        wait_until(self._answers)
        wait_until(lambda: _listens(self.dicom_port))
        return self

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None

    def _answers(self) -> bool:
        try:
            self.get("system")
        except (OSError, HTTPException):  # it may hang up on whoever comes while it starts
            return False
        return True

    def know(self, name: str, ae_title: str, port: int) -> None:
        """Take a peer, as if it had been among the modalities from the start; by its AE title it may ask."""
        self._change("PUT", f"modalities/{name}", {"AET": ae_title, "Host": "127.0.0.1", "Port": port})

    def empty(self) -> None:
        """Forget all that it was sent."""
        for study in self.get("studies"):
            self._change("DELETE", f"studies/{study}")

    def _change(self, method: str, path: str, content: Any = None) -> None:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - this machine's
            answer.read()

    def get(self, path: str) -> Any:
        """Answer of its REST interface."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/{path}", timeout=30) as answer:
            return json.load(answer)

    def get_bytes(self, path: str) -> bytes:
        """Raw answer of its REST interface."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/{path}", timeout=30) as answer:
            content: bytes = answer.read()
            return content

    def instances(self, study_uid: str, modality: str) -> list[str]:
        """Orthanc's IDs of the instances of one modality in a study."""
        found = []
        for study in self.get("studies?expand"):
            if study["MainDicomTags"]["StudyInstanceUID"] == study_uid:
                for series in study["Series"]:
                    content = self.get(f"series/{series}")
                    if content["MainDicomTags"].get("Modality") == modality:
                        found += content["Instances"]
        return found
