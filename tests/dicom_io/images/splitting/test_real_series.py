"""Real series: each is one volume, and chosen as it was before series came apart."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import StudyRejected
from core.model_config import SeriesRule
from dicom_io.images.grid.geometry import layout_of
from dicom_io.images.selection.selection import select_series
from dicom_io.images.splitting.volumes import split_of
from dicom_io.images.study import read_studies
from tests.support.series_helpers import config

FOLDERS = ("crlm-ct-1006", "dcmqi", "head-tilt-philips", "sts-001-ct", "sts-002-ct")


@pytest.mark.parametrize("name", FOLDERS)
def test_no_real_series_is_taken_apart(real_data: Callable[[str], Path], name: str) -> None:
    for study in read_studies(real_data(name)):
        for series in study.series:
            assert split_of(series).volumes == (series,)
        selection = select_series(study, config(SeriesRule(modality=("CT", "MR", "PT"), min_slices=1)))
        fitting = [series.uid for series in study.series if _is_regular(series)]
        taken = [d.series_uid for d in selection.decisions if d.decision == "taken"]
        assert len(taken) == min(1, len(fitting))
        assert set(taken) <= set(fitting)
        assert all(d.part is None for d in selection.decisions)


def _is_regular(series: object) -> bool:
    try:
        layout_of(series)  # type: ignore[arg-type]  # a series of the study
    except StudyRejected:
        return False
    return True
