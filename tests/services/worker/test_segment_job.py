"""One job: each image decoded once, phases told by files, masks equal to the engine's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from core.cancellation import NEVER
from core.errors import PackageInvalid, RequestCode, RequestRefused, StudyRejected
from core.image_files.reader import read_image
from core.volume import Geometry
from phantom import make_phantom
from phantom.series import make_series, save_series, write_series
from phantom.tags import StudyTags
from segmentation.inference.engine import Engine
from segmentation.inference.model_pool import ModelPool
from segmentation.package.package import load_package
from segmentation.postprocessing.steps import postprocess
from services.aliases import Aliases
from services.images.image_reader import ImageReader
from services.images.limits import Limits
from services.images.shared_paths import Root, Roots
from services.jobs.requests import parse_request
from services.jobs.results import MaskResult
from services.masks.mask_locks import Locks
from services.offered_models import offered_models
from services.settings import load_service_settings
from services.worker.mask_job import MaskJob
from services.worker.segment_job import SegmentJob
from services.worker.task_models import Packages
from tests.faults.table import FAULT
from tests.support.service_cases import ALIASES, make_models, write_case, write_image
from tests.support.service_process import ServiceProcess


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def warm(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Packages, ModelPool]:
    folder = tmp_path_factory.mktemp("service")
    settings = load_service_settings(ServiceProcess(folder, folder, models, ALIASES).config)
    return Packages(Aliases(settings)), ModelPool("cpu")


class Jobs:
    """Runs requests on one volume, a job each."""

    def __init__(self, volume: Path, models: tuple[Packages, ModelPool]) -> None:
        self.roots = Roots({"cases": Root(volume)})
        self.locks = Locks(volume.parent / "locks")
        self.models = models
        self.limits = Limits()
        self.reads = 0
        self.progress: list[float] = []
        self.on_progress: Callable[[float], None] = self.progress.append
        self.cancellation = NEVER
        self.reader: ImageReader | None = None

    def run(self, **content: Any) -> dict[str, MaskResult]:
        request = parse_request(content)
        if request.task in ("smooth", "postprocess"):
            work = MaskJob(self.roots, self.locks, self.limits)
            return {request.task: work.run(request, self.on_progress, self.cancellation)}  # type: ignore[arg-type]  # told apart by task
        self.reader = ImageReader(self.limits, self.cancellation)
        inference = SegmentJob(self.roots, *self.models, self.locks, self.reader)
        try:
            return inference.run(request, self.on_progress, self.cancellation)  # type: ignore[arg-type]  # told apart by task
        finally:
            self.reads = inference.reader.reads

    def refused(self, **content: Any) -> str:
        with pytest.raises((RequestRefused, StudyRejected)) as caught:
            self.run(**content)
        return str(caught.value.code)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    write_case(tmp_path / "cases" / "0001")
    return tmp_path / "cases"


@pytest.fixture
def jobs(volume: Path, warm: tuple[Packages, ModelPool]) -> Jobs:
    return Jobs(volume, warm)


def voxels(path: Path) -> Any:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_a_batch_decodes_each_image_once_and_gives_what_the_engine_gives(
    jobs: Jobs, volume: Path, models: Path
) -> None:
    found = jobs.run(
        task="batch",
        tasks=["totalseg", "vessel", "ureter", "tumor"],
        image_path="cases:0001/A.nii.gz",
        image_A_path="cases:0001/A.nii.gz",
        image_P_path="cases:0001/P.nii.gz",
        image_D_path="cases:0001/D.nii.gz",
    )
    assert jobs.reads == 3
    assert jobs.progress == sorted(jobs.progress)
    assert jobs.progress[-1] == 1
    case = volume / "0001"
    for task, images in {"tumor": "A", "ureter": "D", "vessel": "AP"}.items():
        package = load_package(models / ALIASES[task])
        image = read_image([case / f"{phase}.nii.gz" for phase in images], len(images))
        expected = postprocess(Engine(package, "cpu").segment(image).label_map, package.config.postprocessing)
        written = voxels(case / "mask" / Path(found[task].mask_path).name)
        assert np.array_equal(written, expected.array)
        assert found[task].volumes_ml == expected.volumes_ml()
        assert found[task].model_sha256 == package.sha256
    assert found["totalseg"].mask_path == "cases:0001/mask/total_A.nii.gz"


def test_open_question_about_a_model_refuses_its_jobs_until_it_is_answered(
    jobs: Jobs, models: Path, caplog: pytest.LogCaptureFixture, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, "a job of the service for a package with an open question")
    ask = {"task": "tumor", "image_path": "cases:0001/A.nii.gz"}
    assert jobs.run(**ask)["tumor"].warnings == ()
    model_yaml = models / ALIASES["tumor"] / "model.yaml"
    decided = model_yaml.read_text()
    model_yaml.write_text(decided.replace("orientation:", "# DECIDE: the organ\norientation:"))
    try:
        for _ in range(2):
            with pytest.raises(RequestRefused) as caught:
                jobs.run(**ask)
            assert caught.value.code is RequestCode.PACKAGE_UNDECIDED
            assert caught.value.detail == f"{ALIASES['tumor']}: orientation: the organ"
    finally:
        model_yaml.write_text(decided)
    jobs.run(**ask)
    logged = [vars(one) for one in caplog.records if one.message == "model_warning_raised"]
    assert [(one["warning"], one["model"]) for one in logged] == [("package_undecided", ALIASES["tumor"])]
    assert "the organ" in logged[0]["problem"]


def test_open_question_keeps_a_package_from_an_alias_and_from_the_list_of_usable_ones(
    models: Path, tmp_path: Path
) -> None:
    aliases = Aliases(load_service_settings(ServiceProcess(tmp_path, tmp_path, models, ALIASES).config))

    def usable() -> set[str]:
        assert {one.name for one in Packages(aliases).all()} == {
            one.model for one in offered_models(aliases).models if one.usable
        }
        return {one.alias for one in offered_models(aliases).models if one.usable}

    assert usable() == set(ALIASES)
    model_yaml = models / ALIASES["tumor"] / "model.yaml"
    decided = model_yaml.read_text()
    model_yaml.write_text(f"{decided}# DECIDE: the organ\n")
    try:
        assert usable() == set(ALIASES) - {"tumor"}
        with pytest.raises(PackageInvalid, match="package_undecided: no route and no alias may load"):
            aliases.set("tumor", ALIASES["tumor"])
    finally:
        model_yaml.write_text(decided)
    aliases.set("tumor", ALIASES["tumor"])


def test_a_repeated_request_gets_the_same_mask_unless_something_changed(jobs: Jobs, volume: Path) -> None:
    ask = {"task": "tumor", "image_path": "cases:0001/A.nii.gz"}
    first = jobs.run(**ask)["tumor"]
    mask = volume / "0001" / "mask" / "tumor_A.nii.gz"
    made = mask.stat().st_mtime_ns
    again = jobs.run(**ask)["tumor"]
    assert (first.existing, again.existing, jobs.reads) == (False, True, 0)
    assert again.volumes_ml == first.volumes_ml
    assert mask.stat().st_mtime_ns == made
    jobs.run(**ask, force=True)
    assert mask.stat().st_mtime_ns > made
    write_case(volume / "0001", seed=5)
    assert not jobs.run(**ask)["tumor"].existing


@pytest.mark.parametrize(
    ("name", "code"),
    [("P.nii.gz", "wrong_phase"), ("image_A.nii.gz", "wrong_phase"), ("scan.nii.gz", None), ("D.nii.gz", None)],
)
def test_the_name_of_a_file_tells_its_phase(name: str, code: str | None, jobs: Jobs, volume: Path) -> None:
    (volume / "0001" / "D.nii.gz").rename(volume / "0001" / name)
    ask = {"task": "ureter", "image_D_path": f"cases:0001/{name}"}
    assert (jobs.refused(**ask) if code else jobs.run(**ask) and None) == code


def test_a_sidecar_tells_the_phase(jobs: Jobs, volume: Path) -> None:
    case = volume / "0001"
    (case / "D.nii.gz").rename(case / "7.nii.gz")
    (case / "7.json").write_text('{"SeriesDescription": "Abdomen portal venous 3.0"}')
    assert jobs.refused(task="ureter", image_D_path="cases:0001/7.nii.gz") == "wrong_phase"


def test_two_phases_are_two_images(jobs: Jobs, volume: Path) -> None:
    jobs_case = volume / "0001"
    same = {"image_A_path": "cases:0001/A.nii.gz", "image_P_path": "cases:0001/A.nii.gz"}
    assert jobs.refused(task="vessel", **same) == "invalid_request"
    (jobs_case / "P.nii.gz").write_bytes((jobs_case / "A.nii.gz").read_bytes())
    assert jobs.refused(task="vessel", **same | {"image_P_path": "cases:0001/P.nii.gz"}) == "invalid_request"


def test_a_portal_phase_that_lies_elsewhere_is_refused(jobs: Jobs, volume: Path) -> None:
    image = sitk.ReadImage(str(volume / "0001" / "P.nii.gz"))
    image.SetOrigin((500.0, 0.0, 0.0))
    sitk.WriteImage(image, str(volume / "0001" / "P.nii.gz"))
    ask = {"image_A_path": "cases:0001/A.nii.gz", "image_P_path": "cases:0001/P.nii.gz"}
    assert jobs.refused(task="vessel", **ask) == "grids_differ"
    assert jobs.refused(task="vessel", **ask, registration="rigid") == "registration_failed"


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x1f\x8b\x08"])
def test_a_file_that_is_not_an_image_is_refused(content: bytes, jobs: Jobs, volume: Path) -> None:
    (volume / "0001" / "x.nii.gz").write_bytes(content)
    assert jobs.refused(task="tumor", image_path="cases:0001/x.nii.gz") == "unreadable_image"
    (volume / "0001" / "x.png").write_bytes(content)
    assert jobs.refused(task="tumor", image_path="cases:0001/x.png") == "unreadable_image"


@pytest.mark.parametrize("name", ["x.nrrd", "x.mha", "x.nii.gz"])
def test_a_header_that_names_another_file_is_not_followed(name: str, jobs: Jobs, volume: Path) -> None:
    secret = volume.parent / "secret"
    secret.write_bytes(bytes(range(8)))
    (volume / "0001" / name).write_text(
        f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: {secret}\n\n"
        if name != "x.mha"
        else f"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = {secret}\n"
    )
    if name != "x.nii.gz":
        assert sitk.ReadImage(str(volume / "0001" / name)).GetSize() == (2, 2, 2)  # as another reader would
    steps = [{"step": "remove_small", "min_volume_mm3": 0.1}]
    assert jobs.refused(task="postprocess", mask_path=f"cases:0001/{name}", steps=steps) == "unreadable_image"
    assert jobs.refused(task="tumor", image_path=f"cases:0001/{name}") == "unreadable_image"


def test_an_image_that_changes_while_it_is_read_gives_no_mask(
    jobs: Jobs, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.errors import RetryLater

    def changing(paths: list[Path], channels: int) -> Any:
        image = read_image(paths, channels)
        paths[0].write_bytes(paths[0].read_bytes() + b"\0")
        return image

    monkeypatch.setattr("services.images.image_reader.read_image", changing)
    with pytest.raises(RetryLater, match="changed while"):
        jobs.run(task="tumor", image_path="cases:0001/A.nii.gz")
    assert list((volume / "0001" / "mask").iterdir()) == []


def test_a_dicom_folder_gives_mask_and_seg(jobs: Jobs, volume: Path) -> None:
    grid = Geometry((10, 24, 24), (3.0, 1.5, 1.5), (20.0, -10.0, 0.0), np.eye(3))
    series = make_series(make_phantom(grid))
    for dataset in series:
        dataset.ClinicalTrialSubjectID = "S1"
    save_series(series, volume / "0002" / "dicom")
    found = jobs.run(task="tumor", image_path="cases:0002/dicom", output=["dicom_seg"])["tumor"]
    (told,) = found.warnings
    assert told.startswith("inherited_incomplete: ")
    assert told.endswith("They are: ClinicalTrialSponsorName, ClinicalTrialProtocolID.")
    assert found.mask_path == "cases:0002/mask/tumor_dicom.nii.gz"
    assert found.seg_path == "cases:0002/mask/tumor_dicom.seg.dcm"
    assert (volume / "0002" / "mask" / "tumor_dicom.seg.dcm").exists()
    assert jobs.refused(task="tumor", image_path="cases:0001/P.nii.gz", output=["dicom_seg"]) == "invalid_request"


def test_a_folder_of_two_studies_is_two_images(jobs: Jobs, volume: Path) -> None:
    grid = Geometry((10, 24, 24), (3.0, 1.5, 1.5), (20.0, -10.0, 0.0), np.eye(3))
    for name in ("one", "another"):
        write_series(make_phantom(grid), volume / "0002" / "dicom" / name, study=StudyTags(name))
    with pytest.raises(RequestRefused, match="2 studies; name the folder of one study") as caught:
        jobs.run(task="tumor", image_path="cases:0002/dicom")
    assert caught.value.code is RequestCode.UNREADABLE_IMAGE
    assert jobs.run(task="tumor", image_path="cases:0002/dicom/one")["tumor"].volumes_ml


def test_a_mask_is_smoothed_and_processed_without_its_image(jobs: Jobs, volume: Path) -> None:
    jobs.run(task="tumor", image_path="cases:0001/A.nii.gz")
    for image in (volume / "0001").glob("*.nii.gz"):
        image.unlink()
    mask = "cases:0001/mask/tumor_A.nii.gz"
    before = voxels(volume / "0001" / "mask" / "tumor_A.nii.gz")
    smooth = jobs.run(task="smooth", mask_path=mask, labels=["liver"], strength=2.0)["smooth"]
    after = voxels(volume / "0001" / "mask" / "tumor_A_smooth.nii.gz")
    assert smooth.mask_path == "cases:0001/mask/tumor_A_smooth.nii.gz"
    assert set(smooth.volumes_ml) == {"liver", "left kidney", "tumour"}
    assert (before != after).any()
    assert np.array_equal(before[before > 1], after[before > 1])
    steps = [{"step": "keep_largest", "labels": [1]}]
    jobs.run(task="postprocess", mask_path=mask, steps=steps)
    kept = voxels(volume / "0001" / "mask" / "tumor_A_postprocess.nii.gz")
    assert (
        sitk.GetArrayFromImage(
            sitk.ConnectedComponent(sitk.GetImageFromArray((kept == 1).astype(np.uint8)), True)
        ).max()
        == 1
    )
    assert jobs.run(task="postprocess", mask_path=mask, steps=steps)["postprocess"].existing
    assert jobs.refused(task="smooth", mask_path=mask, labels=["spleen"], strength=1.0) == "invalid_request"
    assert jobs.refused(task="postprocess", mask_path=mask, steps=[{"step": "fill_holes", "labels": [9]}]) == (
        "invalid_request"
    )


def test_an_image_is_refused_as_a_mask(jobs: Jobs) -> None:
    assert jobs.refused(task="smooth", mask_path="cases:0001/A.nii.gz", strength=1.0) == "unreadable_image"


def test_a_person_s_own_mask_is_processed_by_its_values(jobs: Jobs, volume: Path) -> None:
    image = read_image([volume / "0001" / "A.nii.gz"], 1)
    array = np.zeros(image.geometry.shape, np.float32)
    array[2:9, 3:9, 4:12], array[10, 20, 3] = 7, 7
    write_image(volume / "0001" / "mine.nii.gz", array, image.geometry)
    found = jobs.run(
        task="postprocess", mask_path="cases:0001/mine.nii.gz", steps=[{"step": "keep_largest", "labels": [7]}]
    )["postprocess"]
    assert set(found.volumes_ml) == {"7"}
    assert found.mask_path == "cases:0001/mask/mine_postprocess.nii.gz"
    assert np.count_nonzero(voxels(volume / "0001" / "mask" / "mine_postprocess.nii.gz")) == 7 * 6 * 8
    (volume / "0001" / "mine.nii.gz").rename(volume / "0001" / "mask" / "mine.nii.gz")
    again = {"task": "postprocess", "mask_path": "cases:0001/mask/mine.nii.gz", "steps": [{"step": "keep_largest"}]}
    assert jobs.refused(**again) == "mask_in_the_way"  # of two masks of one name neither is taken for the other


def test_codes_of_requests_have_a_test() -> None:
    here = {"wrong_phase", "invalid_request", "registration_failed", "unreadable_image", "over_limits"}
    elsewhere = {"path_outside_roots", "no_such_file", "mask_in_the_way", "unknown_job", "queue_full"}
    elsewhere |= {"deadline_exceeded", "job_too_long", "unknown_alias", "package_undecided"}
    assert here | elsewhere == set(RequestCode)
