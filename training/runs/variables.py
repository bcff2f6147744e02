"""Environment variables of a run's process."""

import os

from training.folders import nnunet_environment
from training.settings import Folders

_MOST_HELPERS = 8
"""nnU-Net's own number of processes that write what is validated; each loads torch, whatever cores there are."""


def variables_of_run(folders: Folders, cores: int) -> dict[str, str]:
    """Return nnU-Net's folders, and as many threads and helpers as the run has cores; what is set here counts more.

    Parameters
    ----------
    folders
        Of the site.
    cores
        The run's share of the machine.
    """
    numbers = {"OMP_NUM_THREADS": cores, "nnUNet_def_n_proc": min(cores, _MOST_HELPERS)}
    shares = {name: os.environ.get(name, str(number)) for name, number in numbers.items()}
    return {**shares, "OMP_WAIT_POLICY": "PASSIVE", **nnunet_environment(folders)}
