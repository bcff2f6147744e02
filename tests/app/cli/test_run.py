"""``segnode run`` and ``python -m app`` on made and on real series: files, exit codes, report."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread

from app.__main__ import main as map_main
from app.cli import main as cli
from core.errors import ConfigInvalid, RetryLater
from dicom_io.images.volume import VolumeReader
from dicom_io.results.outbox import StudyOutbox
from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import make_series, save_series
from phantom.tags import SeriesTags, StudyTags
from segmentation.inference.engine import Engine
from tests.e2e.conftest import make_model
from tests.support.series_faults import drop_slice, empty_uid, several_echoes, unreadable_pixels

pytestmark = pytest.mark.slow

CANARIES = ("Canary^Patient", "CANARY-ID")
STUDY = StudyTags(patient_name=CANARIES[0], patient_id=CANARIES[1])
REPORT_KEYS = [
    "schema",
    "segnode",
    "date",
    "study",
    "outcome",
    "reason",
    "series",
    "models",
    "warnings",
    "timings_s",
    "device",
]
MODEL_KEYS = ["name", "sha256", "profile", "backend", "spacing_mm", "geometry", "volumes_ml", "labels", "outputs"]
MODEL_KEYS += ["seg_sop_instance_uid", "not_for_clinical_use"]
STAGES = {"read", "preprocess", "network", "labels", "postprocess", "seg", "total"}

Run = Callable[..., int]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages ``tiny`` and ``second`` for any CT, ``mri`` for MR."""
    folder, work = tmp_path_factory.mktemp("run_models"), tmp_path_factory.mktemp("run_nnunet")
    make_model(folder, work, "tiny", {"modality": ["CT"]})
    make_model(folder, work, "second", {"modality": ["CT"]})
    make_model(folder, work, "measured", {"modality": ["CT"]})
    with (folder / "measured" / "model.yaml").open("a") as file:
        file.write("measure: {}\n")
    make_model(folder, work, "mri", {"modality": ["MR"]})
    make_model(folder, work, "echo", {"modality": ["MR"], "volume": {"echo": 2}})
    return folder


@pytest.fixture
def run(models: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line in this process and give its exit code."""
    monkeypatch.setenv("SEGNODE_MODELS", str(models))

    def call(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["segnode", "run", *map(str, arguments), "--device", "cpu"])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(str(caught.value.code))

    return call


def write_ct(folder: Path, study: StudyTags = STUDY, *, broken: bool = False) -> str:
    """Write a small CT study; gives its UID."""
    geometry = trunk_geometry((12.0, 6.0, 6.0), extent=(180.0, 240.0, 300.0))
    series = make_series(make_phantom(geometry, phase="P"), study=study)
    save_series(drop_slice(series) if broken else series, folder)
    return study.uid


def report_of(output: Path, study_uid: str) -> dict[str, object]:
    content: dict[str, object] = json.loads((output / study_uid / "report.json").read_text(encoding="utf-8"))
    return content


def test_a_study_becomes_seg_picture_nifti_and_report(run: Run, tmp_path: Path) -> None:
    uid = write_ct(tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny", "--nifti") == 0
    names = sorted(path.name for path in (tmp_path / "out" / uid).iterdir())
    assert names == ["report.json", "tiny.png", "tiny.seg.dcm", "tiny_seg.nii.gz"]
    report = report_of(tmp_path / "out", uid)
    assert list(report) == REPORT_KEYS
    assert report["outcome"] == "segmented"
    assert report["reason"] is None
    assert set(report["timings_s"]) == STAGES  # type: ignore[arg-type]  # JSON
    (model,) = report["models"]  # type: ignore[misc]  # JSON
    assert list(model) == MODEL_KEYS
    assert set(model["outputs"]) == set(names) - {"report.json"}
    mask = sitk.ReadImage(str(tmp_path / "out" / uid / "tiny_seg.nii.gz"))
    ml = float(np.count_nonzero(sitk.GetArrayViewFromImage(mask))) * np.prod(mask.GetSpacing()) / 1000
    assert model["volumes_ml"]["organ"] == pytest.approx(ml, rel=1e-4)
    assert ml > 0


def test_no_attribute_of_the_patient_is_in_report_or_names(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uid = write_ct(tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny", "--model", "mri") == 3
    said = capfd.readouterr()
    texts = [said.out, said.err, (tmp_path / "out" / uid / "report.json").read_text(encoding="utf-8")]
    texts += [path.name for path in (tmp_path / "out").rglob("*")]
    for canary in CANARIES:
        assert not any(canary in text for text in texts)
    seg = dcmread(tmp_path / "out" / uid / "tiny.seg.dcm")
    assert str(seg.PatientName) == CANARIES[0]
    assert seg.PatientID == CANARIES[1]


def write_echoes(folder: Path) -> str:
    """Write two echoes in one series; gives the study's UID."""
    geometry = trunk_geometry((12.0, 6.0, 6.0), extent=(180.0, 240.0, 300.0))
    save_series(several_echoes(make_series(make_phantom(geometry, modality="MR"), study=STUDY)), folder)
    return STUDY.uid


def test_one_volume_of_a_series_is_segmented_and_named(run: Run, tmp_path: Path) -> None:
    uid = write_echoes(tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", "--model", "echo") == 0
    series = report_of(tmp_path / "out", uid)["series"]
    assert [(one["volume"], one["volume_rule"], one["decision"]) for one in series] == [  # type: ignore[attr-defined]  # JSON
        ("echo 1", {"echo": 1}, "left"),
        ("echo 2", {"echo": 2}, "taken"),
    ]
    seg = dcmread(tmp_path / "out" / uid / "echo.seg.dcm")
    assert seg.SeriesDescription == "echo, echo 2"
    used = {item.ReferencedSOPInstanceUID for item in seg.SourceImageSequence}
    second = {i.SOPInstanceUID for i in map(dcmread, (tmp_path / "in").iterdir()) if i.EchoNumbers == 2}
    assert used == second


def test_a_model_that_names_no_volume_is_refused_with_the_choice(run: Run, tmp_path: Path) -> None:
    uid = write_echoes(tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", "--model", "mri") == 3
    reason = report_of(tmp_path / "out", uid)["reason"]
    assert reason["code"] == "several_volumes"  # type: ignore[index]  # JSON
    assert "volume: {echo: 1}, volume: {echo: 2}" in reason["message"]  # type: ignore[index]  # JSON


def test_several_models_share_one_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[VolumeReader] = []
    create = VolumeReader.__init__

    def remember(self: VolumeReader) -> None:
        create(self)
        readers.append(self)

    monkeypatch.setattr(VolumeReader, "__init__", remember)
    uid = write_ct(tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", "-m", "tiny", "-m", "second") == 0
    assert [model["name"] for model in report_of(tmp_path / "out", uid)["models"]] == ["tiny", "second"]  # type: ignore[attr-defined]  # JSON
    assert [reader.reads for reader in readers] == [1]


def test_an_image_that_cannot_be_read_is_told_beside_the_missing_slice(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uid = write_ct(tmp_path / "in")
    image = sorted((tmp_path / "in").iterdir())[5]
    image.write_bytes(image.read_bytes()[:132])
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny") == 3
    report = report_of(tmp_path / "out", uid)
    assert report["reason"]["code"] == "missing_slice"  # type: ignore[index]  # JSON
    assert report["reason"]["message"].endswith(" 1 image could not be read.")  # type: ignore[index]  # JSON
    assert [one["code"] for one in report["warnings"]] == ["files_unreadable"]  # type: ignore[attr-defined]  # JSON
    assert "1 image could not be read." in " ".join(capfd.readouterr().out.split())


def test_a_refused_study_has_its_report_alone(run: Run, tmp_path: Path) -> None:
    uid = write_ct(tmp_path / "in", broken=True)
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny") == 3
    assert [path.name for path in (tmp_path / "out" / uid).iterdir()] == ["report.json"]
    report = report_of(tmp_path / "out", uid)
    assert report["outcome"] == "refused"
    assert report["reason"]["code"] == "missing_slice"  # type: ignore[index]  # JSON
    assert report["models"] == []
    assert [series["decision"] for series in report["series"]] == ["refused"]  # type: ignore[attr-defined]  # JSON


def test_results_of_an_earlier_run_do_not_outlive_a_refusal(run: Run, tmp_path: Path) -> None:
    uid = write_ct(tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny") == 0
    shutil.rmtree(tmp_path / "in")
    assert write_ct(tmp_path / "in", broken=True) == uid
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny") == 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == [uid]
    assert [path.name for path in (tmp_path / "out" / uid).iterdir()] == ["report.json"]


def test_several_studies_stand_apart_and_the_highest_code_wins(run: Run, tmp_path: Path) -> None:
    good = write_ct(tmp_path / "in" / "a")
    bad = write_ct(tmp_path / "in" / "b", StudyTags(name="another"), broken=True)
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny") == 3
    assert report_of(tmp_path / "out", good)["outcome"] == "segmented"
    assert report_of(tmp_path / "out", bad)["outcome"] == "refused"


def test_study_that_one_model_refuses_is_segmented_by_another(run: Run, tmp_path: Path) -> None:
    uid = write_ct(tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny", "--model", "mri") == 3
    report = report_of(tmp_path / "out", uid)
    assert report["outcome"] == "segmented"
    assert report["reason"]["message"].startswith("mri: ")  # type: ignore[index]  # JSON
    assert [model["name"] for model in report["models"]] == ["tiny"]  # type: ignore[attr-defined]  # JSON


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["missing", "out", "--model", "tiny"], 2),
        (["in", "out"], 2),
        (["-i", "missing", "-o", "out", "--model", "tiny"], 2),
        (["in", "out", "--model", "tiny", "--model", "tiny"], 2),
        (["in", "out", "--model", "tiny", "--unknown"], 2),
        (["in", "out", "--model", "absent"], 2),
        (["empty", "out", "--model", "tiny"], 3),
        (["in", "in/IM0001", "--model", "tiny"], 2),
    ],
    ids=[
        "no_input",
        "no_model",
        "no_input_by_option",
        "twice",
        "unknown_option",
        "no_package",
        "no_dicom",
        "output_is_a_file",
    ],
)
def test_exit_codes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int) -> None:
    write_ct(tmp_path / "in")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == code


def test_input_and_output_may_be_options(run: Run, tmp_path: Path) -> None:
    uid = write_ct(tmp_path / "in")
    assert run("-i", tmp_path / "in", "-o", tmp_path / "out", "--model", "tiny") == 0
    assert report_of(tmp_path / "out", uid)["outcome"] == "segmented"
    assert run("--input", tmp_path / "in", "--output", tmp_path / "out", "--model", "tiny") == 0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "no input and no output folder is given"),
        (["in"], "no output folder is given"),
        (["-i", "in"], "no output folder is given"),
        (["-o", "out"], "no input folder is given"),
        (["in", "-o", "out"], "arguments and by -i or -o"),
        (["in", "out", "-i", "in", "-o", "out"], "arguments and by -i or -o"),
    ],
)
def test_half_of_the_folders_or_both_ways_at_once_are_refused(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], what: str
) -> None:
    assert run(*arguments, "--model", "tiny") == 2
    said = capfd.readouterr().err
    assert what in said
    assert "type segnode run INPUT OUTPUT, or segnode run -i INPUT -o OUTPUT" in said


def test_a_changed_weight_ends_with_4_and_nothing_written(
    run: Run, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ct(tmp_path / "in")
    copy = tmp_path / "models"
    shutil.copytree(models, copy)
    (weights,) = copy.glob("tiny/**/*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.chmod(0o644)
    weights.write_bytes(content)
    monkeypatch.setenv("SEGNODE_MODELS", str(copy))
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny") == 4
    assert not (tmp_path / "out").exists()


def test_the_maps_entry_point_reads_its_environment(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = tmp_path / "models"
    shutil.copytree(models / "tiny", only / "tiny")
    uid = write_ct(tmp_path / "input")
    monkeypatch.setenv("HOLOSCAN_INPUT_PATH", str(tmp_path / "input"))
    monkeypatch.setenv("HOLOSCAN_OUTPUT_PATH", str(tmp_path / "output"))
    monkeypatch.setenv("HOLOSCAN_MODEL_PATH", str(only))
    monkeypatch.setenv("SEGNODE_MODELS", "")
    monkeypatch.setenv("SEGNODE_OUTPUTS", "seg,pdf")
    with pytest.raises(ConfigInvalid, match="SEGNODE_OUTPUTS: 'pdf' is not made by this version"):
        map_main()
    monkeypatch.setenv("SEGNODE_OUTPUTS", "seg")
    assert map_main() == 0
    assert (tmp_path / "output" / uid / "tiny.seg.dcm").exists()


def test_the_maps_entry_point_names_an_empty_model_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("HOLOSCAN_MODEL_PATH", str(tmp_path / "models"))
    monkeypatch.setenv("SEGNODE_MODELS", "")
    with pytest.raises(ConfigInvalid, match="no model package"):
        map_main()


def test_a_study_without_a_uid_is_refused_in_a_folder_of_its_own(run: Run, tmp_path: Path) -> None:
    series = make_series(make_phantom(trunk_geometry((12.0, 6.0, 6.0)), phase="P"), study=STUDY)
    save_series(empty_uid(series, "StudyInstanceUID"), tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny") == 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["no-study-uid"]
    assert report_of(tmp_path / "out", "no-study-uid")["reason"]["code"] == "empty_uid"  # type: ignore[index]  # JSON


def test_a_series_with_damaged_pixels_is_refused_by_name(run: Run, tmp_path: Path) -> None:
    geometry = trunk_geometry((12.0, 6.0, 6.0), extent=(180.0, 240.0, 300.0))
    save_series(unreadable_pixels(make_series(make_phantom(geometry), study=STUDY)), tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny") == 3
    report = report_of(tmp_path / "out", STUDY.uid)
    assert report["reason"]["code"] == "unreadable_pixels"  # type: ignore[index]  # JSON
    assert [series["decision"] for series in report["series"]] == ["refused"]  # type: ignore[attr-defined]  # JSON


@pytest.mark.parametrize("name", ["../escape", "..", ".", "/absolute", "1.2/3", "1.2\n"])
def test_invalid_uid_never_becomes_a_folder_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a valid UID"):
        StudyOutbox(tmp_path / "out", name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "exit_code"), [(ValueError, "internal_error", 1), (RetryLater, "retry_later", 5)]
)
def test_a_failed_run_reports_failure_in_place_of_an_earlier_result(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: type[Exception],
    code: str,
    exit_code: int,
) -> None:
    uid = write_ct(tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny") == 0

    def fail(*_: object, **__: object) -> None:
        raise error(CANARIES[0] if error is ValueError else "no memory")

    monkeypatch.setattr(Engine, "segment", fail)
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny") == exit_code
    assert [path.name for path in (tmp_path / "out" / uid).iterdir()] == ["report.json"]
    report = report_of(tmp_path / "out", uid)
    assert report["outcome"] == "failed"
    assert report["reason"]["code"] == code  # type: ignore[index]  # JSON
    assert set(report["timings_s"]) == STAGES  # type: ignore[arg-type]  # JSON
    said = capfd.readouterr()
    assert CANARIES[0] not in said.out + said.err + json.dumps(report)


def test_images_in_the_place_of_results_are_never_deleted(run: Run, tmp_path: Path) -> None:
    """Output is input, and the images lie in a folder named by their study, as many archives export them."""
    folder = tmp_path / STUDY.uid
    uid = write_ct(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert uid == STUDY.uid
    assert run(tmp_path, tmp_path, "--model", "tiny") == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == [uid]


def test_results_of_two_channels_derive_from_the_images_of_both(
    models: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(
        models, tmp_path / "nnunet", "pair", *({"modality": ["CT"], "description": [d]} for d in ("arterial", "portal"))
    )
    geometry = trunk_geometry((12.0, 6.0, 6.0), extent=(180.0, 240.0, 300.0))
    arterial = make_series(make_phantom(geometry, phase="A"), study=STUDY, series=SeriesTags(number=1))
    portal = make_series(make_phantom(geometry, phase="P"), study=STUDY, series=SeriesTags(number=2))
    uids = []
    for attempt in ("first", "again", "other"):
        if attempt == "other":
            for dataset in portal:
                dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{dataset.SOPInstanceUID}.1"[
                    :64
                ]
        save_series(arterial, tmp_path / attempt / "a")
        save_series(portal, tmp_path / attempt / "p")
        assert run(tmp_path / attempt, tmp_path / f"out-{attempt}", "--model", "pair") == 0
        seg = dcmread(tmp_path / f"out-{attempt}" / STUDY.uid / "pair.seg.dcm")
        uids.append(seg.SOPInstanceUID)
        assert {item.SeriesInstanceUID for item in seg.ReferencedSeriesSequence} == {
            arterial[0].SeriesInstanceUID,
            portal[0].SeriesInstanceUID,
        }
    assert uids[0] == uids[1]
    assert uids[0] != uids[2]


def test_the_profile_of_the_command_line_counts_and_is_told(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uid = write_ct(tmp_path / "in")
    found = {}
    for profile in ("exact", "fast"):
        assert run(tmp_path / "in", tmp_path / profile, "--model", "tiny", "--profile", profile) == 0
        found[profile] = dcmread(tmp_path / profile / uid / "tiny.seg.dcm")
    told = capfd.readouterr()
    assert "profile fast" in told.out
    assert "segnode models measure tiny" in told.err
    assert found["exact"].SOPInstanceUID != found["fast"].SOPInstanceUID
    assert found["fast"].SeriesDescription.endswith("(fast)")


def test_measure_of_a_model_is_in_the_report_and_agrees_with_the_mask(run: Run, tmp_path: Path) -> None:
    uid = write_ct(tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", "--model", "measured", "--nifti", "--outputs", "seg") == 0
    report = report_of(tmp_path / "out", uid)
    assert set(report["timings_s"]) == STAGES | {"measure"}  # type: ignore[arg-type]  # JSON
    (model,) = report["models"]  # type: ignore[misc]  # JSON
    (organ,) = model["measurements"]
    mask = sitk.ReadImage(str(tmp_path / "out" / uid / "measured_seg.nii.gz"))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "in")))
    statistics = sitk.LabelStatisticsImageFilter()
    image = sitk.Cast(reader.Execute(), sitk.sitkFloat64)
    mask.CopyInformation(image)
    statistics.Execute(image, sitk.Cast(mask, sitk.sitkUInt8))
    assert organ["unit"] == "HU"
    assert organ["volume_ml"] == model["volumes_ml"]["organ"]
    assert organ["mean"] == pytest.approx(statistics.GetMean(1), abs=1e-3)
    assert organ["sd"] == pytest.approx(statistics.GetSigma(1), abs=1e-3)


@pytest.mark.parametrize("form", ["pdf", "stl"])
def test_forms_that_are_not_made_end_the_command(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    write_ct(tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", "--model", "tiny", "--outputs", f"seg,{form}") == 2
    assert f"--outputs: '{form}' is" in capfd.readouterr().err
