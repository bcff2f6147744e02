"""``report.json`` of ``segnode run`` as it is typed, beside the files that it speaks of."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
import yaml
from pydicom import dcmread

from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import make_series, save_series
from phantom.tags import StudyTags
from tests.app.cli.conftest import Type
from tests.e2e.conftest import make_model
from tests.support.series_faults import drop_slice

pytestmark = pytest.mark.slow

KIDNEY = {"value": "64033007", "scheme": "SCT", "meaning": "Kidney"}
LEFT = {"value": "7771000", "scheme": "SCT", "meaning": "Left"}
TISSUE = {"value": "85756007", "scheme": "SCT", "meaning": "Tissue"}
SPACING_MM = (12.0, 6.0, 5.0)
CANARIES = {
    "PatientName": "Canary^Patient",
    "PatientID": "CANARY-ID",
    "OtherPatientIDs": "CANARY-OTHER",
    "PatientBirthDate": "19330417",
    "PatientAddress": "CANARY STREET",
    "PatientComments": "CANARY COMMENT",
    "AccessionNumber": "CANARY-ACC",
    "StudyDescription": "CANARY STUDY",
    "ReferringPhysicianName": "Canary^Doctor",
    "InstitutionName": "CANARY HOUSE",
}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages ``coded`` (a label with codes), ``hasty`` (profile fast) and ``mri``."""
    folder = tmp_path_factory.mktemp("report_models")
    for name, modality in (("coded", "CT"), ("hasty", "CT"), ("mri", "MR")):
        make_model(folder, tmp_path_factory.mktemp("report_nnunet"), name, {"modality": [modality]})
    change(folder / "coded", lambda model: model["labels"][0].update(type=KIDNEY, laterality=LEFT))
    change(folder / "hasty", lambda model: model.update(inference={"profile": "fast"}))
    return folder


def change(package: Path, edit: Any) -> None:
    content = yaml.safe_load((package / "model.yaml").read_text())
    edit(content)
    (package / "model.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def write_ct(folder: Path, *, broken: bool = False) -> None:
    series = make_series(
        make_phantom(trunk_geometry(SPACING_MM, extent=(180.0, 240.0, 300.0)), phase="P"), study=StudyTags()
    )
    for image in series:
        for keyword, value in CANARIES.items():
            setattr(image, keyword, value)
    save_series(drop_slice(series) if broken else series, folder)


def test_a_report_says_spacing_profile_date_labels_and_seg_of_each_model(
    typed: Type, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNODE_MODELS", str(models))
    write_ct(tmp_path / "ct")
    before = datetime.now().astimezone().replace(microsecond=0)
    done = typed("run", tmp_path / "ct", tmp_path / "out", "-m", "coded", "-m", "hasty", "--nifti", "--device", "cpu")
    assert done.code == 0
    (folder,) = (tmp_path / "out").iterdir()
    report = json.loads((folder / "report.json").read_text())
    date = datetime.fromisoformat(report["date"])
    assert before <= date <= datetime.now().astimezone()
    assert date.utcoffset() == before.utcoffset()
    assert [model["profile"] for model in report["models"]] == ["exact", "fast"]
    assert [model["labels"] for model in report["models"]] == [
        [{"value": 1, "name": "organ", "code": KIDNEY, "laterality": LEFT}],
        [{"value": 1, "name": "organ", "code": TISSUE, "laterality": None}],
    ]
    for model in report["models"]:
        mask = sitk.ReadImage(str(folder / f"{model['name']}_seg.nii.gz"))
        assert model["spacing_mm"] == pytest.approx(mask.GetSpacing()[::-1], abs=1e-5)
        assert model["spacing_mm"] == pytest.approx(SPACING_MM)
        assert list(model["volumes_ml"]) == [label["name"] for label in model["labels"]]
        seg = dcmread(folder / f"{model['name']}.seg.dcm")
        assert model["seg_sop_instance_uid"] == seg.SOPInstanceUID
        assert model["not_for_clinical_use"] is True
        (segment,) = seg.SegmentSequence
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == model["labels"][0]["code"]["value"]
    assert len({model["seg_sop_instance_uid"] for model in report["models"]}) == 2


@pytest.mark.parametrize("broken", [False, True])
def test_nothing_of_the_patient_is_in_a_report(
    broken: bool, typed: Type, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNODE_MODELS", str(models))
    write_ct(tmp_path / "ct", broken=broken)
    done = typed("run", tmp_path / "ct", tmp_path / "out", "-m", "coded", "-m", "mri", "--nifti", "--device", "cpu")
    assert done.code == 3
    (folder,) = (tmp_path / "out").iterdir()
    text = (folder / "report.json").read_text()
    report = json.loads(text)
    assert len(report["models"]) == (0 if broken else 1)
    assert abs(datetime.fromisoformat(report["date"]) - datetime.now().astimezone()) < timedelta(hours=1)
    for value in CANARIES.values():
        assert value.casefold() not in (text + done.out + done.err).casefold()
