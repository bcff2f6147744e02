"""Runs on a real SLURM of this machine: an array of them, one of which SLURM queues again in mid-training."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.errors import ConfigInvalid
from tests.support.node_process import wait_until
from tests.support.slurm import PROGRAMS, Slurm, running_slurm
from tests.support.tiny_training import DATASET, environment_of, prepared_site
from tests.training.runs.kills import BEGUN, GONE_ON, starts
from training.runs.records import RunFolder, RunRequest, State
from training.runs.slurm import cancel, submit
from training.settings import TrainingSettings

EPOCHS = 60


@pytest.fixture(scope="module")
def slurm(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    for program in PROGRAMS:
        peer(program)
    with running_slurm(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def site(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingSettings:
    options = {"hours": 1, "cpus": 1, "memory_gb": 0.5, "gpu_option": None}
    site = prepared_site(tmp_path, launcher="slurm", slurm=options)
    for name, value in {**environment_of(site), **slurm.environment}.items():
        monkeypatch.setenv(name, value)
    return site


def queue(site: TrainingSettings, trainer: str = "nnUNetTrainer") -> RunFolder:
    request = RunRequest(
        dataset=DATASET, configuration="3d_fullres", fold="all", trainer=trainer, epochs=EPOCHS, iterations=1
    )
    return RunFolder.create(site.folders.queue, request)


def test_requeued_run_goes_on_and_its_neighbour_is_left_alone(
    site: TrainingSettings, slurm: Slurm, tmp_path: Path
) -> None:
    runs = [queue(site), queue(site, "nnUNetTrainerNoMirroring")]
    job = submit(site, tmp_path / "training.yaml", runs)
    wait_until(lambda: runs[0].progress().saved_epoch > 0)
    saved = runs[0].progress().saved_epoch
    slurm.ask("scontrol", "requeue", f"{job}_0")
    wait_until(lambda: slurm.begin_now() or len(starts(runs[0])) > 1, every_s=0.5)  # type: ignore[func-returns-value]
    for run in runs:
        wait_until(lambda: run.state().state.is_over)  # noqa: B023 - asked at once
        assert (run.state().state, run.progress().epoch) == (State.DONE, EPOCHS), run.last_lines(20)
    first, second = starts(runs[0])
    assert first.startswith(BEGUN)
    assert second.startswith(GONE_ON)
    assert int(second.partition("after epoch ")[2].split()[0]) >= saved
    assert len(starts(runs[1])) == 1
    assert [run.state().job for run in runs] == [f"{job}_0", f"{job}_1"]


def test_waiting_job_is_cancelled(site: TrainingSettings, slurm: Slurm, tmp_path: Path) -> None:
    held = site.model_copy(update={"slurm": site.sbatch.model_copy(update={"options": ("--hold",)})})
    run = queue(site)
    submit(held, tmp_path / "training.yaml", [run])
    assert slurm.ask("squeue", "--noheader").strip()
    cancel(run.state().job)
    wait_until(lambda: not slurm.ask("squeue", "--noheader").strip())
    assert starts(run) == []


def test_refusal_of_the_cluster_is_told_in_its_words(site: TrainingSettings, tmp_path: Path) -> None:
    wrong = site.model_copy(update={"slurm": site.sbatch.model_copy(update={"partition": "no-such-partition"})})
    with pytest.raises(
        ConfigInvalid, match=r"(?s)SLURM refuses: .*invalid partition.*correct slurm: in training\.yaml"
    ):
        submit(wrong, tmp_path / "training.yaml", [queue(site)])


def test_machine_without_slurm_says_so(site: TrainingSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigInvalid, match="no program sbatch; install SLURM's client programs"):
        submit(site, tmp_path / "training.yaml", [queue(site)])
