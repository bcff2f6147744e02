"""``training.yaml``: one site's folders, group, devices and launcher, shared by all of its researchers."""

import grp
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from core.errors import ConfigInvalid
from core.frozen import Frozen
from core.project_files import shown
from core.yaml_problems import problem_at
from runtime.setting_types import DATABASE_URL, LocalPath, beside_the_file
from runtime.settings_file import load_settings_file
from runtime.worker_settings import ExecutorName, Workers, this_host

EXAMPLE = shown("manifests/training.example.yaml")
ENVIRONMENT = "SEGNODE_TRAINING__"
"""Prefix of the variables that give keys in place of the file."""

PLACES = (Path("training.yaml"), Path("/etc/segnode/training.yaml"))
"""Files that are read when none is named, the first that exists."""


class Folders(Frozen):
    """nnU-Net's three folders, and that of the queue's records."""

    raw: LocalPath = Field(description="data sets, as nnU-Net's nnUNet_raw")
    preprocessed: LocalPath = Field(description="plans and prepared cases, as nnUNet_preprocessed; on a fast disk")
    results: LocalPath = Field(description="checkpoints and predictions, as nnUNet_results")
    queue: LocalPath = Field(description="a folder a run: what was asked for, how it stands, its log")


class Slurm(Frozen):
    """The options of ``sbatch``."""

    partition: str | None = Field(default=None, min_length=1)
    account: str | None = Field(default=None, min_length=1)
    hours: float = Field(default=24.0, gt=0, le=8760, description="of one allocation; a longer run is queued anew")
    cpus: int = Field(default=8, ge=1, le=1024)
    memory_gb: float = Field(default=32.0, gt=0, le=100_000)
    gpu_option: str | None = Field(
        default="--gres=gpu:{gpus}", description="asks for the GPUs of a run; null on a cluster without any"
    )
    options: tuple[str, ...] = Field(default=(), description="further options of sbatch, each as one text")

    @field_validator("options", "gpu_option")
    @classmethod
    def _are_options(cls, value: Any) -> Any:
        for option in (value,) if isinstance(value, str) else value or ():
            if not option.startswith("--") or "\n" in option:
                raise ValueError(f"{option!r} is no option of sbatch; write it as --name=value")
        return value


class TrainingSettings(Frozen):
    """The whole of ``training.yaml``; paths are absolute."""

    folders: Folders
    group: str | None = Field(default=None, description="the Unix group that shares the folders; left out: nobody does")
    database: str = Field(default="", description="the queue: a file, or postgresql://…; left out: a file in queue")
    devices: Workers = Field(default=(None,), description="how many runs at a time, or this machine's devices")
    runs_per_device: int = Field(default=1, ge=1, le=16, description="how many runs may share a device, if they may")
    executor: ExecutorName = Field(default_factory=this_host, description="this machine's name in the queue")
    lease_seconds: float = Field(default=30.0, ge=2, le=3600)
    memory_gb: float | None = Field(default=None, gt=0, description="of preparation; left out: what is free")
    checkpoint_minutes: float = Field(default=10.0, ge=0, le=1440)
    retry_seconds: float = Field(default=60.0, ge=0, le=3600, description="the pause after a crash")
    launcher: Literal["local", "slurm"] = "local"
    slurm: Slurm | None = None
    tracking: bool = Field(default=True, description="tell MLflow of the runs; false: nobody is told")
    logs: Literal["text", "json"] = "text"

    @model_validator(mode="before")
    @classmethod
    def _database_is_a_url(cls, content: Any, info: ValidationInfo) -> Any:
        if isinstance(content, dict):
            database = content.get("database", "")
            if not database and isinstance(folders := content.get("folders"), dict):
                database = str(Path(str(folders.get("queue", ""))) / "training.sqlite")
            if isinstance(database, str) and not DATABASE_URL.match(database):
                if "://" in database:
                    raise problem_at(("database",), "the URL is neither sqlite nor postgresql")
                return {**content, "database": f"sqlite:///{beside_the_file(Path(database), info)}"}
        return content

    @model_validator(mode="after")
    def _folders_are_apart(self) -> "TrainingSettings":
        folders = {name: getattr(self.folders, name) for name in Folders.model_fields}
        for name, folder in folders.items():
            for other, another in folders.items():
                if name != other and folder.is_relative_to(another):
                    raise problem_at(("folders", name), f"it lies inside of {other}; give it a folder of its own")
        return self

    @field_validator("group")
    @classmethod
    def _is_a_group_of_this_user(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            number = grp.getgrnam(value).gr_gid
        except KeyError as error:
            raise ValueError(f"no group {value} on this machine; make it with: groupadd {value}") from error
        if os.geteuid() != 0 and number not in {os.getegid(), *os.getgroups()}:
            raise ValueError(f"you are not in the group {value}; ask for: usermod --append --groups {value} $USER")
        return value

    @model_validator(mode="after")
    def _slurm_has_its_options(self) -> "TrainingSettings":
        if self.slurm is not None and self.launcher != "slurm":
            raise problem_at(("slurm",), "these options have no effect with launcher: local; set launcher: slurm")
        return self

    @property
    def sbatch(self) -> Slurm:
        """The options of ``sbatch``, or their defaults."""
        return self.slurm or Slurm()


def settings_file(path: Path | None) -> Path:
    """Return the file that is named, or the first of `PLACES` that exists.

    Raises
    ------
    ConfigInvalid
        If none is named, and none exists.
    """
    found = path or next((place for place in PLACES if place.exists()), None)
    if found is None:
        places = " nor ".join(map(str, PLACES))
        raise ConfigInvalid(f"there is neither {places}; copy {EXAMPLE}, or name a file with --config")
    return found


def load_training_settings(path: Path | None) -> TrainingSettings:
    """Read and validate a ``training.yaml``, with the keys that the environment gives in its place.

    Parameters
    ----------
    path
        The file; None for the first of `PLACES` that exists.

    Raises
    ------
    ConfigInvalid
        With file and line, or the variable, key and remedy of every problem.
    """
    return load_settings_file(settings_file(path), TrainingSettings, EXAMPLE, ENVIRONMENT)
