"""Made series are valid DICOM: a validator, two independent decoders and the arguments agree."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian

from phantom import make_phantom, trunk_geometry
from phantom.encoding import COMPRESSED, TRANSFER_SYNTAXES
from phantom.intensity import Modality, Phase
from phantom.series import make_series, write_series
from phantom.tags import Encoding, SeriesTags, StudyTags

GEOMETRY = trunk_geometry((60.0, 8.0, 6.0))


@pytest.mark.parametrize("phase", [None, "A"])
@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_dciodvfy_finds_no_error(
    modality: Modality, enhanced: bool, phase: Phase | None, peer: Callable[[str], str], tmp_path: Path
) -> None:
    made = make_phantom(GEOMETRY, modality=modality, phase=phase)
    files = write_series(made, tmp_path, encoding=Encoding(enhanced=enhanced)).files
    found = subprocess.run([peer("dciodvfy"), str(files[0])], capture_output=True, text=True)  # noqa: S603 - a peer
    assert f"{modality}Image" in found.stderr
    assert "Error" not in found.stderr


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES, ids=[uid.name for uid in TRANSFER_SYNTAXES])
def test_pydicom_decodes_the_written_values(syntax: UID, tmp_path: Path) -> None:
    made = make_phantom(GEOMETRY)
    files = write_series(made, tmp_path, encoding=Encoding(transfer_syntax=syntax)).files
    for path, plane in zip(files, made.array, strict=True):
        dataset = dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID == syntax
        np.testing.assert_array_equal(dataset.pixel_array - 1024, plane)
    compressed = files[0].stat().st_size < made.array[0].nbytes
    assert compressed or syntax not in COMPRESSED


def test_equal_arguments_give_equal_series_and_others_do_not() -> None:
    made = make_phantom(GEOMETRY)
    first, again = make_series(made), make_series(made)
    assert first == again
    others = (
        make_series(made, study=StudyTags(name="other")),
        make_series(made, series=SeriesTags(number=2)),
        make_series(make_phantom(GEOMETRY, phase="A")),
        make_series(make_phantom(GEOMETRY, seed=1)),
        make_series(make_phantom(trunk_geometry((60.0, 8.0, 8.0)))),
    )
    uids = {series[0].SeriesInstanceUID for series in (first, *others)}
    assert len(uids) == 6
    assert len({series[0].StudyInstanceUID for series in (first, *others)}) == 2


@pytest.mark.parametrize(("phase", "time"), [(None, "101300"), ("A", "101535"), ("P", "101610"), ("D", "102000")])
def test_the_series_states_its_phase(phase: Phase | None, time: str) -> None:
    dataset = make_series(make_phantom(GEOMETRY, phase=phase))[0]
    assert dataset.AcquisitionTime == time
    assert ("ContrastBolusAgent" in dataset) == (phase is not None)


def test_values_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit 8 bits"):
        make_series(make_phantom(GEOMETRY), encoding=Encoding(bits_stored=8))
    with pytest.raises(ValueError, match="cannot write"):
        make_series(make_phantom(GEOMETRY), encoding=Encoding(transfer_syntax=UID("1.2.840.10008.1.2.4.100")))
    assert make_series(make_phantom(GEOMETRY), encoding=Encoding(transfer_syntax=ExplicitVRLittleEndian))
