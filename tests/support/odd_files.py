"""Series that look damaged and are not: what other programs write, and what no reader may refuse."""

import struct
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from phantom.series import save_series


def with_streams(series: list[Dataset], change: Callable[[bytes], bytes]) -> list[Dataset]:
    """Change every compressed frame's bytes."""
    changed = deepcopy(series)
    for dataset in changed:
        streams = generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames", 1)))
        dataset.PixelData = encapsulate([change(stream) for stream in streams])
        dataset["PixelData"].VR = "OB"
    return changed


def rewrite(path: Path, keyword: str, change: Callable[[bytes], tuple[bytes, bytes]]) -> None:
    """Replace the first short element of a keyword in a file of explicit VRs, little endian.

    Parameters
    ----------
    change
        From a value's bytes to another VR and value; the length follows.
    """
    raw = path.read_bytes()
    tag = tag_for_keyword(keyword)
    assert tag is not None
    at = raw.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF))
    length = int.from_bytes(raw[at + 6 : at + 8], "little")
    vr, value = change(raw[at + 8 : at + 8 + length])
    size = struct.pack("<2xL" if vr[:1] == b"O" or vr == b"UN" else "<H", len(value))
    path.write_bytes(raw[: at + 4] + vr + size + value + raw[at + 8 + length :])


def nul_padded(value: bytes) -> tuple[bytes, bytes]:
    """Pad a decimal string by NUL in place of a blank."""
    value = value.rstrip(b" \0")
    return b"DS", value + b"\0" * (2 - len(value) % 2)


def binary(vr: bytes) -> Callable[[bytes], tuple[bytes, bytes]]:
    """Write a decimal string as doubles (FD, OD) or floats (FL, OF)."""
    word = "d" if vr.endswith(b"D") else "f"

    def change(value: bytes) -> tuple[bytes, bytes]:
        numbers = [float(part) for part in value.split(b"\\")]
        return vr, struct.pack(f"<{len(numbers)}{word}", *numbers)

    return change


def save_rewritten(
    series: list[Dataset], folder: Path, keywords: Sequence[str], change: Callable[[bytes], tuple[bytes, bytes]]
) -> None:
    """Save a series whose attributes are encoded in another way."""
    save_series(series, folder)
    for path in folder.iterdir():
        for keyword in keywords:
            rewrite(path, keyword, change)
