"""A job reads each image once, none too large, of the stated phase, and ends when it is cancelled."""

import gzip
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml

from core.cancellation import Cancellation
from core.errors import Cancelled, ConfigInvalid, RequestCode, RequestRefused, RetryLater, StudyRejected
from core.model_config import ModelConfig, PostprocessingStep
from core.volume import Geometry
from phantom import make_phantom
from phantom.series import make_series, save_series, write_series
from phantom.tags import SeriesTags
from segmentation.importing.add import add_package
from segmentation.inference.available_memory import Memory
from segmentation.inference.memory_estimate import STEP_BYTES
from segmentation.inference.model_pool import ModelPool
from segmentation.package.package import load_package
from services.aliases import Aliases, check_fits
from services.images.image_reader import ImageReader
from services.images.limits import Limits
from services.images.safe_open import OpenFile
from services.images.shared_paths import SharedFile
from services.jobs.requests import parse_request
from services.settings import load_service_settings
from services.worker.mask_job import MaskJob
from services.worker.task_models import Packages
from tests.faults.table import FAULT
from tests.services.worker.test_segment_job import Jobs
from tests.support.service_cases import ALIASES, make_models, say_phases, shared, write_case, write_image
from tests.support.service_process import ServiceProcess
from tests.support.tiny_models import make_results_folder

GRID = Geometry((10, 24, 24), (3.0, 1.5, 1.5), (20.0, -10.0, 0.0), np.eye(3))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def warm(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Packages, ModelPool]:
    return packages_of(models, tmp_path_factory.mktemp("service")), ModelPool("cpu")


def packages_of(models: Path, folder: Path) -> Packages:
    return Packages(Aliases(load_service_settings(ServiceProcess(folder, folder, models, ALIASES).config)))


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Three phases of a made patient as folders of DICOM."""
    for phase in ("A", "P", "D"):
        write_series(make_phantom(GRID, phase=phase), tmp_path / "cases" / "0002" / phase)
    return tmp_path / "cases"


@pytest.fixture
def jobs(volume: Path, warm: tuple[Packages, ModelPool]) -> Jobs:
    return Jobs(volume, warm)


BATCH: dict[str, Any] = {
    "task": "batch",
    "tasks": ["totalseg", "vessel", "ureter", "tumor"],
    "image_path": "cases:0002/A",
    "image_A_path": "cases:0002/A",
    "image_P_path": "cases:0002/P",
    "image_D_path": "cases:0002/D",
}


def test_a_batch_reads_and_hashes_each_folder_of_dicom_once(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []

    def sha256(file: OpenFile) -> str:
        hashed.append(file.path.readlink())
        return original(file)

    original = OpenFile.sha256
    monkeypatch.setattr(OpenFile, "sha256", sha256)
    found = jobs.run(**BATCH)
    assert jobs.reads == 3
    assert sorted(found) == ["totalseg", "tumor", "ureter", "vessel"]
    assert len(hashed) == len(set(hashed)) == 3 * GRID.shape[0]


def test_two_folders_are_two_images_though_their_series_has_one_uid(jobs: Jobs, volume: Path) -> None:
    datasets = make_series(make_phantom(GRID, phase="P"), series=SeriesTags(description="portal"))
    arterial = make_series(make_phantom(GRID, phase="A"))
    for dataset in datasets:
        dataset.SeriesInstanceUID = arterial[0].SeriesInstanceUID
    save_series(datasets, volume / "0003" / "P")
    save_series(arterial, volume / "0003" / "A")
    assert not jobs.run(task="vessel", image_A_path="cases:0003/A", image_P_path="cases:0003/P")["vessel"].existing
    assert jobs.reads == 2


def test_a_mask_that_vanishes_in_the_middle_of_a_batch_breaks_nothing(jobs: Jobs, volume: Path) -> None:
    jobs.run(task="tumor", image_path="cases:0002/A")
    mask = volume / "0002" / "mask" / "tumor_A.nii.gz"
    assert mask.exists()
    jobs.on_progress = lambda done: mask.unlink(missing_ok=True)
    assert set(jobs.run(**{**BATCH, "tasks": ["ureter", "tumor"]})) == {"ureter", "tumor"}


def test_a_cancelled_job_ends_before_it_reads(jobs: Jobs) -> None:
    jobs.cancellation = Cancellation(lambda: True)
    with pytest.raises(Cancelled):
        jobs.run(**BATCH)
    assert jobs.reads == 0


def test_a_cancelled_job_ends_between_two_images(jobs: Jobs) -> None:
    jobs.cancellation = Cancellation(lambda: jobs.reader is not None and jobs.reader.reads == 1)
    with pytest.raises(Cancelled):
        jobs.run(task="vessel", image_A_path="cases:0002/A", image_P_path="cases:0002/P")
    assert jobs.reads == 1


def hash_and_look(reader: ImageReader, image: SharedFile, config: ModelConfig) -> None:
    """The first reads every file, the second every header."""
    assert reader.open(image, "image_path").digest
    reader.look(image, "image_path", config.channels[0], config)


@pytest.mark.parametrize("files", [2, GRID.shape[0] + 2])
def test_a_cancelled_job_ends_between_two_files(files: int, models: Path, volume: Path) -> None:
    looks = []

    def is_cancelled() -> bool:
        looks.append(len(looks))
        return len(looks) == files

    image, reader = shared(volume / "0002" / "A", volume), ImageReader(Limits(), Cancellation(is_cancelled))
    config = load_package(models / ALIASES["tumor"]).config
    try:
        with pytest.raises(Cancelled):
            hash_and_look(reader, image, config)
    finally:
        reader.close()
    assert len(looks) == files


@pytest.mark.parametrize(
    "request_",
    [
        {"task": "tumor", "image_path": "cases:0001/A.nii.gz"},
        {"task": "tumor", "image_path": "cases:0002/A"},
        {"task": "smooth", "mask_path": "cases:0001/A.nii.gz", "strength": 1.0},
    ],
)
def test_an_image_larger_than_is_taken_is_refused_unread(request_: dict[str, Any], jobs: Jobs, volume: Path) -> None:
    write_case(volume / "0001")
    jobs.limits = Limits(image_gigabytes=1e-6)
    assert jobs.refused(**request_) == "over_limits"
    assert jobs.reads == 0


def test_an_image_too_large_for_this_machine_is_refused_unread(models: Path, volume: Path, tmp_path: Path) -> None:
    small = ModelPool("cpu", host=lambda: Memory(1 << 30, 1 << 30))
    jobs = Jobs(volume, (packages_of(models, tmp_path / "service"), small))
    assert jobs.refused(task="tumor", image_path="cases:0002/A") == "too_large"
    assert jobs.reads == 0


@pytest.mark.parametrize(
    ("free", "total", "code"),
    [(2 << 30, 2 << 30, None), (1 << 40, 1 << 30, "too_large"), (0, 1 << 40, "later"), (100_000, 1 << 40, "later")],
)
def test_work_on_a_mask_is_held_against_the_memory(
    free: int, total: int, code: str | None, jobs: Jobs, volume: Path
) -> None:
    mask = np.zeros(GRID.shape, np.uint8)
    mask[1:9, 1:23, 1:23] = 1  # 92 kB as it is read, 174 kB as it is smoothed
    write_image(volume / "0002" / "mine.nii.gz", mask, GRID)
    request = parse_request({"task": "smooth", "mask_path": "cases:0002/mine.nii.gz", "strength": 1.0})
    work = MaskJob(jobs.roots, jobs.locks, jobs.limits, lambda: Memory(free, total))
    expected = {"later": pytest.raises(RetryLater, match="GB are free"), "too_large": pytest.raises(StudyRejected)}
    with expected[code] if code else nullcontext():
        work.run(request, lambda done: None)  # type: ignore[arg-type]  # told apart by task


def test_every_step_has_its_measure() -> None:
    kinds = [kind for union in get_args(PostprocessingStep)[:1] for kind in get_args(union)]
    assert {get_args(kind.model_fields["step"].annotation)[0] for kind in kinds} == set(STEP_BYTES)


class TestPhases:
    """Two phases are never taken for each other."""

    def test_a_package_that_names_none_is_refused(self, tmp_path: Path) -> None:
        source = make_results_folder(tmp_path / "two", "two_channels")
        package = add_package(source, "two", tmp_path / "models")
        with pytest.raises(ConfigInvalid, match=r"takes any phase; name it in its model\.yaml .*phase: \[arterial\]"):
            check_fits("vessel", package)
        say_phases(package.folder / "model.yaml", ("portal", "arterial"))
        with pytest.raises(ConfigInvalid, match=r"image_A_path is arterial, but channel .* takes portal"):
            check_fits("vessel", load_package(package.folder))
        say_phases(package.folder / "model.yaml", ("arterial", "portal"))
        check_fits("vessel", load_package(package.folder))

    def test_a_folder_of_another_phase_is_refused(self, jobs: Jobs) -> None:
        swapped = {"image_A_path": "cases:0002/P", "image_P_path": "cases:0002/A"}
        assert jobs.refused(task="vessel", **swapped) == "no_matching_series"
        assert jobs.refused(task="ureter", image_D_path="cases:0002/A") == "no_matching_series"

    def test_package_of_several_phases_gets_the_phase_of_the_request(
        self, models: Path, volume: Path, warm: tuple[Packages, ModelPool], tmp_path: Path
    ) -> None:
        path = models / ALIASES["vessel"] / "model.yaml"
        before = path.read_text()
        content = yaml.safe_load(before)
        for channel in content["channels"]:
            channel["series"]["phase"] = ["arterial", "portal"]
        path.write_text(yaml.safe_dump(content))
        try:
            jobs = Jobs(volume, warm)
            swapped = {"image_A_path": "cases:0002/P", "image_P_path": "cases:0002/A"}
            assert jobs.refused(task="vessel", **swapped) == "no_matching_series"
        finally:
            path.write_text(before)


def cut_stream(content: bytes) -> bytes:
    return content[: len(content) * 6 // 10]


def one_bit(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("A.nii", lambda content: cut_stream(gzip.decompress(content)), "the file is cut short"),
        ("A.nii.gz", cut_stream, "its gzip stream is cut short"),
        ("A.nii.gz", one_bit, "is damaged"),
    ],
)
@pytest.mark.parametrize("kind", ["image", "mask"])
def test_damaged_nifti_is_refused_in_words_without_its_path(
    name: str,
    change: Callable[[bytes], bytes],
    told: str,
    kind: str,
    jobs: Jobs,
    volume: Path,
    record_property: Callable[[str, object], None],
) -> None:
    record_property(FAULT, f"a NIfTI {kind} for the service of which {told.removeprefix('its ')}")
    write_case(volume / "0009")
    content = (volume / "0009" / "A.nii.gz").read_bytes()
    (volume / "0009" / name).write_bytes(change(content))
    path = f"cases:0009/{name}"
    content_of: dict[str, dict[str, Any]] = {"image": {"task": "tumor", "image_path": path}}
    content_of["mask"] = {"task": "smooth", "mask_path": path, "strength": 1.0}
    with pytest.raises(RequestRefused) as caught:
        jobs.run(**content_of[kind])
    assert caught.value.code is RequestCode.UNREADABLE_IMAGE
    assert told in caught.value.detail
    assert str(volume) not in str(caught.value)
    assert "/tmp" not in str(caught.value)  # noqa: S108 - where the link lies that the reader was given
