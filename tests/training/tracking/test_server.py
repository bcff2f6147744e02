"""Trainings told to a real MLflow server: what is there, what is not, and what happens while it is down."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import RetryLater
from tests.support.mlflow_server import MlflowServer
from tests.support.node_process import free_port
from tests.support.tiny_training import CASES, DATASET, environment_of, prepared_site, segnode
from training.runs.records import RunFolder, State
from training.settings import TrainingSettings
from training.tracking.follow import send_run
from training.tracking.record import read_tracked
from training.tracking.server import Server

CANARY = "Canary^Patient"
"""A patient's name that somebody gave to a case; nothing of MLflow may hold it."""

LENGTH = ("--epochs", "3", "--iterations", "2")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> TrainingSettings:
    """A site whose last case bears a patient's name, trained while nobody answers at the address of its server."""
    site = prepared_site(tmp_path_factory.mktemp("site"), tracking=True)
    for folder in (site.folders.raw, site.folders.preprocessed):
        for path in sorted(folder.rglob(f"{CASES[3]}*")):
            path.rename(path.with_name(path.name.replace(CASES[3], CANARY)))
    base = site.folders.preprocessed / DATASET
    for name in ("splits_final.json", "dataset.json"):
        text = (base / name).read_text().replace(CASES[3], CANARY)
        (base / name).write_text(text)
    described = json.loads((base / "dataset.json").read_text())
    (base / "dataset.json").write_text(json.dumps(described | {"training": [{"image": f"{CANARY}.nii.gz"}]}))
    segnode(site, "start", "Ball", "3d_fullres", "-f", "0", *LENGTH, "--queue-only")
    return site


@pytest.fixture(scope="module")
def trained(site: TrainingSettings) -> tuple[RunFolder, str]:
    """The run, and the log of its worker."""
    nobody = f"http://somebody:secret@127.0.0.1:{free_port()}"
    config = site.folders.raw.parent / "training.yaml"
    done = subprocess.run(  # noqa: S603 - this project's own program
        [sys.executable, "-m", "app.cli", "train", "work", "--until-idle", "--config", str(config)],
        env={**environment_of(site), "MLFLOW_TRACKING_URI": nobody},
        capture_output=True,
        text=True,
        check=True,
    )
    (folder,) = [path.parent for path in site.folders.queue.glob("*/state.json")]
    return RunFolder(folder), done.stderr


@pytest.fixture(scope="module")
def sent(site: TrainingSettings, trained: tuple[RunFolder, str], mlflow_server: MlflowServer) -> str:
    """The ID of the run, sent by another process's next look once the server is there."""
    tracked = send_run(site.folders, trained[0], Server(site.folders.queue, mlflow_server.uri))
    assert tracked is not None
    return tracked.run_id


@pytest.fixture(scope="module")
def client(mlflow_server: MlflowServer, sent: str) -> Any:
    """A client of MLflow's own."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(mlflow_server.uri, mlflow_server.uri)


def test_server_that_is_down_stops_no_training_and_a_warning_says_so(trained: tuple[RunFolder, str]) -> None:
    run, log = trained
    assert run.state().state is State.DONE
    assert "tracking_waits" in log
    assert "secret" not in log
    assert len((run.path / "epochs.jsonl").read_text().splitlines()) == 3


def test_every_epoch_and_what_it_was_trained_on_is_there(client: Any, sent: str) -> None:
    run = client.get_run(sent)
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == DATASET
    for name in ("train_loss", "validation_loss", "pseudo_dice/ball", "learning_rate"):
        assert [one.step for one in client.get_metric_history(sent, name)] == [0, 1, 2]
    rates = [one.value for one in client.get_metric_history(sent, "learning_rate")]
    assert rates == pytest.approx([0.01 * (1 - epoch / 3) ** 0.9 for epoch in range(3)])
    said = run.data.params
    assert (said["trainer"], said["configuration"], said["fold"]) == ("nnUNetTrainer", "3d_fullres", "0")
    assert said["dataset_version"] == "unknown"  # nobody registered it
    assert {"environment.segnode", "environment.torch", "environment.nnunetv2", "device"} <= set(run.data.tags)


def test_files_are_there_with_validation_table_and_worst_cases(client: Any, sent: str, tmp_path: Path) -> None:
    folder = Path(client.download_artifacts(sent, "", str(tmp_path)))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"plans/nnUNetPlans.json", "dataset/dataset.json", "training.json", "progress.png"} <= found
    assert {"validation/figures.csv", "validation/figures.png"} <= found
    assert {path[-8:-4] for path in found if path.startswith("validation/worst-")} == {"0001", "0004"}
    augmentations = json.loads((folder / "training.json").read_text())["augmentations"]
    assert "SpatialTransform" in augmentations[0]
    cases = {one["case"] for one in json.loads((folder / "validation" / "figures.json").read_text())["cases"]}
    assert cases == {"case_0001", "case_0004"}  # in the order of their names, of which the patient's is the first


def test_no_patient_is_in_anything_logged(client: Any, sent: str, tmp_path: Path, site: TrainingSettings) -> None:
    folder = Path(client.download_artifacts(sent, "", str(tmp_path)))
    run = json.dumps(client.get_run(sent).to_dictionary())
    assert CANARY in (site.folders.preprocessed / DATASET / "dataset.json").read_text()
    for word in CANARY.split("^"):
        assert word not in run
        for path in folder.rglob("*"):
            assert word not in path.name
            assert path.is_dir() or word.encode() not in path.read_bytes(), path


def test_run_goes_on_under_its_id_and_only_what_is_new_is_sent(
    client: Any, sent: str, site: TrainingSettings, trained: tuple[RunFolder, str], mlflow_server: MlflowServer
) -> None:
    run, server = trained[0], Server(site.folders.queue, mlflow_server.uri)
    run.change(state=State.RUNNING)
    with (run.path / "epochs.jsonl").open("a") as file:
        file.write('{"epoch": 3, "when_ms": 1700000000000, "values": {"train_loss": 0.25}}\n{"epoch": 4, "wh')
    again = send_run(site.folders, run, server)
    assert again is not None
    assert again.run_id == sent
    assert client.get_run(sent).info.status == "RUNNING"
    assert sorted(one.step for one in client.get_metric_history(sent, "train_loss")) == [0, 1, 2, 3]
    run.change(state=State.DONE)
    send_run(site.folders, run, server)
    experiment = client.get_run(sent).info.experiment_id
    assert [one.info.run_id for one in client.search_runs([experiment])] == [sent]


def test_run_that_was_made_by_a_process_that_was_killed_is_found(
    client: Any, sent: str, site: TrainingSettings, trained: tuple[RunFolder, str], mlflow_server: MlflowServer
) -> None:
    run = trained[0]
    record = run.request().output(site.folders) / "mlflow_run.json"
    kept = record.read_text()
    record.write_text(json.dumps({"token": json.loads(kept)["token"]}))  # killed before it could note the ID
    again = send_run(site.folders, run, Server(site.folders.queue, mlflow_server.uri))
    assert again is not None
    assert again.run_id == sent
    assert [one.step for one in client.get_metric_history(sent, "pseudo_dice")] == [0, 1, 2]  # none of them twice


def test_server_that_fails_in_between_loses_nothing(
    site: TrainingSettings, trained: tuple[RunFolder, str], mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    run = trained[0]
    before = read_tracked(run.request().output(site.folders))
    with pytest.raises(RetryLater, match="MLflow at"):
        send_run(site.folders, run, Server(site.folders.queue, f"http://127.0.0.1:{free_port()}"))
    assert read_tracked(run.request().output(site.folders)) == before


@pytest.fixture
def other_folder(site: TrainingSettings) -> Iterator[Path]:
    """The folder of the local store, removed at the end."""
    yield site.folders.queue
    for path in (site.folders.queue / "mlflow.db", site.folders.queue / "mlflow-artifacts"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")  # MLflow's own use of SQLAlchemy
def test_without_a_server_a_file_beside_the_queue_has_it(
    other_folder: Path, site: TrainingSettings, trained: tuple[RunFolder, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracked = send_run(site.folders, trained[0], Server(other_folder))
    assert tracked is not None
    local = MlflowClient(f"sqlite:///{other_folder / 'mlflow.db'}")
    assert len(local.get_metric_history(tracked.run_id, "train_loss")) >= 3
    assert (other_folder / "mlflow-artifacts" / DATASET / tracked.run_id / "artifacts" / "progress.png").is_file()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
