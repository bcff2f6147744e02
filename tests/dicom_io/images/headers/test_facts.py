"""The facts for routing about a study that holds files of every kind."""

from pathlib import Path

from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_io.images.headers.facts import SeriesFacts, read_series_facts
from phantom.series import write_series
from phantom.tags import Encoding, SeriesTags
from tests.dicom_io.images.test_study import nested_file
from tests.support.series_helpers import phantom

CT = SeriesFacts("CT", "ABDOMEN", "Made study", "thin")


def test_each_series_tells_its_facts(tmp_path: Path) -> None:
    write_series(phantom(), tmp_path, series=SeriesTags(description="thin"))
    assert read_series_facts(tmp_path) == [CT]


def test_one_hostile_file_does_not_keep_the_others_from_being_routed(tmp_path: Path) -> None:
    deflated = Encoding(transfer_syntax=DeflatedExplicitVRLittleEndian)
    files = write_series(phantom(), tmp_path, series=SeriesTags(description="thin"), encoding=deflated).files
    content = files[0].read_bytes()
    files[0].write_bytes(content[:-2000] + bytes(2000))
    files[1].write_bytes(content[:400])
    (tmp_path / "IM0000").write_bytes(nested_file(3000))
    (tmp_path / "IM0001b").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "notes").write_text("words")
    assert read_series_facts(tmp_path) == [CT]
