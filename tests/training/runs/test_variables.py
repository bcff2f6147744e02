"""Variables of a run's process: a share of the machine, unless somebody set another."""

from pathlib import Path

import pytest

from tests.support.tiny_training import make_site
from training.runs.variables import variables_of_run


@pytest.mark.parametrize(("cores", "helpers"), [(1, "1"), (2, "2"), (64, "8")])
def test_threads_and_helpers_are_those_of_the_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, helpers: str
) -> None:
    for name in ("OMP_NUM_THREADS", "nnUNet_def_n_proc"):
        monkeypatch.delenv(name, raising=False)
    folders = make_site(tmp_path).folders
    found = variables_of_run(folders, cores)
    assert (found["OMP_NUM_THREADS"], found["nnUNet_def_n_proc"]) == (str(cores), helpers)
    assert found["nnUNet_results"] == str(folders.results)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert variables_of_run(folders, cores)["OMP_NUM_THREADS"] == "3"
