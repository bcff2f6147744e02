"""Answers of a data set's lock, put into the template of a package's ``model.yaml``."""

from pathlib import Path

import yaml

from core.model_config import Code, LabelSpec, SeriesRule
from segmentation.importing.add import add_package
from segmentation.package.package import MODEL_YAML, open_package
from tests.support.dataset_locks import locked_case
from tests.support.tiny_models import make_results_folder
from training.datasets.lock import DatasetLock, LockedChannel
from training.promotion.package import answer

HASH = "0" * 64


def lock_of(*labels: LabelSpec) -> DatasetLock:
    """A lock of one case, whose channel is CT in HU."""
    rule = SeriesRule(modality=["CT"], description=["venous"])
    return DatasetLock(
        name="TINY",
        number=101,
        version=HASH,
        segnode_version="0",
        channels=(LockedChannel(name="CT", nnunet_name="CT", unit="HU", series=rule),),
        labels=labels,
        cases={"a": locked_case(*(label.name for label in labels), kind="dicom_seg")},
    )


def test_answered_questions_are_gone_and_the_package_still_opens(tmp_path: Path) -> None:
    package = add_package(make_results_folder(tmp_path, "3d_fullres"), "tiny", tmp_path / "models")
    path = package.folder / MODEL_YAML
    assert {question.key for question in package.questions} >= {"orientation"}
    code = Code(value="10200004", scheme="SCT", meaning="Liver")
    names = ("liver", "left kidney", "tumour")
    answer(path, lock_of(*(LabelSpec(value=n, name=name, type=code) for n, name in enumerate(names, start=1))))
    answered = open_package(package.folder)
    assert [question.key for question in answered.questions] == ["geometry"]  # no lock knows of tilted patients
    assert answered.config.orientation == "acquired"
    assert answered.config.channels[0].series.description == ("venous",)
    assert {label.type.meaning for label in answered.config.labels} == {"Liver"}
    before, after = yaml.safe_load(path.read_text()), answered.config
    assert before["inference"]["step_size"] == after.inference.step_size
