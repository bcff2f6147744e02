"""A made series, its volume, and structure sets on it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from core.volume import Volume
from dicom_io.annotations.rtstruct import RTStruct
from dicom_io.images.study import read_studies
from dicom_io.images.volume import read_volume
from phantom.series import save_series
from tests.support.series_helpers import ct_series
from tests.support.structure_sets import Contour, make_structure_set

MaskOf = Callable[..., tuple[NDArray[np.bool_], tuple[str, ...]]]


@pytest.fixture(scope="session")
def made_series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Dataset], Volume]:
    """Folder, headers and volume of a small axial CT."""
    folder = tmp_path_factory.mktemp("made") / "ct"
    headers = ct_series()
    save_series(headers, folder)
    (study,) = read_studies(folder)
    return folder, headers, read_volume(study.series[0])


@pytest.fixture
def mask_of(made_series: tuple[Path, list[Dataset], Volume]) -> MaskOf:
    """Make the mask of one structure of a structure set on the made series."""
    _, headers, volume = made_series

    def make(
        contours: Sequence[Contour],
        number: int = 0,
        rois: Mapping[str, Sequence[Contour]] | None = None,
        **options: Any,
    ) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
        made = make_structure_set(volume, headers[0], rois or {"Liver": contours}, **options)
        return RTStruct(made).mask(number, volume)

    return make
