"""A composite stands behind an alias of the service as any model does."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from core.image_files.reader import read_image
from phantom import make_phantom
from phantom.series import write_series
from segmentation.importing.totalsegmentator import add_totalsegmentator
from segmentation.inference.engine import Engine
from segmentation.inference.model_pool import ModelPool
from services.aliases import Aliases
from services.settings import load_service_settings
from services.worker.task_models import Packages
from tests.services.worker.test_reading import GRID
from tests.services.worker.test_segment_job import Jobs
from tests.support.service_cases import write_case
from tests.support.service_process import ServiceProcess
from tests.support.totalsegmentator_folder import make_totalsegmentator
from tests.support.trained_folders import answered


def test_totalseg_gives_the_labels_of_all_parts(tmp_path: Path) -> None:
    make_totalsegmentator(tmp_path / "weights")
    package = answered(add_totalsegmentator(tmp_path / "weights", "total", tmp_path / "models"))
    folder = tmp_path / "service"
    folder.mkdir()
    aliases = {"totalseg": "total", "tumor": "total"}
    settings = load_service_settings(ServiceProcess(folder, folder, tmp_path / "models", aliases).config)
    case = write_case(tmp_path / "cases" / "0001")
    jobs = Jobs(tmp_path / "cases", (Packages(Aliases(settings)), ModelPool("cpu")))
    found = jobs.run(task="totalseg", image_path="cases:0001/A.nii.gz")["totalseg"]
    assert jobs.reads == 1
    assert found.model_sha256 == package.sha256
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(case / "mask" / "total_A.nii.gz")))
    expected = Engine(package, "cpu").segment(read_image([case / "A.nii.gz"], 1)).label_map.array
    assert np.array_equal(written, expected)
    assert len(np.unique(written)) > 60
    write_series(make_phantom(GRID, phase="A"), tmp_path / "cases" / "0002" / "A")
    batch = jobs.run(task="batch", tasks=["totalseg", "tumor"], image_path="cases:0002/A")
    assert jobs.reads == 1  # whatever number of networks a model has, and however many models there are
    assert not any(mask.existing for mask in batch.values())
