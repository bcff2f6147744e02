"""Settings that a training.yaml may not have, and folders that a group shares."""

import grp
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import ConfigInvalid
from training.folders import nnunet_environment, open_site
from training.settings import TrainingSettings, load_training_settings

ROOT = Path(__file__).parents[2]
FOLDERS = {name: name for name in ("raw", "preprocessed", "results", "queue")}


def load(place: Path, /, **changes: Any) -> TrainingSettings:
    """Settings of a site, read from a file."""
    (place / "training.yaml").write_text(yaml.safe_dump({"folders": FOLDERS} | changes, sort_keys=False))
    return load_training_settings(place / "training.yaml")


@pytest.fixture
def own_umask() -> Any:
    """Leave the mask of the process as it was."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def test_the_example_is_right() -> None:
    settings = load_training_settings(ROOT / "manifests" / "training.example.yaml")
    assert settings.launcher == "local"
    assert settings.database.startswith("sqlite:////")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"folder": "x"}, r"training.yaml:6: folder: .*did you mean folders\?"),
        ({"launcher": "slurn"}, r"training.yaml:6: launcher: "),
        ({"folders": FOLDERS | {"queue": "results/queue"}}, "folders.queue: it lies inside of results"),
        ({"group": "no-such-group-here"}, "training.yaml:6: group: no group no-such-group-here .*groupadd"),
        ({"devices": ["gpu"]}, "training.yaml:6: devices.*nvidia-smi"),
        ({"slurm": {"cpus": 2}}, "training.yaml:6: slurm: .*set launcher: slurm"),
        ({"launcher": "slurm", "slurm": {"options": ["-p gpu"]}}, "no option of sbatch; write it as --name=value"),
        ({"database": "mysql://queue"}, "neither sqlite nor postgresql"),
        ({"checkpoint_minutes": "often"}, "training.yaml:6: checkpoint_minutes: "),
    ],
)
def test_a_fault_is_named_with_its_line_and_remedy(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        load(tmp_path, **changes)


def test_without_a_file_the_message_names_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("training.settings.PLACES", (Path("training.yaml"), tmp_path / "etc" / "training.yaml"))
    with pytest.raises(
        ConfigInvalid, match=r"neither training\.yaml nor .*etc/training\.yaml; copy manifests/training"
    ):
        load_training_settings(None)
    load(tmp_path)
    assert load_training_settings(None).folders.raw == tmp_path / "raw"


def test_shared_folders_hand_their_group_on(tmp_path: Path, own_umask: None) -> None:
    mine = {os.getegid(), *os.getgroups()}
    others = [one.gr_name for one in grp.getgrall() if os.geteuid() == 0 or one.gr_gid in mine]
    group = next((name for name in others if name != grp.getgrgid(tmp_path.stat().st_gid).gr_name), others[0])
    settings = load(tmp_path, group=group)
    open_site(settings)
    written = settings.folders.results / "Dataset001_Tiny" / "fold_0"
    written.mkdir(parents=True)
    (written / "checkpoint_latest.pth").write_bytes(b"")
    for path in (settings.folders.results, written, written / "checkpoint_latest.pth"):
        assert path.group() == group
        assert path.stat().st_mode & stat.S_IWGRP
    assert written.stat().st_mode & stat.S_ISGID


def test_without_a_group_nobody_else_may_write(tmp_path: Path, own_umask: None) -> None:
    settings = load(tmp_path)
    open_site(settings)
    (settings.folders.raw / "file").write_text("")
    assert not (settings.folders.raw / "file").stat().st_mode & stat.S_IWGRP


def test_a_folder_of_somebody_elses_is_refused(tmp_path: Path, own_umask: None) -> None:
    (tmp_path / "raw").write_text("a file")
    with pytest.raises(ConfigInvalid, match=r"folders\.raw: .*File exists"):
        open_site(load(tmp_path))


def test_nnunet_is_told_its_folders(tmp_path: Path) -> None:
    settings = load(tmp_path)
    told = nnunet_environment(settings.folders)
    assert told == {
        "nnUNet_raw": str(tmp_path / "raw"),
        "nnUNet_preprocessed": str(tmp_path / "preprocessed"),
        "nnUNet_results": str(tmp_path / "results"),
    }
