"""Checks of an image before it is read, and files that cannot be put in its place meanwhile."""

import errno
import gzip
import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from core.errors import RequestCode, RequestRefused, RetryLater
from core.image_files.reader import read_image
from core.volume import Geometry
from services.images.image_reader import grid_of, told_phase
from services.images.limits import Limits
from services.images.opened_image import OpenImage
from tests.support.service_cases import shared, write_image

GRID = Geometry((4, 6, 5), (3.0, 1.0, 0.9), (-10.0, 4.0, 7.0), np.eye(3))


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "volume" / "0001").mkdir(parents=True)
    return tmp_path / "volume"


@pytest.fixture
def folder(volume: Path) -> Path:
    """Some files, one of them further below."""
    folder = volume / "0001" / "ct"
    (folder / "b").mkdir(parents=True)
    for name in ("2", "1", "b/3"):
        (folder / name).write_bytes(name.encode())
    return folder


def open_image(path: Path, root: Path, **limits: float) -> OpenImage:
    return OpenImage(shared(path, root), "image_path", Limits(**limits))  # type: ignore[arg-type]  # by name


def refusal(path: Path, root: Path, **limits: float) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        open_image(path, root, **limits)
    return caught.value


@pytest.fixture
def open_files(volume: Path) -> Iterator[None]:
    """See that every file is closed again."""
    yield
    still = [path for path in Path("/proc/self/fd").iterdir() if os.path.realpath(path).startswith(str(volume))]
    assert still == []


class TestFolder:
    """A folder of DICOM."""

    @pytest.mark.usefixtures("open_files")
    def test_its_files_are_found_in_order_and_hashed_with_their_names(self, folder: Path, volume: Path) -> None:
        with open_image(folder, volume) as image:
            names = sorted(image.path.iterdir())
            assert [path.read_bytes() for path in names] == [b"1", b"2", b"b/3"]
            digest = image.digest
        assert not names[0].parent.exists()
        (folder / "1").rename(folder / "0")
        with open_image(folder, volume) as image:
            assert image.digest != digest

    @pytest.mark.usefixtures("open_files")
    def test_links_are_followed_inside_of_the_root_alone(self, folder: Path, volume: Path, tmp_path: Path) -> None:
        (folder / "4").symlink_to("1")
        (folder / "5").symlink_to(folder)  # nobody goes round in circles
        with open_image(folder, volume) as image:
            assert [path.read_bytes() for path in sorted(image.path.iterdir())] == [b"1", b"2", b"1", b"b/3"]
        (tmp_path / "outside.dcm").write_bytes(b"another patient's")
        (folder / "b" / "6").symlink_to(tmp_path / "outside.dcm")
        assert refusal(folder, volume).code is RequestCode.PATH_OUTSIDE_ROOTS

    @pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "/etc/none", "none"])
    def test_nothing_is_told_of_what_a_link_would_lead_to(self, target: str, folder: Path, volume: Path) -> None:
        (folder / "4").symlink_to(target)
        told = refusal(folder, volume)
        assert (told.code, told.detail) == (
            RequestCode.PATH_OUTSIDE_ROOTS,
            "image_path: a link in it is broken or leads out of its root.",
        )

    def test_a_pipe_in_it_is_passed_over(self, folder: Path, volume: Path) -> None:
        os.mkfifo(folder / "0")
        with open_image(folder, volume) as image:
            assert image.digest
            assert len(list(image.path.iterdir())) == 3

    def test_replacement_of_a_file_is_not_read(self, folder: Path, volume: Path, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "3").write_bytes(b"another patient's")
        with open_image(folder, volume) as image:
            (folder / "1").unlink()
            (folder / "1").symlink_to(tmp_path / "outside" / "3")
            (folder / "b").rename(folder / "c")
            (folder / "b").symlink_to(tmp_path / "outside")
            assert [path.read_bytes() for path in sorted(image.path.iterdir())] == [b"1", b"2", b"b/3"]

    @pytest.mark.parametrize("change", ["content", "more"])
    def test_one_that_changes_is_not_believed(self, change: str, folder: Path, volume: Path) -> None:
        with open_image(folder, volume) as image:
            image.check_unchanged()
            (folder / "b" / ("3" if change == "content" else "4")).write_bytes(b"changed")
            with pytest.raises(RetryLater, match="image_path was changed"):
                image.check_unchanged()

    def test_masks_that_are_written_below_it_are_no_part_of_it(self, folder: Path, volume: Path) -> None:
        with open_image(folder, volume) as image:
            digest = image.digest
            for case in (folder, folder / "b"):
                (case / "mask").mkdir()
                (case / "mask" / "total.nii.gz").write_bytes(b"a mask")
            image.check_unchanged()
        with open_image(folder, volume) as image:
            assert image.digest == digest

    @pytest.mark.usefixtures("open_files")
    def test_too_many_or_too_large_files_are_refused_before_one_is_read(self, folder: Path, volume: Path) -> None:
        with open_image(folder, volume, files=4):
            pass
        many = refusal(folder, volume, files=3)
        assert (many.code, many.detail) == (
            RequestCode.OVER_LIMITS,
            "image_path: more than 3 files and folders (limits.files).",
        )
        with (folder / "sparse").open("wb") as file:
            file.truncate(2 << 40)
        large = refusal(folder, volume)
        assert (large.code, large.detail) == (
            RequestCode.OVER_LIMITS,
            "image_path: its files are more than 4 GB (limits.files_gigabytes).",
        )

    @pytest.mark.usefixtures("open_files")
    def test_more_files_than_may_be_open_are_told_with_the_remedy(
        self, folder: Path, volume: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = shared(folder, volume)

        def no_more(path: str, flags: int, **options: int | None) -> int:
            if path == "2":
                raise OSError(errno.EMFILE, "Too many open files")
            return original(path, flags, **options)  # type: ignore[arg-type]  # as it came

        original = os.open
        with monkeypatch.context() as patched:
            patched.setattr("services.images.safe_open.os.open", no_more)
            with pytest.raises(RequestRefused) as caught:
                OpenImage(found, "image_path", Limits())
        assert (caught.value.code, "ulimit -n" in caught.value.detail) == (RequestCode.OVER_LIMITS, True)


class TestFile:
    """A NIfTI file."""

    @pytest.fixture
    def path(self, volume: Path) -> Path:
        return write_image(volume / "0001" / "A.nii.gz", np.arange(120, dtype=np.int16).reshape(4, 6, 5), GRID)

    @pytest.mark.usefixtures("open_files")
    def test_it_is_read_as_by_its_name(self, path: Path, volume: Path) -> None:
        with open_image(path, volume) as image:
            assert image.digest == hashlib.sha256(path.read_bytes()).hexdigest()
            by_name = read_image([path], 1)
            assert np.array_equal(read_image([image.path], 1).array, by_name.array)
            assert grid_of(image.path, "image_path", Limits()).same_grid(by_name.geometry)

    def test_replacement_of_the_opened_file_is_not_read(self, path: Path, volume: Path, tmp_path: Path) -> None:
        secret = write_image(tmp_path / "secret.nii.gz", np.zeros(GRID.shape, np.int16), GRID)
        with open_image(path, volume) as image:
            path.unlink()
            path.symlink_to(secret)
            assert sitk.GetArrayFromImage(sitk.ReadImage(str(image.path))).max() == 119

    def test_replacement_before_opening_is_refused(self, path: Path, volume: Path, tmp_path: Path) -> None:
        found = shared(path, volume)
        (volume / "0001").rename(tmp_path / "moved")
        (volume / "0001").symlink_to(tmp_path / "moved")
        with pytest.raises(RequestRefused) as caught:
            OpenImage(found, "image_path", Limits())
        assert caught.value.code is RequestCode.PATH_OUTSIDE_ROOTS

    def test_a_pipe_in_its_place_is_not_waited_for(self, path: Path, volume: Path) -> None:
        found = shared(path, volume)
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(RequestRefused, match="neither a file nor a folder"):
            OpenImage(found, "image_path", Limits())

    def test_a_header_that_claims_a_huge_image_is_refused_before_memory_is_asked_for(self, volume: Path) -> None:
        path = volume / "0001" / "huge.nii.gz"
        path.write_bytes(gzip.compress(nifti_header((30_000, 30_000, 30_000)) + bytes(1000)))
        assert path.stat().st_size < 1000
        with pytest.raises(RequestRefused) as caught:
            grid_of(path, "image_path", Limits())
        assert caught.value.code is RequestCode.OVER_LIMITS
        assert caught.value.detail == (
            "image_path: 30000 x 30000 x 30000 voxels are 108000.0 GB; limits.image_gigabytes is 4."
        )

    @pytest.mark.parametrize(
        ("shape", "spacing"),
        [((5, 6), 1.0), ((5, 6, 4, 2), 1.0), *(((5, 6, 4), mm) for mm in (1e-9, 1e9))],
    )
    def test_a_header_of_no_3d_grid_is_refused(self, shape: tuple[int, ...], spacing: float, volume: Path) -> None:
        path = volume / "0001" / "odd.nii"
        path.write_bytes(nifti_header(shape, spacing) + bytes(1000))
        with pytest.raises(RequestRefused) as caught:
            grid_of(path, "image_path", Limits())
        assert caught.value.code is RequestCode.UNREADABLE_IMAGE


def nifti_header(shape: tuple[int, ...], spacing: float = 1.0) -> bytes:
    """A NIfTI-1 header of signed 16-bit voxels, and the four bytes that say that nothing extends it."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1.0, *[spacing] * 7)
    struct.pack_into("<f", header, 108, 352.0)
    struct.pack_into("<h", header, 252, 1)  # a qform without rotation
    header[344:348] = b"n+1\0"
    return bytes(header)


class TestSidecar:
    """The JSON file that a converter leaves beside an image."""

    @pytest.fixture
    def image(self, volume: Path) -> Path:
        return write_image(volume / "0001" / "7.nii.gz", np.zeros(GRID.shape, np.int16), GRID)

    def test_it_tells_the_phase(self, image: Path, volume: Path) -> None:
        image.with_name("7.json").write_text('{"SeriesDescription": "portal venous"}')
        assert told_phase(shared(image, volume)) == "portal"

    @pytest.mark.parametrize("kind", ["pipe", "link", "large", "folder"])
    def test_one_that_is_no_small_file_of_the_root_tells_nothing(self, kind: str, image: Path, volume: Path) -> None:
        sidecar, content = image.with_name("7.json"), '{"SeriesDescription": "portal venous"}'
        if kind == "pipe":
            os.mkfifo(sidecar)
        elif kind == "link":
            (volume.parent / "outside.json").write_text(content)
            sidecar.symlink_to(volume.parent / "outside.json")
        elif kind == "large":
            sidecar.write_text(content + " " * (1 << 20))
        else:
            sidecar.mkdir()
        assert told_phase(shared(image, volume)) is None
