"""``mlflow_run.json``, beside the checkpoints of a fold: the run that it is in MLflow, and what was sent of it."""

from pathlib import Path
from uuid import uuid4

from pydantic import Field, ValidationError

from core.errors import ConfigInvalid
from core.files import replace_file
from core.frozen import Frozen

RECORD = "mlflow_run.json"


class TrackedRun(Frozen):
    """The record.

    Attributes
    ----------
    token
        Made before the run is, so that a process that is killed while it makes the run finds it again.
    run_id, experiment
        MLflow's; empty before the run is made.
    epochs_sent
        Place in ``epochs.jsonl`` up to which the server has it.
    artifacts
        SHA-256 of each file that was sent, by its path in the run.
    status
        What the server was told last.
    is_described
        Parameters were sent.
    """

    token: str = Field(default_factory=lambda: uuid4().hex)
    run_id: str = ""
    experiment: str = ""
    epochs_sent: int = 0
    artifacts: dict[str, str] = Field(default_factory=dict)
    status: str = ""
    is_described: bool = False


def read_tracked(output: Path) -> TrackedRun | None:
    """Read the record of a fold's folder; None where there is none.

    Raises
    ------
    ConfigInvalid
        If it is damaged.
    """
    path = output / RECORD
    try:
        return TrackedRun.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ConfigInvalid(f"{path}: damaged; delete it, and the run begins anew in MLflow") from error


def write_tracked(output: Path, tracked: TrackedRun) -> None:
    """Write the record; the folder is made where nnU-Net has not made it yet."""
    output.mkdir(parents=True, exist_ok=True)
    replace_file(output / RECORD, tracked.model_dump_json(indent=1).encode() + b"\n")
