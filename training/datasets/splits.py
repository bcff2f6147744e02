"""Folds for cross-validation, by patient: all cases of one are on the same side."""

import random
from collections.abc import Mapping, Sequence

from core.errors import CaseCode, CaseRefused, ConfigInvalid
from training.datasets.lock import Split

FOLDS = 5
"""As nnU-Net's own."""
SEED = 12345
"""As nnU-Net's own; the folds of the same patients are always the same."""


def make_splits(patients: Mapping[str, str], folds: int = FOLDS) -> tuple[Split, ...]:
    """Deal patients to folds so that each holds nearly as many cases; no fold is without a patient.

    Parameters
    ----------
    patients
        The patient of each case.
    folds
        As many, or as many as there are patients.

    Returns
    -------
    tuple of Split
        Empty if there is one patient alone, who cannot be on two sides.
    """
    cases_of: dict[str, list[str]] = {}
    for case in sorted(patients):
        cases_of.setdefault(patients[case], []).append(case)
    order = sorted(cases_of)
    random.Random(SEED).shuffle(order)  # noqa: S311 - it deals, and keeps no secret
    order.sort(key=lambda patient: -len(cases_of[patient]))
    count = min(folds, len(order))
    if count < 2:
        return ()
    dealt: list[list[str]] = [[] for _ in range(count)]
    for patient in order:
        min(dealt, key=len).extend(cases_of[patient])
    everything = sorted(patients)
    return tuple(
        Split(train=tuple(case for case in everything if case not in fold), val=tuple(sorted(fold)))
        for fold in map(set, dealt)
    )


def check_splits(splits: Sequence[Split], patients: Mapping[str, str]) -> None:
    """Check splits that somebody made.

    Raises
    ------
    ConfigInvalid
        If they name a case that is not there, or one side of a fold is empty.
    CaseRefused
        ``patient_on_both_sides``.
    """
    for number, split in enumerate(splits):
        unknown = [case for case in (*split.train, *split.val) if case not in patients]
        if unknown:
            raise ConfigInvalid(f"splits: fold {number} names {len(unknown)} cases that are not in the data set")
        if not split.train or not split.val:
            raise ConfigInvalid(
                f"splits: fold {number} has {len(split.train)} to train and {len(split.val)} to validate"
            )
        both = {patients[case] for case in split.train} & {patients[case] for case in split.val}
        if both:
            named = ", ".join(sorted(both)[:3])
            raise CaseRefused(CaseCode.PATIENT_ON_BOTH_SIDES, f"Fold {number}, by short ID: {named}.")
