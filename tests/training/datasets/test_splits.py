import pytest

from core.errors import CaseCode, CaseRefused, ConfigInvalid
from training.datasets.lock import Split
from training.datasets.splits import check_splits, make_splits


@pytest.mark.parametrize(("patients", "cases", "folds"), [(5, 5, 5), (20, 47, 5), (3, 9, 3), (2, 2, 2), (7, 30, 5)])
def test_every_case_is_validated_once_and_no_patient_is_on_both_sides(patients: int, cases: int, folds: int) -> None:
    patient_of = {f"c{n}": f"p{n % patients}" for n in range(cases)}
    splits = make_splits(patient_of)
    assert len(splits) == folds
    check_splits(splits, patient_of)
    assert sorted(case for split in splits for case in split.val) == sorted(patient_of)
    assert all(set(split.train) | set(split.val) == set(patient_of) for split in splits)
    sizes = [len(split.val) for split in splits]
    assert max(sizes) - min(sizes) <= -(-cases // patients)


def test_the_same_patients_are_dealt_in_the_same_way() -> None:
    patient_of = {f"c{n}": f"p{n % 11}" for n in range(30)}
    assert make_splits(patient_of) == make_splits(dict(reversed(list(patient_of.items()))))


def test_one_patient_cannot_be_split() -> None:
    assert make_splits({"a": "p", "b": "p"}) == ()


def test_faulty_splits_are_refused() -> None:
    patient_of = {"a": "p", "b": "q", "c": "p"}
    with pytest.raises(CaseRefused) as refused:
        check_splits([Split(train=("a", "b"), val=("c",))], patient_of)
    assert refused.value.code is CaseCode.PATIENT_ON_BOTH_SIDES
    with pytest.raises(ConfigInvalid, match="not in the data set"):
        check_splits([Split(train=("a", "x"), val=("b",))], patient_of)
    with pytest.raises(ConfigInvalid, match="0 to validate"):
        check_splits([Split(train=("a",), val=())], patient_of)
