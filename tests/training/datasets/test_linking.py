"""Files that are taken as they are: those that may be, and the ways in which they are shared."""

import errno
import fcntl
import gzip
from pathlib import Path

import numpy as np
import pytest

from tests.support.data_sources import image_of, name_in_gzip, write_image
from training.datasets.linking import FICLONE, is_clean, take


def test_file_that_simpleitk_wrote_is_clean(tmp_path: Path) -> None:
    assert is_clean(write_image(tmp_path / "a.nii.gz", image_of(1)))


def test_text_in_a_header_is_not_clean(tmp_path: Path) -> None:
    assert not is_clean(write_image(tmp_path / "a.nii.gz", image_of(1), notes="x"))


def test_name_in_the_gzip_header_is_not_clean(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.nii.gz", image_of(1))
    name_in_gzip(path, "somebody.nii")
    assert not is_clean(path)


@pytest.mark.parametrize("at", [4, 14, 148, 228, 328, 348])
def test_any_byte_of_text_or_extension_is_not_clean(at: int, tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.nii.gz", image_of(1))
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[at] = 65
    path.write_bytes(gzip.compress(bytes(content), mtime=0))
    assert not is_clean(path)


@pytest.mark.parametrize("name", ["a.nii", "a.mha", "a.nrrd"])
def test_other_formats_are_written_anew(name: str, tmp_path: Path) -> None:
    assert not is_clean(write_image(tmp_path / name, image_of(1)))


def test_garbage_is_not_clean(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    for content in (b"", b"x" * 9, gzip.compress(b"short"), np.zeros(500, np.uint8).tobytes()):
        path.write_bytes(content)
        assert not is_clean(path)


def test_taken_file_shares_its_blocks_or_is_the_same_file(tmp_path: Path) -> None:
    source, target = write_image(tmp_path / "a.nii.gz", image_of(1)), tmp_path / "b.nii.gz"
    take(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert target.samefile(source) or clones(tmp_path)


def clones(folder: Path) -> bool:
    (folder / "one").write_bytes(b"x")
    with (folder / "one").open("rb") as old, (folder / "two").open("wb") as new:
        try:
            fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
        except OSError:
            return False
    return True


def test_without_links_a_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr("fcntl.ioctl", refuse)
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    source, target = write_image(tmp_path / "a.nii.gz", image_of(1)), tmp_path / "b.nii.gz"
    take(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert not target.samefile(source)
