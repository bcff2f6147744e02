"""Padding behind the end of compressed frames, which is no damage, and frames cut short, which is."""

from itertools import pairwise
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames, itemize_fragment
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    RLELossless,
)

from core.errors import ReasonCode, StudyRejected
from dicom_io.images.pixels.streams import TruncatedStreamError, jpeg_streams, rle_streams
from dicom_io.images.volume import read_volume
from phantom.encoding import COMPRESSED
from phantom.series import make_series, save_series
from phantom.tags import Encoding
from tests.support.odd_files import with_streams
from tests.support.series_helpers import ct_series, one_study, phantom

LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)
PADDINGS = [b"\0", b"\xff", b"\0" * 37, b"\xff" * 38, b"\xff\0" * 9 + b"\xff"]


def lossy_series(syntax: UID) -> list[Dataset]:
    """Make a CT of 8 or 12 unsigned bits in a transfer syntax that pydicom need not be able to write."""
    bits = 8 if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit) else 12  # GDCM decodes no more
    series = make_series(phantom(), encoding=Encoding(signed=False, bits_stored=12))
    for dataset in series:
        stored = dataset.pixel_array >> (12 - bits)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = -8 * (-bits // 8), bits, bits - 1
        dataset.PixelData = encapsulate([encoded(stored, syntax)])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = syntax
    return series


def encoded(stored: NDArray[np.uint16], syntax: UID) -> bytes:
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        return bytes(imagecodecs.jpeg8_encode(stored.astype(np.uint8), level=95))
    if syntax == JPEGLSNearLossless:
        return bytes(imagecodecs.jpegls_encode(stored, level=2))
    if syntax == JPEG2000:
        return bytes(imagecodecs.jpeg2k_encode(stored, level=80, codecformat="j2k", bitspersample=12))
    return bytes(imagecodecs.htj2k_encode(stored, reversible=False))


def array_of(series: list[Dataset], folder: Path) -> NDArray[np.float32]:
    save_series(series, folder)
    (found,) = one_study(folder).series
    return read_volume(found).array


@pytest.mark.parametrize("padding", PADDINGS, ids=lambda padding: f"{padding[:2].hex()} x {len(padding)}")
@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("syntax", COMPRESSED, ids=[uid.name for uid in COMPRESSED])
def test_padding_changes_no_voxel(syntax: UID, enhanced: bool, padding: bytes, tmp_path: Path) -> None:
    series = make_series(phantom(), encoding=Encoding(transfer_syntax=syntax, enhanced=enhanced))
    read = array_of(with_streams(series, lambda stream: stream + padding), tmp_path)
    assert_array_equal(read[0], phantom().array)


@pytest.mark.parametrize("padding", PADDINGS, ids=lambda padding: f"{padding[:2].hex()} x {len(padding)}")
@pytest.mark.parametrize("syntax", LOSSY, ids=[uid.name for uid in LOSSY])
def test_padding_changes_no_voxel_of_lossy_images(syntax: UID, padding: bytes, tmp_path: Path) -> None:
    plain = array_of(lossy_series(syntax), tmp_path / "plain")
    assert plain.std() > 5
    padded = array_of(with_streams(lossy_series(syntax), lambda stream: stream + padding), tmp_path / "padded")
    assert_array_equal(padded, plain)


@pytest.mark.parametrize("padding", [b"", *PADDINGS], ids=lambda padding: f"{padding[:2].hex()} x {len(padding)}")
@pytest.mark.parametrize("syntax", COMPRESSED, ids=[uid.name for uid in COMPRESSED])
def test_padding_hides_no_frame_that_is_cut_short(syntax: UID, padding: bytes, tmp_path: Path) -> None:
    """Cut by half: what is left of an RLE segment does not suffice, whatever the padding would decode to."""
    series = make_series(phantom(), encoding=Encoding(transfer_syntax=syntax))
    with pytest.raises(StudyRejected) as caught:
        array_of(with_streams(series, lambda stream: stream[: len(stream) // 2] + padding), tmp_path)
    assert caught.value.code is (ReasonCode.UNREADABLE_PIXELS if syntax == RLELossless else ReasonCode.TRUNCATED_PIXELS)


def test_a_frame_cut_short_is_found_wherever_it_lies(tmp_path: Path) -> None:
    (enhanced,) = make_series(phantom(), encoding=Encoding(transfer_syntax=COMPRESSED[4], enhanced=True))
    frames = list(generate_frames(enhanced.PixelData, number_of_frames=8))
    frames[3] = frames[3][:-40] + bytes(40)
    enhanced.PixelData = encapsulate(frames)
    with pytest.raises(StudyRejected) as caught:
        array_of([enhanced], tmp_path)
    assert caught.value.code is ReasonCode.TRUNCATED_PIXELS
    assert "frame 4 has no end marker" in caught.value.detail


@pytest.mark.parametrize("padding", [b"\0" * 40, b"\xff" * 40])
@pytest.mark.parametrize("cut", [4, 1], ids=["items of 4", "the marker cut in two"])
def test_frames_of_several_items_end_at_their_end_marker(padding: bytes, cut: int) -> None:
    streams = [b"\xff\xd8" + bytes([number]) * 20 + b"\xff\xd9" for number in range(1, 4)]
    items = [b""]
    for stream in streams:
        at = [0, 10, len(stream) - 2 if cut == 4 else len(stream) - 1, len(stream)]
        items += [stream[start:end] for start, end in pairwise(at)]
        items[-1] += padding
        items.append(padding)
    value = b"".join(itemize_fragment(item) for item in items)
    assert list(jpeg_streams(value, 3)) == streams


def test_items_without_an_end_are_no_frame() -> None:
    value = b"".join(itemize_fragment(item) for item in (b"", b"\xff\xd8ab\xff\xd9", b"\xff\xd8abcd", b"efgh"))
    with pytest.raises(TruncatedStreamError):
        list(jpeg_streams(value, 2))


def rle(plane: NDArray[np.uint16]) -> bytes:
    return bytes(
        RLELosslessEncoder.encode(
            plane,
            encoding_plugin="pydicom",
            rows=plane.shape[0],
            columns=plane.shape[1],
            samples_per_pixel=1,
            number_of_frames=1,
            bits_allocated=16,
            bits_stored=16,
            pixel_representation=0,
            photometric_interpretation="MONOCHROME2",
        )
    )


@pytest.mark.parametrize("values", [0, 0xFFFF, None], ids=["zeros", "ones", "noise"])
def test_rle_keeps_the_zeros_that_are_part_of_it(values: int | None) -> None:
    rng = np.random.default_rng(1)
    plane = rng.integers(0, 2**16, (9, 130), np.uint16) if values is None else np.full((9, 130), values, np.uint16)
    stream = rle(plane)
    (found,) = rle_streams(encapsulate([stream + b"\0\0\0\0"]), 1, plane.size)
    assert found in (stream, stream[:-1])  # a byte of its own padding may go with the rest
    (kept,) = rle_streams(encapsulate([stream + b"\0\0\1\2"]), 1, plane.size)
    assert kept.endswith(b"\1\2"), "what is no padding is the decoder's matter"


def test_deflated_data_may_be_followed_by_padding(tmp_path: Path) -> None:
    series = make_series(phantom(), encoding=Encoding(transfer_syntax=DeflatedExplicitVRLittleEndian))
    save_series(series, tmp_path)
    for number, path in enumerate(sorted(tmp_path.iterdir())):
        path.write_bytes(path.read_bytes() + PADDINGS[number % len(PADDINGS)])
    (found,) = one_study(tmp_path).series
    assert_array_equal(read_volume(found).array[0], phantom().array)


@pytest.mark.parametrize("padding", PADDINGS, ids=lambda padding: f"{padding[:2].hex()} x {len(padding)}")
def test_uncompressed_pixels_may_be_followed_by_padding(padding: bytes, tmp_path: Path) -> None:
    series = ct_series()
    for dataset in series:
        dataset.PixelData = dataset.PixelData + padding + b"\0" * (len(padding) % 2)
    assert_array_equal(array_of(series, tmp_path)[0], phantom().array)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_uncompressed_pixels_of_another_matrix_are_refused(syntax: UID, tmp_path: Path) -> None:
    series = make_series(phantom(), encoding=Encoding(transfer_syntax=syntax))
    excess = b"\1\2" * min(series[0].Rows, series[0].Columns)
    series[2].PixelData += excess[:-2]
    assert_array_equal(array_of(series, tmp_path / "less than a row")[0], phantom().array)
    series[2].PixelData += excess[-2:]
    with pytest.raises(StudyRejected, match="it is of another image") as caught:
        array_of(series, tmp_path / "more")
    assert caught.value.code is ReasonCode.UNREADABLE_PIXELS
