"""The commands of a MAP inside its container besides running: showing its manifests, and handing out what it holds."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigInvalid

EXPORT = Path("/var/run/holoscan/export")
"""The place that the specification has `extract` copy to: a folder that the user mounts."""


@dataclass(frozen=True)
class Layout:
    """The paths in the container, by the environment variables that the specification names.

    Attributes
    ----------
    input, output
        Folders of the study and of its results.
    application, docs, config, app_manifest, pkg_manifest
        What `show` and `extract` hand out.
    models
        Folder of the model packages; None where the environment does not say, as outside of a container.
    export
        Where `extract` copies to.
    """

    input: Path
    output: Path
    application: Path
    docs: Path
    config: Path
    app_manifest: Path
    pkg_manifest: Path
    models: Path | None
    export: Path = EXPORT

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Layout":
        """Read the layout from the variables ``HOLOSCAN_*``; the specification's defaults stand in for missing ones."""
        workdir = Path(environment.get("HOLOSCAN_WORKDIR") or "/var/holoscan")
        models = environment.get("HOLOSCAN_MODEL_PATH")
        return cls(
            input=workdir / (environment.get("HOLOSCAN_INPUT_PATH") or "input"),
            output=workdir / (environment.get("HOLOSCAN_OUTPUT_PATH") or "output"),
            application=Path(environment.get("HOLOSCAN_APPLICATION") or "/opt/holoscan/app"),
            docs=Path(environment.get("HOLOSCAN_DOCS") or "/opt/holoscan/docs"),
            config=Path(environment.get("HOLOSCAN_CONFIG_PATH") or "/var/holoscan/app.yaml"),
            app_manifest=Path(environment.get("HOLOSCAN_APP_MANIFEST_PATH") or "/etc/holoscan/app.json"),
            pkg_manifest=Path(environment.get("HOLOSCAN_PKG_MANIFEST_PATH") or "/etc/holoscan/pkg.json"),
            models=Path(models) if models else None,
        )


def show(layout: Layout, which: Sequence[str]) -> None:
    """Print manifests on standard output: one as it is, both as one JSON object with keys ``app`` and ``pkg``.

    Raises
    ------
    ConfigInvalid
        If a manifest is missing.
    """
    paths = {"app": layout.app_manifest, "pkg": layout.pkg_manifest}
    try:
        contents = {name: json.loads(paths[name].read_text(encoding="utf-8")) for name in which}
    except OSError as error:
        raise ConfigInvalid(f"{error.filename}: {error.strerror}; show works inside of a MAP's container") from error
    shown = contents if len(which) > 1 else contents[which[0]]
    sys.stdout.write(json.dumps(shown, indent=2) + "\n")


def extract(layout: Layout) -> None:
    """Copy application, manifests, models and documents below the export folder.

    Where only some of its folders ``app``, ``config``, ``models`` and ``docs`` are mounted, those are filled.

    Raises
    ------
    ConfigInvalid
        If nothing is mounted there, or it cannot be written.
    """
    if not layout.export.is_dir():
        raise ConfigInvalid(
            f"{layout.export} is no folder; mount one there, such as: --volume $PWD/out:{layout.export}"
        )
    sources = {
        "app": [layout.application],
        "config": [layout.app_manifest, layout.pkg_manifest, layout.config],
        "models": [layout.models or Path("/opt/holoscan/models")],
        "docs": [layout.docs],
    }
    mounted = [name for name in sources if (layout.export / name).is_dir()]
    try:
        for name in mounted or sources:
            _copy(sources[name], layout.export / name)
    except (OSError, shutil.Error) as error:
        problem = getattr(error, "strerror", None) or "cannot be copied whole"
        raise ConfigInvalid(f"{layout.export}: {problem}; mount a folder that this user can write") from error


def _copy(sources: Sequence[Path], target: Path) -> None:
    target.mkdir(exist_ok=True)
    for source in sources:
        if source.is_dir():
            # Bytes alone: the user who mounted the folder is to be able to change and remove what comes.
            shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
        elif source.exists():
            shutil.copyfile(source, target / source.name)
