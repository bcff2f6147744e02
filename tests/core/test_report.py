import json

import pytest

from core.errors import ConfigInvalid, NotReached, PackageInvalid, ReasonCode, RetryLater, SegnodeError, StudyRejected
from core.measurements.intensity import Intensity
from core.measurements.structure import Structure
from core.model_config import LabelSpec
from core.report import MeasurementReport, ModelReport, Reason, Report, WarningReport
from core.study_warning import StudyWarning, WarningCode

KEYS = [
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


def test_the_json_has_the_documented_keys() -> None:
    content = json.loads(Report(study="1.2.3", outcome="nothing_found", device="cpu").to_json())
    assert list(content) == KEYS
    assert content["schema"] == 1
    assert content["reason"] is None


def test_notes_are_written_only_if_there_are_some() -> None:
    report = Report(study="1.2.3", outcome="nothing_found", notes=("Images were still coming.",), device="cpu")
    content = json.loads(report.to_json())
    assert content.pop("notes") == ["Images were still coming."]
    assert list(content) == KEYS


def test_a_warning_names_code_message_series_and_model() -> None:
    warning = StudyWarning(WarningCode.RESAMPLED, "2 % of it lies outside.", "1.2.9", "liver")
    report = Report(study="1.2.3", outcome="segmented", warnings=(WarningReport.of(warning),), device="cpu")
    message = "A channel was resampled. 2 % of it lies outside."
    entry = {"code": "resampled", "message": message, "series": "1.2.9", "model": "liver"}
    assert json.loads(report.to_json())["warnings"] == [entry]


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (RetryLater("disk full"), "retry_later", 5),
        (NotReached("refused"), "retry_later", 5),
        (PackageInvalid("hash"), "package_invalid", 4),
        (ConfigInvalid("key"), "config_invalid", 2),
    ],
)
def test_a_failure_has_the_code_of_its_error_which_has_the_exit_code(
    error: SegnodeError, code: str, exit_code: int
) -> None:
    report = Report(study="1.2.3", outcome="failed", reason=Reason.of(error), device="cpu")
    assert report.reason is not None
    assert report.reason.code == code
    assert error.exit_code == exit_code
    assert report.exit_code == 1  # of a report alone, nobody knows more


def test_a_refusal_ends_with_3_and_names_the_series() -> None:
    reason = Reason.of(StudyRejected(ReasonCode.GANTRY_TILT, "12 mm.", "1.2.9"), "liver")
    report = Report(study="1.2.3", outcome="refused", reason=reason, device="cpu")
    assert report.exit_code == 3
    assert reason.series == "1.2.9"
    assert reason.message.startswith("liver: ")


def test_a_study_of_which_one_model_was_refused_does_not_end_with_0() -> None:
    reason = Reason.of(StudyRejected(ReasonCode.NO_MATCHING_SERIES), "vessels")
    assert Report(study="1.2.3", outcome="segmented", reason=reason, device="cpu").exit_code == 3
    assert Report(study="1.2.3", outcome="segmented", device="cpu").exit_code == 0


def test_measurements_are_written_only_of_models_that_have_some() -> None:
    label = LabelSpec(value=1, name="liver")
    measured = Structure(label, 12.34567, True, Intensity(1.23456, None, 0.0, 2.0))
    entries = tuple(MeasurementReport.of(one, "HU") for one in (measured, Structure(label, None)))
    models = (ModelReport(name="a", sha256="0"), ModelReport(name="b", sha256="0", measurements=entries))
    content = json.loads(Report(study="1.2.3", outcome="segmented", models=models, device="cpu").to_json())
    assert list(content) == KEYS
    assert "measurements" not in content["models"][0]
    found, absent = content["models"][1]["measurements"]
    assert (found["volume_ml"], found["mean"], found["sd"], found["incomplete"]) == (12.346, 1.2346, None, True)
    assert not absent["found"]
    assert absent["volume_ml"] is None
