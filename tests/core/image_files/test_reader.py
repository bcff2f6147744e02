"""Files that are whole are read as nibabel and ITK read them; each other kind is refused, and told what it is."""

import gzip
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from core.errors import UnreadableImage
from core.image_files import content
from core.image_files.reader import read_array, read_grid, read_image
from tests.faults.table import FAULT
from tests.support.image_files import FORMS, SIZE, Change, both, members, put, repacked, swap, voxels, write_form

NAN, INF = float("nan"), float("inf")
VOXELS = 2 * SIZE[0] * SIZE[1] * SIZE[2]
NO_FORM = put(252, "2h", 0, 0)
SHEARED = both(put(252, "2h", 0, 2), put(280, "12f", 0.9, 0.5, 0, 0, 0, 1.25, 0, 0, 0, 0, 3, 0))
REFUSED: dict[str, tuple[str, Change, str]] = {
    # NIfTI: the file
    "an empty NIfTI": ("raw.nii", lambda _: b"", "ends inside its header, after 0 of 352"),
    "a NIfTI of another program's text": ("raw.nii", lambda _: b"<html>" * 200, "it is not NIfTI"),
    "a NIfTI one byte short": ("raw.nii", lambda c: c[:-1], f"cut short: {VOXELS - 1} of {VOXELS} bytes"),
    "a NIfTI with more voxels than its header states": ("raw.nii", put(46, "h", 4), "more follows the voxels"),
    "a NIfTI with text behind its voxels": ("raw.nii", lambda c: c + b"the end", "more follows the voxels"),
    "a NIfTI with too much padding": ("raw.nii", lambda c: c + bytes(5000), "more follows the voxels"),
    "a gzip stream cut in its header": ("packed.nii.gz", lambda c: c[:40], "cut short at its beginning"),
    "a gzip stream cut in its voxels": ("packed.nii.gz", lambda c: c[: len(c) // 2 + 99], "gzip stream is cut short"),
    "a gzip stream without its checksum": ("packed.nii.gz", lambda c: c[:-8], "gzip stream is cut short"),
    "a gzip stream without the end of its length": ("packed.nii.gz", lambda c: c[:-1], "gzip stream is cut short"),
    "a gzip stream of another checksum": ("packed.nii.gz", lambda c: c[:-8] + bytes(4) + c[-4:], "is damaged"),
    "a gzip stream of another length": ("packed.nii.gz", lambda c: c[:-4] + bytes(4), "is damaged"),
    "a gzip stream with text behind it": ("packed.nii.gz", lambda c: c + b"the end", "is damaged"),
    "a damaged second gzip member": (
        "packed.nii.gz",
        lambda c: members(gzip.decompress(c), [500])[:-6] + bytes(6),
        "is damaged",
    ),
    "a NIfTI named .gz that is not packed": ("packed.nii.gz", gzip.decompress, "is not a gzip file"),
    "a packed NIfTI named .nii": ("raw.nii", gzip.compress, "352 bytes|not NIfTI"),
    "a packed NIfTI cut before it was packed": ("packed.nii.gz", repacked(lambda c: c[:-1]), "cut short"),
    "a gzip bomb": ("packed.nii.gz", repacked(lambda c: c + bytes(1 << 24)), "more follows the voxels"),
    # NIfTI: dimensions and offset
    "a header of 30,000 voxels along each axis": (
        "raw.nii",
        both(put(254, "h", 0), put(42, "3h", 30000, 30000, 30000)),
        "at most 2147483648",
    ),
    "a packed header of more than the file can hold": (
        "packed.nii.gz",
        repacked(both(put(254, "h", 0), put(42, "3h", 1200, 1200, 1200))),
        "more than [0-9]+ compressed bytes can hold",
    ),
    "a NIfTI without voxels": ("raw.nii", put(42, "h", 0), "expected a single 3d image with at least one voxel"),
    "a NIfTI of negative size": ("raw.nii", put(42, "h", -7), "at least one voxel"),
    "a NIfTI of two axes": ("raw.nii", put(40, "h", 2), "expected a single 3d image"),
    "a NIfTI of several times": ("raw.nii", put(40, "5h", 4, 7, 6, 1, 5), "7 x 6 x 1 x 5; expected a single 3d image"),
    "a NIfTI of no number of axes": ("raw.nii", put(40, "h", 77), "77 axes; expected a single 3d image"),
    "voxels that begin in the header": ("raw.nii", put(108, "f", 348), "begin at byte 348"),
    "voxels that begin between two bytes": ("raw.nii", put(108, "f", 352.5), "begin at byte 352.5"),
    "voxels that begin nowhere": ("raw.nii", put(108, "f", NAN), "begin at byte nan"),
    "an extension without a place": ("raw.nii", put(348, "B", 1), "leaves no place"),
    # NIfTI: what a value is
    "colours": ("raw.nii", put(70, "2h", 128, 24), "its voxels are colours"),
    "complex numbers": ("raw.nii", put(70, "2h", 32, 64), "its voxels are complex numbers"),
    "128-bit floats": ("raw.nii", put(70, "2h", 1536, 128), "its voxels are 128-bit floats"),
    "an unknown datatype": ("raw.nii", put(70, "2h", 999, 16), "of the unknown datatype 999"),
    "bits that are not the datatype's": ("raw.nii", put(72, "h", 8), "8 bits a voxel, where its datatype has 16"),
    "an intercept without a slope": ("raw.nii", put(112, "2f", 0, -1024), "scl_inter.* without a slope"),
    "an infinite slope": ("raw.nii", put(112, "2f", INF, 0), "not a usable number"),
    "an intercept that is no number": ("raw.nii", put(112, "2f", 1, NAN), "not a usable number"),
    "a slope that ITK takes for none": ("raw.nii", put(112, "2f", 1e-20, 0), "not a usable number"),
    "a map of statistics": ("raw.nii", put(68, "h", 5), "its intent code is 5"),
    "a field of vectors": ("raw.nii", put(68, "h", 1007), "its intent code is 1007"),
    # NIfTI: where it lies
    "lengths in metres": ("raw.nii", put(123, "B", 1), "lengths are in metres; expected mm"),
    "lengths in micrometres": ("raw.nii", put(123, "B", 3), "lengths are in micrometres; expected mm"),
    "lengths in an unknown unit": ("raw.nii", put(123, "B", 5), "an unknown unit"),
    "neither qform nor sform": ("raw.nii", NO_FORM, "qform and sform are both unset"),
    "a qform code that does not exist": ("raw.nii", put(252, "h", 99), "the codes of its qform and sform are 99"),
    "qform and sform that disagree": ("raw.nii", put(268, "f", 300), "qform and its sform place the image differently"),
    "a mirrored qform": ("raw.nii", put(76, "f", -1), "qform and its sform place the image differently"),
    "a qform without a sign": ("raw.nii", put(76, "f", 0.5), "neither 1 nor -1"),
    "a quaternion that is no rotation": ("raw.nii", put(256, "f", 1.7), "is no rotation"),
    "a quaternion that is no number": ("raw.nii", put(256, "f", NAN), "is no rotation"),
    "a singular sform": ("raw.nii", put(280, "12f", *[0.0] * 12), "sform is singular"),
    "a sheared sform": ("raw.nii", SHEARED, "pixdim and another|not at right angles"),
    "a spacing of zero": ("raw.nii", both(put(254, "h", 0), put(80, "f", 0)), "no valid spacing: 0"),
    "a negative spacing": ("raw.nii", both(put(254, "h", 0), put(80, "f", -0.9)), "one spacing in pixdim and another"),
    "a spacing of nanometres": ("raw.nii", both(put(254, "h", 0), put(80, "f", 1e-9)), "no valid spacing"),
    "a spacing that its sform contradicts": ("raw.nii", both(put(252, "h", 0), put(80, "f", 2)), "one spacing"),
    "a place a kilometre away": ("raw.nii", both(put(254, "h", 0), put(268, "f", 1e6)), "nowhere in a patient"),
    # headers whose voxels lie elsewhere
    "an .hdr named .nii": ("raw.nii", put(344, "4s", b"ni1\0"), "voxels lie in another file"),  # type: ignore[arg-type]
    "an NRRD of another file's voxels": (
        "raw.nrrd",
        swap(b"encoding: raw\n", b"encoding: raw\ndata file: /etc/passwd\n"),
        "says 'data file': the voxels must follow",
    ),
    "an NRRD of a list of files": (
        "raw.nrrd",
        swap(b"encoding: raw\n", b"encoding: raw\ndatafile: LIST\n"),
        "says 'datafile'",
    ),
    "an NRRD that skips bytes": ("raw.nrrd", swap(b"encoding: raw\n", b"encoding: raw\nbyte skip: 4\n"), "byte skip"),
    "a MetaImage of another file's voxels": (
        "raw.mha",
        swap(b"ElementDataFile = LOCAL", b"ElementDataFile = /etc/passwd"),
        "names another file",
    ),
    "a MetaImage of a list of files": ("raw.mha", swap(b"= LOCAL", b"= LIST"), "names another file"),
    # NRRD
    "an NRRD without an end of its header": ("raw.nrrd", lambda c: c[:100], "header has no end"),
    "an NRRD one byte short": ("raw.nrrd", lambda c: c[:-1], "cut short"),
    "an NRRD with more voxels than it states": ("raw.nrrd", swap(b"sizes: 7 6 5", b"sizes: 7 6 4"), "more follows"),
    "an NRRD of a huge size": ("raw.nrrd", swap(b"7 6 5", b"100000 100000 100000"), "at most 2147483648"),
    "an NRRD of no size": ("raw.nrrd", swap(b"7 6 5", b"7 -6 5"), "'sizes' of its header must be"),
    "an NRRD of four axes": ("raw.nrrd", swap(b"dimension: 3", b"dimension: 4"), "it has 4 axes"),
    "an NRRD of vectors": ("raw.nrrd", swap(b"domain domain domain", b"vector domain domain"), "one value a voxel"),
    "an NRRD without a space": ("raw.nrrd", swap(b"space: left-posterior-superior\n", b""), "has no field 'space'"),
    "an NRRD in a scanner's own space": (
        "raw.nrrd",
        swap(b"left-posterior-superior", b"scanner-xyz"),
        "'space' of its header must be",
    ),
    "an NRRD without an origin": ("raw.nrrd", swap(b"space origin", b"# origin"), "no field 'space origin'"),
    "an NRRD with an axis of no direction": ("raw.nrrd", swap(b"(0,0,-3)", b"none"), "must be 3 vector"),
    "an NRRD of unknown byte order": ("raw.nrrd", swap(b"endian: little\n", b""), "no field 'endian'"),
    "an NRRD as text": ("raw.nrrd", swap(b"encoding: raw", b"encoding: ascii"), "must be raw or gzip"),
    "an NRRD with a field twice": ("raw.nrrd", swap(b"endian: little", b"sizes: 7 6 5"), "field 'sizes' twice"),
    "an NRRD with a field that there is not": ("raw.nrrd", swap(b"kinds:", b"kinda:"), "no field of NRRD"),
    "an NRRD in centimetres": (
        "raw.nrrd",
        swap(b"endian: little", b'space units: "cm" "cm" "cm"\nendian: little'),
        "'space units' of its header must be mm",
    ),
    "an NRRD of a cut gzip stream": ("packed.nrrd", lambda c: c[:-9], "gzip stream is cut short"),
    "an NRRD of a damaged gzip stream": ("packed.nrrd", lambda c: c[:-8] + bytes(8), "is damaged"),
    # MetaImage
    "a MetaImage without an end of its header": ("raw.mha", lambda c: c[:60], "header has no end"),
    "a MetaImage one byte short": ("raw.mha", lambda c: c[:-1], "cut short"),
    "a MetaImage with more voxels than it states": ("raw.mha", swap(b"DimSize = 7 6 5", b"DimSize = 7 6 4"), "more"),
    "a MetaImage of a huge size": ("raw.mha", swap(b"= 7 6 5", b"= 100000 100000 100000"), "at most 2147483648"),
    "a MetaImage of two axes": ("raw.mha", swap(b"NDims = 3", b"NDims = 2"), "not a single 3d image"),
    "a MetaImage of several channels": (
        "raw.mha",
        swap(b"ElementType", b"ElementNumberOfChannels = 3\nElementType"),
        "must be 1 or missing",
    ),
    "a MetaImage with a slope": (
        "raw.mha",
        swap(b"ElementType", b"ElementToIntensityFunctionSlope = 2\nElementType"),
        "must be 1 or missing",
    ),
    "a MetaImage that skips bytes": ("raw.mha", swap(b"ElementType", b"HeaderSize = -1\nElementType"), "must be 0"),
    "a MetaImage without a place": ("raw.mha", swap(b"Offset", b"Comment"), "no field 'Offset'"),
    "a MetaImage in micrometres": (
        "raw.mha",
        swap(b"ElementType", b"DistanceUnits = um\nElementType"),
        "'DistanceUnits' of its header must be mm",
    ),
    "a MetaImage with two places": ("raw.mha", swap(b"ElementSpacing", b"Origin = 0 0 0\nElementSpacing"), "the same"),
    "a MetaImage whose axes are not at right angles": (
        "raw.mha",
        swap(b"TransformMatrix = 0 1 0 1 0 0 0 0 -1", b"TransformMatrix = 1 0 0 1 1 0 0 0 1"),
        "right-angled",
    ),
    "a MetaImage of a machine's own type": ("raw.mha", swap(b"MET_SHORT", b"MET_LONG"), "is not one that is read"),
    "a MetaImage of a cut zlib stream": ("packed.mha", lambda c: c[:-3], "zlib stream is cut short"),
    "a MetaImage of a damaged zlib stream": ("packed.mha", lambda c: c[:-4] + bytes(4), "zlib stream is damaged"),
    "a MetaImage whose zlib stream holds more": (
        "packed.mha",
        swap(b"= 7 6 5", b"= 7 6 4"),
        "holds more voxels than the header states",
    ),
}


def refusal(path: Path) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        read_array(path)
    return caught.value


@pytest.mark.parametrize("name", REFUSED)
def test_damaged_and_unfit_files_are_refused_with_what_is_wrong(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, name)
    form, change, told = REFUSED[name]
    path = write_form(tmp_path / form, voxels())
    path.write_bytes(change(path.read_bytes()))
    error = refusal(path)
    assert (error.exit_code, str(error)) == (2, f"{path}: unreadable_image: {error.detail}")
    assert str(tmp_path) not in error.detail
    assert re.search(told, error.detail), error.detail


@pytest.mark.parametrize("name", ["image.mhd", "image.nhdr", "image.hdr", "image.img", "image.tiff", "image"])
def test_headers_of_their_own_and_other_formats_are_refused_by_their_name(name: str, tmp_path: Path) -> None:
    write_form(tmp_path / "raw.mha", voxels()).rename(tmp_path / name)
    assert "must end in one of .nii.gz, .nii, .nrrd, .mha" in refusal(tmp_path / name).detail


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.nii").detail == "it cannot be opened: No such file or directory"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"])
def test_whole_files_are_read_as_they_were_written(form: str, kind: str, tmp_path: Path) -> None:
    array = voxels(kind=np.uint8 if kind == "i1" else kind).astype(kind)
    path = write_form(tmp_path / form, array)
    found, grid = read_array(path)
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)
    assert read_grid(path).same_grid(grid)
    stored: Any = sitk.ReadImage(str(path))
    assert np.allclose(grid.direction.ravel(), stored.GetDirection())
    assert grid.origin == stored.GetOrigin()


@pytest.mark.parametrize(
    ("form", "change"),
    [
        ("raw.nii", lambda c: c + bytes(512)),
        ("packed.nii.gz", repacked(lambda c: c + bytes(512))),
        ("packed.nii.gz", lambda c: c + bytes(512)),
        ("packed.nii.gz", lambda c: members(gzip.decompress(c), [300, 352, 400])),
        ("raw.nii", put(112, "2f", 0, 0)),
        ("raw.nii", put(112, "2f", NAN, NAN)),
        ("raw.nii", put(123, "B", 0)),
        ("raw.nii", put(68, "h", 1002)),
        ("raw.nii", put(40, "5h", 4, *SIZE, 1)),
        ("raw.nii", put(252, "h", 0)),
        ("raw.nii", put(254, "h", 0)),
        ("raw.nrrd", swap(b"encoding: raw\n", b"encoding: raw\n# a comment\nwho:=nobody\n")),
        ("raw.mha", swap(b"ElementType", b"Comment = anything\nElementType")),
    ],
)
def test_padding_members_and_what_means_nothing_are_no_damage(form: str, change: Change, tmp_path: Path) -> None:
    path = write_form(tmp_path / form, voxels())
    _, before = read_array(path)
    path.write_bytes(change(path.read_bytes()))
    found, grid = read_array(path)
    assert np.array_equal(found, voxels())
    assert grid.same_grid(before, 1e-3)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("forms", [(1, 0), (0, 2), (1, 1)])
@pytest.mark.parametrize("seed", range(4))
def test_a_nifti_lies_where_nibabel_sees_it(order: str, forms: tuple[int, int], seed: int, tmp_path: Path) -> None:
    chance = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(chance.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = axes * chance.uniform(0.4, 6.0, 3)
    affine[:3, 3] = chance.uniform(-400, 400, 3)
    array = np.asarray(voxels().transpose(2, 1, 0), f"{order}i2")
    image = nibabel.Nifti1Image(array, affine, nibabel.Nifti1Header(endianness=order))
    image.set_data_dtype(array.dtype)
    image.set_qform(affine, forms[0])
    image.set_sform(affine, forms[1])
    image.header.set_slope_inter(0.5, -3.0)
    nibabel.save(image, tmp_path / "made.nii.gz")
    found, grid = read_array(tmp_path / "made.nii.gz")
    seen = nibabel.load(tmp_path / "made.nii.gz")
    assert np.allclose(found.transpose(2, 1, 0), seen.get_fdata(), atol=1e-3)
    index = np.array([4.0, 5.0, 6.0])
    ras = seen.affine @ [*index[::-1], 1.0]
    assert np.allclose(grid.index_to_lps(index), ras[:3] * [-1, -1, 1], atol=1e-2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_voxels_that_are_no_numbers_are_refused_on_reading(form: str, value: float, tmp_path: Path) -> None:
    array = voxels(kind=np.float32)
    array[1, 2, 3:5] = value
    path = write_form(tmp_path / form, array)
    assert refusal(path).detail == "2 of its voxels are not finite numbers (NaN or infinite)"


def test_values_that_a_slope_makes_infinite_are_refused(tmp_path: Path) -> None:
    path = write_form(tmp_path / "raw.nii", voxels())
    path.write_bytes(put(112, "2f", 3e38, 0)(path.read_bytes()))
    assert refusal(path).detail == "its slope and intercept make values beyond those of floats"


def test_values_beyond_32_bit_floats_are_refused_where_an_image_is_made_of_them(tmp_path: Path) -> None:
    array = voxels(kind=np.float64)
    array[0, 0, 0] = 1e300
    path = write_form(tmp_path / "raw.nii", array)
    with pytest.raises(UnreadableImage, match="beyond those of 32-bit floats"):
        read_image([path], 1)


def test_a_header_takes_no_memory_for_what_the_file_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sitk, "ReadImage", lambda *_, **__: pytest.fail("no voxel is to be read"))
    path = write_form(tmp_path / "raw.nii", voxels())
    path.write_bytes(both(put(254, "h", 0), put(42, "3h", 1200, 1200, 1200))(path.read_bytes()))
    assert "cut short" in refusal(path).detail
    path = write_form(tmp_path / "packed.mha", voxels())
    bomb = zlib.compress(bytes(1 << 26))
    text = path.read_bytes().partition(b"ElementDataFile")[0]
    path.write_bytes(text + b"ElementDataFile = LOCAL\n" + bomb)
    assert "holds more voxels" in refusal(path).detail


def test_a_stream_is_left_once_it_holds_more_than_the_header_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = gzip.GzipFile.read

    def counted(file: gzip.GzipFile, size: int | None = -1) -> bytes:
        block = original(file, size)
        read.append(len(block))
        return block

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    path = write_form(tmp_path / "packed.nii.gz", voxels())
    path.write_bytes(repacked(lambda c: c + bytes(1 << 26))(path.read_bytes()))
    refusal(path)
    assert sum(read) < 2 * 352 + VOXELS + 2 * content.PADDING


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_form(tmp_path / "raw.nii", voxels())
    original = sitk.ReadImage

    def changing(*arguments: Any, **options: Any) -> Any:
        image = original(*arguments, **options)
        path.write_bytes(path.read_bytes() + bytes(8))
        return image

    monkeypatch.setattr(sitk, "ReadImage", changing)
    assert refusal(path).detail == "it was changed while it was read"


def test_a_header_that_two_readers_see_differently_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_form(tmp_path / "raw.nii", voxels())
    other = sitk.ReadImage(str(write_form(tmp_path / "other.nii", voxels().transpose(0, 2, 1))))
    monkeypatch.setattr(sitk, "ReadImage", lambda *_, **__: other)
    assert "two readers of its header do not agree" in refusal(path).detail


def test_the_vox_offset_leaves_room_for_extensions(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(voxels().transpose(2, 1, 0), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"a word on it"))
    nibabel.save(image, tmp_path / "extended.nii")
    assert struct.unpack_from("<f", (tmp_path / "extended.nii").read_bytes(), 108)[0] > 352
    assert np.array_equal(read_array(tmp_path / "extended.nii")[0], voxels())


@pytest.mark.parametrize("stated", [2.0**40, 352.0 + 2**25])
def test_voxels_far_behind_the_header_are_refused_before_anything_is_unpacked(tmp_path: Path, stated: float) -> None:
    path = write_form(tmp_path / "raw.nii", voxels())
    raw = bytearray(path.read_bytes())
    struct.pack_into("<f", raw, 108, stated)
    path.write_bytes(gzip.compress(bytes(raw)))
    path = path.rename(tmp_path / "far.nii.gz")
    assert "expected at most 16 MiB of extensions" in refusal(path).detail
