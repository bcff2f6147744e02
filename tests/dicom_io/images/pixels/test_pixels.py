"""Headers and codestreams that promise more than a file holds."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, HTJ2KLossless, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from core.errors import ReasonCode, StudyRejected
from core.volume import Volume
from dicom_io.images import volume
from dicom_io.images.pixels.codestream import CodestreamError, CodestreamSize, codestream_size
from phantom.series import make_series, save_series
from phantom.tags import Encoding
from tests.support.series_helpers import ct_series, one_study, phantom

ROWS, COLUMNS = 34, 35


def read(series: list[Dataset], folder: Path) -> Volume:
    save_series(series, folder)
    (found,) = one_study(folder).series
    return volume.read_volume(found)


def refusal_of(series: list[Dataset], folder: Path) -> StudyRejected:
    with pytest.raises(StudyRejected) as caught:
        read(series, folder)
    return caught.value


def enlarge_jpeg(stream: bytes, marker: bytes) -> bytes:
    at = stream.index(marker) + 5
    return stream[:at] + (16000).to_bytes(2, "big") * 2 + stream[at + 4 :]


def enlarge_jpeg_2000(stream: bytes) -> bytes:
    large = (16000).to_bytes(4, "big") * 2
    return stream[:8] + large + stream[16:24] + large + stream[32:]


BOMBS = [
    (JPEG2000Lossless, enlarge_jpeg_2000),
    (HTJ2KLossless, enlarge_jpeg_2000),
    (JPEGLSLossless, lambda stream: enlarge_jpeg(stream, b"\xff\xf7")),
    (JPEGLosslessSV1, lambda stream: enlarge_jpeg(stream, b"\xff\xc3")),
]


@pytest.mark.parametrize(("syntax", "enlarge"), BOMBS, ids=[syntax.name for syntax, _ in BOMBS])
def test_a_codestream_of_another_size_is_not_decoded(
    syntax: UID, enlarge: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    series = make_series(phantom(), encoding=Encoding(transfer_syntax=syntax, signed=False, bits_stored=12))
    (stream,) = generate_frames(series[3].PixelData, number_of_frames=1)
    assert codestream_size(stream) == CodestreamSize(ROWS, COLUMNS, 1)
    assert codestream_size(enlarge(stream)) == CodestreamSize(16000, 16000, 1)
    series[3].PixelData = encapsulate([enlarge(stream)])
    error = refusal_of(series, tmp_path)
    assert error.code is ReasonCode.UNREADABLE_PIXELS
    assert "16000 x 16000" in error.detail


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xda\x00\x02\xff\xc3\x00\x0b\x0c\x00\x22\x00\x23\x01\x01",
        b"\xff\xd8\x00\x00\x00\x00",
        b"\xff\xd8\xff\xe0\xff\xff" + bytes(20),
        b"\xff\xd8\xff\xc3\x00\x0b",
        b"\xff\x4f\xff\x51" + bytes(20),
        b"\x00\x00\x00\x0cjP  \x0d\x0a\x87\x0a" + bytes(40),
        b"\xff\x4f\xff\x51" + bytes(36) + b"\x00\x01\x0f\x02\x02",
    ],
)
def test_a_codestream_without_a_size_is_refused(stream: bytes) -> None:
    with pytest.raises(CodestreamError):
        codestream_size(stream)


def test_the_file_format_around_jpeg_2000_is_looked_into() -> None:
    (dataset, *_) = make_series(phantom(), encoding=Encoding(transfer_syntax=JPEG2000Lossless))
    (stream,) = generate_frames(dataset.PixelData, number_of_frames=1)
    signature = b"\x00\x00\x00\x0cjP  \x0d\x0a\x87\x0a"
    boxed = signature + b"\x00\x00\x00\x10free\xff\x4f\xff\x51\x00\x00\x00\x00" + b"\x00\x00\x00\x00jp2c" + stream
    assert codestream_size(boxed) == CodestreamSize(ROWS, COLUMNS, 1)


@pytest.mark.parametrize(
    ("rows", "columns", "code"),
    [(65535, 1024, ReasonCode.TRUNCATED_PIXELS), (65535, 65535, ReasonCode.UNREADABLE_PIXELS)],
)
def test_no_memory_is_asked_for_on_the_word_of_a_header(
    rows: int, columns: int, code: ReasonCode, tmp_path: Path
) -> None:
    series = ct_series()
    for dataset in series:
        dataset.Rows, dataset.Columns = rows, columns
    tracemalloc.start()
    try:
        error = refusal_of(series, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()
    assert error.code is code


def test_a_file_cut_short_is_found_before_the_others_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume, "read_frames", None)
    series = ct_series()
    series[-1].PixelData = series[-1].PixelData[:200]
    assert refusal_of(series, tmp_path).code is ReasonCode.TRUNCATED_PIXELS


def test_a_volume_has_a_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume, "MAX_VOXELS", 8 * ROWS * COLUMNS)
    assert read(ct_series(), tmp_path).array.size == 8 * ROWS * COLUMNS
    monkeypatch.setattr(volume, "MAX_VOXELS", 8 * ROWS * COLUMNS - 1)
    error = refusal_of(ct_series(), tmp_path)
    assert error.code is ReasonCode.UNREADABLE_PIXELS
    assert "exceed the largest volume" in error.detail
