"""Registration of each form of source; nnU-Net's own check reads what comes of it."""

import gzip
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from core.errors import CaseCode, CaseRefused, ConfigInvalid, RetryLater
from core.image_files.reader import read_array
from core.label_map import LabelMap
from core.model_config import LabelSpec
from dicom_io.images.study import read_studies
from dicom_io.images.volume import read_volume
from dicom_io.results.seg.build import build_seg, write_seg
from tests.support.data_sources import (
    SHAPE,
    decathlon_folder,
    dicom_patient,
    image_of,
    mask_of,
    name_in_gzip,
    nnunet_folder,
    write_image,
)
from tests.support.seg_cases import context, read_case
from training.datasets.case import CaseNote, Request
from training.datasets.check import check_dataset
from training.datasets.lock import read_lock
from training.datasets.register import Registration, register
from training.datasets.table import LabelTable, TableLabel

TABLE = LabelTable(
    labels=(TableLabel(value=1, name="liver", names=("Leber",)), TableLabel(value=2, name="tumour", names=("GTV",)))
)
CANARY = (b"canarius", b"zebulon", b"canary", b"PHANTOM-1")


@pytest.fixture(scope="module")
def dicom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients with a SEG, two with an RTSTRUCT."""
    folder = tmp_path_factory.mktemp("dicom")
    for seed in range(5):
        dicom_patient(folder / f"Canarius{seed}", seed, rtstruct=seed > 2)
    return folder


@pytest.fixture(scope="module")
def registered(dicom: Path, tmp_path_factory: pytest.TempPathFactory) -> Registration:
    return register("ORGANS", [dicom], tmp_path_factory.mktemp("datasets"), Request())


def test_dicom_with_seg_and_rtstruct_becomes_a_data_set(registered: Registration, dicom: Path) -> None:
    lock = registered.lock
    assert registered.folder.name == "Dataset101_ORGANS"
    assert sorted(case.kind for case in lock.cases.values()) == ["dicom_rtstruct"] * 2 + ["dicom_seg"] * 3
    assert lock.refused == ()
    assert [label.name for label in lock.labels] == ["Liver", "Spleen"]
    assert len({case.patient for case in lock.cases.values()}) == 5
    assert len(lock.splits) == 5
    assert all(min(case.voxels.values()) > 0 for case in lock.cases.values())
    assert "Contourer" not in (registered.folder / "dataset.lock").read_text(encoding="utf-8")
    assert any(case.labelled_by.startswith("MANUAL (person ") for case in lock.cases.values())


def test_images_are_those_that_routine_reads(registered: Registration, dicom: Path) -> None:
    wanted = {
        (volume.array[0].tobytes(), volume.geometry.shape)
        for study in read_studies(dicom)
        for volume in (read_volume(study.series[0]),)
    }
    found = set()
    for case in registered.lock.cases:
        array, geometry = read_array(registered.folder / registered.lock.image_file(case, 0))
        found.add((array.astype(np.float32).tobytes(), geometry.shape))
    assert found == wanted


def test_no_file_holds_an_attribute_of_a_patient(registered: Registration) -> None:
    place = registered.folder.parent
    files = [path for path in place.rglob("*") if path.is_file()]
    assert len(files) > 15
    for path in files:
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content += gzip.decompress(content)
        for word in CANARY:
            assert word.lower() not in content.lower(), path.name
            assert word.decode().lower() not in str(path.relative_to(place)).lower()


def test_nnunets_own_check_finds_each_case_whole(registered: Registration) -> None:
    from nnunetv2.experiment_planning.verify_dataset_integrity import check_cases, verify_labels
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    folder, lock = registered.folder, registered.lock
    for case in lock.cases:
        label = str(folder / lock.label_file(case))
        assert check_cases([str(folder / lock.image_file(case, 0))], label, 1, SimpleITKIO)
        assert verify_labels(label, SimpleITKIO, [0, 1, 2])


def test_the_same_again_is_the_version_that_is_there(registered: Registration, dicom: Path) -> None:
    place = registered.folder.parent
    before = sorted(path.name for path in place.iterdir())
    again = register("ORGANS", [dicom], place, Request())
    assert not again.is_new
    assert (again.folder, again.lock.version) == (registered.folder, registered.lock.version)
    assert sorted(path.name for path in place.iterdir()) == before


def test_other_content_is_another_version_with_another_number(registered: Registration, dicom: Path) -> None:
    other = register("ORGANS", [dicom], registered.folder.parent, Request(labelled_by="Dr Example"))
    assert other.folder.name == "Dataset102_ORGANS"
    assert other.lock.version != registered.lock.version
    assert {case.labelled_by for case in other.lock.cases.values()} == {"Dr Example"}
    assert set(other.lock.cases) == set(registered.lock.cases)


def test_check_finds_nothing_in_a_sound_data_set(registered: Registration) -> None:
    assert check_dataset(registered.folder).faults == []


def test_report_says_that_faces_stay_and_shows_pictures(registered: Registration) -> None:
    page = (registered.folder / "report.html").read_text(encoding="utf-8")
    assert "images of a head still show the face" in page
    assert page.count("data:image/png;base64,") == 3
    content = json.loads((registered.folder / "report.json").read_text(encoding="utf-8"))
    assert set(content["cases"]) == set(registered.lock.cases)


def test_names_that_differ_from_case_to_case_need_a_table(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "a", 1, ("Leber",))
    dicom_patient(tmp_path / "b", 2, ("Liver", "GTV"))
    with pytest.raises(ConfigInvalid, match=r"(?s)labels:.*name: GTV.*name: Leber.*name: Liver"):
        register("LIVER", [tmp_path], tmp_path / "out", Request())
    assert not list((tmp_path / "out").glob("Dataset*"))


def test_structure_that_was_not_looked_for_makes_background_unknown(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "a", 1, ("Leber",))
    dicom_patient(tmp_path / "b", 2, ("Liver", "GTV", "Body"))
    done = register("LIVER", [tmp_path / "a", tmp_path / "b"], tmp_path / "out", Request(TABLE))
    partly, whole = sorted(done.lock.cases.values(), key=lambda case: len(case.looked_for))
    assert done.lock.ignore == 3
    assert (partly.looked_for, whole.looked_for) == (("liver",), ("liver", "tumour"))
    assert partly.voxels["ignore"] == np.prod(SHAPE) - partly.voxels["liver"]
    assert "ignore" not in whole.voxels
    assert "not_looked_for" in partly.notes
    assert done.unmapped == {"Body": 1}
    described = json.loads((done.folder / "dataset.json").read_text(encoding="utf-8"))
    assert described["labels"] == {"background": 0, "liver": 1, "tumour": 2, "ignore": 3}
    assert described["overwrite_image_reader_writer"] == "SimpleITKIO"


def test_case_of_a_structure_not_looked_for_can_be_left_out(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "a", 1, ("Leber",))
    dicom_patient(tmp_path / "b", 2, ("Liver", "GTV"))
    table = TABLE.model_copy(update={"not_looked_for": "exclude"})
    done = register("LIVER", [tmp_path / "a", tmp_path / "b"], tmp_path / "out", Request(table))
    assert [one.code for one in done.lock.refused] == [CaseCode.NOT_LOOKED_FOR]
    assert len(done.lock.cases) == 1
    assert done.lock.splits == ()


def test_name_that_holds_a_patients_name_is_not_shown(tmp_path: Path) -> None:
    dicom_patient(tmp_path, 1, ("Liver", "GTV canarius1"))
    done = register("LIVER", [tmp_path], tmp_path / "out", Request(TABLE))
    assert done.unmapped == {}
    assert done.withheld == 1
    assert b"canarius" not in (done.folder / "report.html").read_bytes()


def test_mask_of_images_that_are_not_there_is_refused(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "a", 1)
    dicom_patient(tmp_path / "b", 2)
    for path in (tmp_path / "b" / "ct").iterdir():
        path.unlink()
    done = register("ORGANS", [tmp_path], tmp_path / "out", Request())
    assert [one.code for one in done.lock.refused] == [CaseCode.NO_IMAGE]
    assert "2.25." not in (done.folder / "dataset.lock").read_text(encoding="utf-8")


def nifti(folder: Path, cases: int = 6) -> Path:
    for seed in range(cases):
        write_image(folder / f"Canarius{seed // 2}" / f"c{seed}" / "ct.nii.gz", image_of(seed))
        write_image(folder / f"Canarius{seed // 2}" / f"c{seed}" / "seg.nii.gz", mask_of(seed))
    return folder


BY_PATIENT = Request(TABLE, ("{patient}/{case}/ct.nii.gz",), "{patient}/{case}/seg.nii.gz")


def test_files_by_pattern_are_split_by_patient(tmp_path: Path) -> None:
    done = register("FILES", [nifti(tmp_path / "in")], tmp_path / "out", BY_PATIENT)
    lock = done.lock
    assert len(lock.cases) == 6
    assert len(lock.splits) == 3
    for split in lock.splits:
        sides = [{lock.cases[case].patient for case in side} for side in (split.train, split.val)]
        assert not sides[0] & sides[1]
    for case, locked in lock.cases.items():
        array, _ = read_array(done.folder / lock.label_file(case))
        assert locked.voxels == {"liver": int((array == 1).sum()), "tumour": int((array == 2).sum())}


def test_clean_files_are_linked_and_those_with_text_are_written_anew(tmp_path: Path) -> None:
    source = nifti(tmp_path / "in", 3)
    write_image(source / "Canarius0" / "c0" / "ct.nii.gz", image_of(0), notes="Canarius^Zebulon 1970")
    name_in_gzip(source / "Canarius0" / "c1" / "ct.nii.gz", "Canarius_Zebulon.nii")
    done = register("FILES", [source], tmp_path / "out", BY_PATIENT)
    for path in (path for path in done.folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert b"Canarius" not in content + (gzip.decompress(content) if path.suffix == ".gz" else b"")
        assert "Canarius" not in path.name
    masks = {path.read_bytes() for path in source.rglob("seg.nii.gz")}
    assert {path.read_bytes() for path in (done.folder / "labelsTr").iterdir()} == masks
    clean = (source / "Canarius1" / "c2" / "ct.nii.gz").read_bytes()
    assert clean in {path.read_bytes() for path in (done.folder / "imagesTr").iterdir()}
    assert check_dataset(done.folder).faults == []


def test_extension_with_a_dicom_header_is_not_taken_along(tmp_path: Path) -> None:
    source = nifti(tmp_path / "in", 2)
    path = source / "Canarius0" / "c0" / "ct.nii.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    extension = struct.pack("<2i", 32, 2) + b"Canarius^Zebulon".ljust(24)
    content[108:112] = struct.pack("<f", 352 + 32)
    content[348:352] = b"\1\0\0\0"
    content[352:352] = extension
    path.write_bytes(gzip.compress(bytes(content), mtime=0))
    done = register("FILES", [source], tmp_path / "out", BY_PATIENT)
    assert len(done.lock.cases) == 2
    for image in (done.folder / "imagesTr").iterdir():
        assert b"Canarius" not in gzip.decompress(image.read_bytes())


@pytest.mark.parametrize(
    ("mask", "code"),
    [
        (mask_of(0, (1, 7)), CaseCode.UNKNOWN_VALUE),
        (mask_of(0).astype(np.float32) / 2, CaseCode.FRACTIONAL_MASK),
        (mask_of(0)[:-1], CaseCode.MASK_GRID),
        (mask_of(0) * 0, CaseCode.NOTHING_LABELLED),
    ],
)
def test_files_that_cannot_be_right_are_refused(mask: np.ndarray, code: CaseCode, tmp_path: Path) -> None:
    source = nifti(tmp_path / "in", 3)
    write_image(source / "Canarius0" / "c0" / "seg.nii.gz", mask)
    done = register("FILES", [source], tmp_path / "out", BY_PATIENT)
    assert [one.code for one in done.lock.refused] == [code]
    assert len(done.lock.cases) == 2


def test_damaged_image_is_refused_by_its_code(tmp_path: Path) -> None:
    source = nifti(tmp_path / "in", 3)
    path = source / "Canarius0" / "c0" / "ct.nii.gz"
    path.write_bytes(path.read_bytes()[:-200])
    done = register("FILES", [source], tmp_path / "out", BY_PATIENT)
    assert [one.code for one in done.lock.refused] == ["unreadable_image"]


def test_same_image_is_taken_once_or_not_at_all_where_masks_differ(tmp_path: Path) -> None:
    source = nifti(tmp_path / "in", 6)
    for first, second in ((0, 1), (2, 3)):
        write_image(source / f"Canarius{second // 2}" / f"c{second}" / "ct.nii.gz", image_of(first))
    write_image(source / "Canarius0" / "c1" / "seg.nii.gz", mask_of(0))
    done = register("FILES", [source], tmp_path / "out", BY_PATIENT)
    assert sorted(one.code for one in done.lock.refused) == ["duplicate_case", "labels_conflict", "labels_conflict"]
    assert len(done.lock.cases) == 3
    assert len(list((done.folder / "imagesTr").iterdir())) == 3


def test_cases_that_share_slices_count_as_one_patient(tmp_path: Path) -> None:
    source = nifti(tmp_path / "in", 4)
    write_image(source / "Canarius1" / "c2" / "ct.nii.gz", image_of(0)[2:6])
    write_image(source / "Canarius1" / "c2" / "seg.nii.gz", mask_of(0)[2:6])
    done = register("FILES", [source], tmp_path / "out", BY_PATIENT)
    assert len({case.patient for case in done.lock.cases.values()}) == 1
    assert sum("shared_slices" in case.notes for case in done.lock.cases.values()) == 2
    assert done.lock.splits == ()
    again = check_dataset(done.folder).notes
    assert {note.code for notes in again.values() for note in notes} == {CaseNote.SHARED_SLICES}
    assert len(again) == 2


def test_far_spacing_and_values_are_noted(tmp_path: Path) -> None:
    source = nifti(tmp_path / "in", 8)
    write_image(source / "Canarius0" / "c0" / "ct.nii.gz", image_of(0), spacing=(0.9, 1.2, 9.0))
    write_image(source / "Canarius0" / "c0" / "seg.nii.gz", mask_of(0), spacing=(0.9, 1.2, 9.0))
    write_image(source / "Canarius1" / "c3" / "ct.nii.gz", image_of(3) // 10 + 900)
    done = register("FILES", [source], tmp_path / "out", BY_PATIENT)
    found = {note.code for notes in done.notes.values() for note in notes}
    assert {CaseNote.SPACING_OUTLIER, CaseNote.INTENSITY_OUTLIER} <= found
    assert sum(any(n.code is CaseNote.SPACING_OUTLIER for n in notes) for notes in done.notes.values()) == 1
    again = {note for notes in check_dataset(done.folder).notes.values() for note in notes}
    assert again == {note for notes in done.notes.values() for note in notes if "outlier" in note.code}
    assert {str(note.code) for note in again} == {n for c in done.lock.cases.values() for n in c.notes if "out" in n}
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    assert page.index("Worst cases") < page.index("spacing 9 mm") < page.index("First cases")


def test_one_file_a_structure_and_overlaps_by_the_order(tmp_path: Path) -> None:
    for seed in range(2):
        liver, tumour = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
        liver[1:6, 3:15, 3:20], tumour[2:4, 5:9, 5 : 9 + seed] = 1, 1
        write_image(tmp_path / "in" / f"s{seed}" / "ct.nii.gz", image_of(seed))
        write_image(tmp_path / "in" / f"s{seed}" / "masks" / "Leber.nii.gz", liver)
        write_image(tmp_path / "in" / f"s{seed}" / "masks" / "gtv.nii.gz", tumour)
    request = Request(TABLE, ("{case}/ct.nii.gz",), "{case}/masks/{structure}.nii.gz")
    with pytest.raises(CaseRefused, match="labels_overlap"):
        register("ONE", [tmp_path / "in"], tmp_path / "out", request)
    table = TABLE.model_copy(update={"overlaps": ("tumour", "liver")})
    done = register("ONE", [tmp_path / "in"], tmp_path / "out", Request(table, request.images, request.mask))
    assert sorted(case.voxels["tumour"] for case in done.lock.cases.values()) == [2 * 4 * 4, 2 * 4 * 5]
    assert {sum(case.voxels.values()) for case in done.lock.cases.values()} == {5 * 12 * 17}


def test_nnunet_folder_keeps_its_splits(tmp_path: Path) -> None:
    source = nnunet_folder(tmp_path / "Dataset003_In")
    splits = [{"train": ["c0", "c1", "c2"], "val": ["c3", "c4", "c5"]}]
    (source / "splits_final.json").write_text(json.dumps(splits), encoding="utf-8")
    done = register("IN", [source], tmp_path / "out", Request())
    assert [len(split.train) for split in done.lock.splits] == [3]
    assert [label.name for label in done.lock.labels] == ["liver", "tumour"]
    assert done.lock.channels[0].nnunet_name == "CT"
    assert all("patient_unknown" in case.notes for case in done.lock.cases.values())


def test_patient_on_both_sides_of_a_split_is_refused(tmp_path: Path) -> None:
    source = nnunet_folder(tmp_path / "Dataset003_In")
    splits = [{"train": ["c0", "c1", "c2"], "val": ["c3", "c4", "c5"]}]
    (source / "splits_final.json").write_text(json.dumps(splits), encoding="utf-8")
    people = {f"c{n}": (f"P{n % 3}", "") for n in range(6)}
    with pytest.raises(CaseRefused) as refused:
        register("IN", [source], tmp_path / "out", Request(people=people))
    assert refused.value.code is CaseCode.PATIENT_ON_BOTH_SIDES
    assert not list((tmp_path / "out").glob("Dataset*"))
    assert not list((tmp_path / "out").glob(".registering-*"))
    done = register("IN", [source], tmp_path / "out", Request(people=people), folds=5)
    assert len(done.lock.splits) == 3


def test_regions_and_ignore_of_an_nnunet_folder_stay(tmp_path: Path) -> None:
    labels = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    source = nnunet_folder(tmp_path / "Dataset003_In", 2, labels)
    content = json.loads((source / "dataset.json").read_text(encoding="utf-8")) | {"regions_class_order": [1, 2]}
    (source / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    mask = mask_of(0)
    mask[6:] = 3
    write_image(source / "labelsTr" / "c0.nii.gz", mask)
    done = register("IN", [source], tmp_path / "out", Request())
    described = json.loads((done.folder / "dataset.json").read_text(encoding="utf-8"))
    assert described["labels"] == {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    assert described["regions_class_order"] == [1, 2]
    assert max(case.voxels.get("ignore", 0) for case in done.lock.cases.values()) == mask[6:].size


@pytest.mark.parametrize("modalities", [("CT",), ("FLAIR", "T1w")])
def test_folder_of_the_decathlon(modalities: tuple[str, ...], tmp_path: Path) -> None:
    source = decathlon_folder(tmp_path / "Task77_Part", modalities=modalities)
    done = register("PART", [source], tmp_path / "out", Request())
    assert len(done.lock.cases) == 3
    assert [channel.nnunet_name for channel in done.lock.channels] == list(modalities)
    images = {
        tuple(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(int).ravel()[:50])
        for path in (done.folder / "imagesTr").iterdir()
    }
    wanted = {
        tuple(image_of(100 * number + seed).ravel()[:50].tolist())
        for seed in range(3)
        for number in range(len(modalities))
    }
    assert images == wanted


def change_voxel(folder: Path) -> None:
    path = next((folder / "labelsTr").iterdir())
    image = sitk.ReadImage(str(path))
    image[0, 0, 0] = 1
    sitk.WriteImage(image, str(path))


def remove_image(folder: Path) -> None:
    next((folder / "imagesTr").iterdir()).unlink()


def add_file(folder: Path) -> None:
    (folder / "labelsTr" / "more.nii.gz").write_bytes(b"")


def change_splits(folder: Path) -> None:
    (folder / "splits_final.json").write_text("[]", encoding="utf-8")


@pytest.mark.parametrize("damage", [change_voxel, remove_image, add_file, change_splits])
def test_check_finds_what_was_changed(damage: object, tmp_path: Path) -> None:
    done = register("IN", [nnunet_folder(tmp_path / "Dataset003_In", 2)], tmp_path / "out", Request())
    for path in [p for p in done.folder.rglob("*") if p.is_file()]:  # so that the source keeps its content
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    damage(done.folder)  # type: ignore[operator]
    assert check_dataset(done.folder).faults != []


KILLED = """
import os, signal, sys
from importlib import import_module
from pathlib import Path
from training.datasets.case import Request
from training.datasets.register import register

module, step = sys.argv[3].rsplit(".", 1)
def kill(*_): os.kill(os.getpid(), signal.SIGKILL)
setattr(import_module(f"training.datasets.{module}"), step, kill)
register("IN", [Path(sys.argv[1])], Path(sys.argv[2]), Request())
"""


@pytest.mark.parametrize("step", ["draft.write_case", "register.publish"])
def test_killed_registration_leaves_no_data_set_and_is_swept(step: str, tmp_path: Path) -> None:
    source, out = nnunet_folder(tmp_path / "Dataset003_In", 2), tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(source), str(out), step]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL  # noqa: S603 - this Python
    assert list(out.glob("Dataset*")) == []
    done = register("IN", [source], out, Request())
    assert read_lock(done.folder) == done.lock
    assert list(out.glob(".registering-*")) == []


def test_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.datasets.register.write_lock", full)
    with pytest.raises(RetryLater, match="No space left"):
        register("IN", [nnunet_folder(tmp_path / "Dataset003_In", 2)], tmp_path / "out", Request())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".segnode-key", ".segnode.lock"]


def test_masks_of_several_objects_are_joined_and_the_same_structure_twice_is_refused(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "a", 1, ("Liver",))
    dicom_patient(tmp_path / "a" / "more", 1, ("GTV",), rtstruct=True)
    dicom_patient(tmp_path / "b", 2, ("Liver",))
    dicom_patient(tmp_path / "b" / "more", 2, ("Leber",), rtstruct=True)
    table = TABLE.model_copy(update={"overlaps": ("tumour", "liver")})
    done = register("LIVER", [tmp_path], tmp_path / "out", Request(table))
    assert [one.code for one in done.lock.refused] == [CaseCode.SEVERAL_MASKS]
    (case,) = done.lock.cases.values()
    assert case.looked_for == ("liver", "tumour")
    assert min(case.voxels.values()) > 0


def test_same_structure_twice_in_one_object_is_refused(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "a", 1, ("Liver", "Leber"))
    dicom_patient(tmp_path / "b", 2, ("Liver", "GTV"))
    done = register("LIVER", [tmp_path / "a", tmp_path / "b"], tmp_path / "out", Request(TABLE))
    assert [one.code for one in done.lock.refused] == [CaseCode.STRUCTURE_TWICE]


def test_mask_pairs_by_frame_of_reference_only_if_asked(tmp_path: Path, real_data: Callable[[str], Path]) -> None:
    source = real_data("sts-002-ct")
    with pytest.raises(CaseRefused, match="no_image"):
        register("STS", [source], tmp_path / "out", Request())
    done = register("STS", [source], tmp_path / "out", Request(by_frame_of_reference=True))
    (case,) = done.lock.cases.values()
    array, _ = read_array(source / "mask.nii.gz")
    assert case.voxels == {"GTV_Mass_CT": int((array > 0).sum())}
    assert done.without_mask == 0


def test_empty_mask_and_values_without_air_are_noted(tmp_path: Path) -> None:
    source = nnunet_folder(tmp_path / "Dataset003_In", 3)
    write_image(source / "labelsTr" / "c0.nii.gz", mask_of(0) * 0)
    disc = np.hypot(*np.ogrid[-12:12, -14:14]) < 7
    raw = np.where(disc, 1040, 24) + image_of(1) // 100  # stored values, never rescaled
    write_image(source / "imagesTr" / "c1_0000.nii.gz", raw.astype(np.int16))
    done = register("IN", [source], tmp_path / "out", Request())
    found = [str(note.code) for notes in done.notes.values() for note in notes]
    assert found.count("empty_mask") == 1
    assert found.count("unit_implausible") == 1


def test_file_that_gets_another_name_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = nnunet_folder(tmp_path / "Dataset003_In", 2)
    linked: list[Path] = []

    def link(path: Path, *rest: object, **options: object) -> object:
        if len(linked) < 3:
            linked.append(tmp_path / f"link{len(linked)}")
            linked[-1].hardlink_to(path)
        return read_image(path, *rest, **options)

    read_image = sitk.ReadImage
    monkeypatch.setattr(sitk, "ReadImage", link)
    done = register("IN", [source], tmp_path / "out", Request())
    assert len(linked) == 3
    assert done.lock.refused == ()


def test_structure_without_a_voxel_proves_nothing(tmp_path: Path) -> None:
    """A SEG may hold blank frames, and a LABELMAP describe what it does not hold."""
    for number, kind in enumerate(("BINARY", "LABELMAP")):
        folder = dicom_patient(tmp_path / "in" / kind, number, ("Liver",))
        case = read_case(folder / "ct")
        mask = np.zeros(SHAPE, np.uint8)
        mask[2:6, 4:14, 3:8] = 1
        labels = tuple(LabelSpec(value=n, name=name) for n, name in enumerate(("Liver", "GTV"), 1))
        settings = context(labels, segmentation_type=kind, when_empty="object")
        seg = build_seg(LabelMap(mask, case.volume.geometry, labels), case.volume, case.sources, settings)
        write_seg(seg, folder / "seg.dcm")
    done = register("LIVER", [tmp_path / "in"], tmp_path / "out", Request(TABLE))
    assert [case.looked_for for case in done.lock.cases.values()] == [("liver",)] * 2
    assert all("ignore" in case.voxels for case in done.lock.cases.values())
