"""Volumes against SimpleITK, bit by bit, and against the phantom that was written."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from numpy.testing import assert_array_equal
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import JPEG2000, UID, JPEGLSLossless, JPEGLSNearLossless

from core.errors import ReasonCode, StudyRejected
from core.model_config import SeriesRule
from core.study_warning import WarningCode
from core.volume import Geometry, Volume
from dicom_io.images.resample import LARGEST_SHARE_OUTSIDE, share_outside
from dicom_io.images.selection.selection import select_series
from dicom_io.images.volume import SelectionRejectedError, VolumeReader, combine_channels, read_volume
from phantom.encoding import TRANSFER_SYNTAXES
from phantom.intensity import Modality
from phantom.series import make_series, save_series, write_series
from phantom.tags import Encoding, SeriesTags
from tests.support.odd_files import binary, nul_padded, save_rewritten
from tests.support.series_faults import gap_in_instance_number, truncated_pixels
from tests.support.series_helpers import DIRECTIONS, config, ct_series, one_study, phantom, read_with_simpleitk, run

REAL_SERIES = ("crlm-ct-1006", "sts-001-ct/dicom", "sts-002-ct/dicom", "totalsegmentator/example_ct_dicom")


def read(folder: Path) -> Volume:
    (series,) = one_study(folder).series
    return read_volume(series)


def assert_as_simpleitk(volume: Volume, image: sitk.Image) -> None:
    expected = sitk.GetArrayFromImage(image).astype(np.float32)
    assert_array_equal(volume.array[0].view(np.uint32), expected.view(np.uint32))
    properties = volume.nnunet_properties["sitk_stuff"]
    for name, value in (
        ("spacing", image.GetSpacing()),
        ("origin", image.GetOrigin()),
        ("direction", image.GetDirection()),
    ):
        assert properties[name] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("name", REAL_SERIES)
def test_real_series_are_bit_equal_to_simpleitk(name: str, real_data: Callable[[str], Path], tmp_path: Path) -> None:
    folder = real_data(name)
    volume, image = read(folder), read_with_simpleitk(folder)
    assert_as_simpleitk(volume, image)
    sitk.WriteImage(image, str(tmp_path / "image.nrrd"))
    array, properties = SimpleITKIO().read_images([str(tmp_path / "image.nrrd")])
    assert_array_equal(volume.array, array)
    ours = volume.nnunet_properties
    assert ours["spacing"] == pytest.approx(properties["spacing"], abs=1e-5)
    for key, value in properties["sitk_stuff"].items():
        assert ours["sitk_stuff"][key] == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("plane", DIRECTIONS)
def test_made_series_are_bit_equal_to_simpleitk(plane: str, modality: Modality, tmp_path: Path) -> None:
    made = phantom(plane, modality)
    files = write_series(made, tmp_path)
    volume = read(tmp_path)
    assert_as_simpleitk(volume, read_with_simpleitk(tmp_path))
    assert_array_equal(volume.array[0], made.array)
    assert volume.geometry.same_grid(made.geometry)
    assert volume.sop_instance_uids == files.sop_instance_uids


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize(
    ("slope", "intercept"), [(0.7312, -1024.31), (1.0, 0.5), (2.0, -10.0), (-1.0, 0.0), (0.1, 0.0)]
)
def test_fractional_rescaling_is_bit_equal_to_simpleitk(
    slope: float, intercept: float, modality: Modality, tmp_path: Path
) -> None:
    write_series(phantom(modality=modality), tmp_path, encoding=Encoding(slope=slope, intercept=intercept))
    assert_as_simpleitk(read(tmp_path), read_with_simpleitk(tmp_path))


def test_slopes_of_each_slice_are_kept_where_simpleitk_truncates(tmp_path: Path) -> None:
    """SimpleITK takes the type of the first slice for all, so here it is no judge; float64 arithmetic is."""
    series = make_series(phantom(), encoding=Encoding(slope=1.0, intercept=0.0))
    expected = np.stack([dataset.pixel_array.astype(np.float64) for dataset in series])
    for number, dataset in enumerate(series):
        dataset.RescaleSlope = str(1 + number / 8)
        expected[number] *= 1 + number / 8
    save_series(series, tmp_path)
    assert_array_equal(read(tmp_path).array[0], expected.astype(np.float32))


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES, ids=[uid.name for uid in TRANSFER_SYNTAXES])
def test_every_transfer_syntax_gives_the_same_voxels(syntax: UID, signed: bool, enhanced: bool, tmp_path: Path) -> None:
    made = phantom("oblique")
    encoding = Encoding(transfer_syntax=syntax, signed=signed, bits_stored=16 if signed else 12, enhanced=enhanced)
    write_series(made, tmp_path, encoding=encoding)
    volume = read(tmp_path)
    assert_array_equal(volume.array[0], made.array)
    assert volume.geometry.same_grid(made.geometry)
    assert_as_simpleitk(volume, _image(tmp_path, enhanced))


def _image(folder: Path, enhanced: bool) -> sitk.Image:
    return sitk.ReadImage(str(folder / "IM0001")) if enhanced else read_with_simpleitk(folder)


@pytest.mark.parametrize(
    ("syntax", "options"),
    [(JPEGLSNearLossless, {"jls_error": 3}), (JPEG2000, {"j2k_psnr": [80]})],
    ids=["near-lossless JPEG-LS", "lossy JPEG 2000"],
)
def test_lossy_images_are_bit_equal_to_simpleitk(syntax: UID, options: dict[str, object], tmp_path: Path) -> None:
    series = ct_series()
    for dataset in series:
        dataset.compress(syntax, generate_instance_uid=False, **options)
    save_series(series, tmp_path)
    volume = read(tmp_path)
    assert_as_simpleitk(volume, read_with_simpleitk(tmp_path))
    assert 0 < np.abs(volume.array[0] - phantom().array).mean() < 10


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_enhanced_images_equal_their_classic_twin(modality: Modality, tmp_path: Path) -> None:
    made = phantom("oblique", modality)
    rescale = Encoding(slope=0.7312, intercept=-1024.31)
    write_series(made, tmp_path / "classic", encoding=rescale)
    (enhanced,) = make_series(made, encoding=replace(rescale, enhanced=True))
    groups = enhanced.PerFrameFunctionalGroupsSequence
    pixels = np.frombuffer(enhanced.PixelData, "<i2").reshape(made.array.shape)
    enhanced.PerFrameFunctionalGroupsSequence = list(groups)[::-1]  # stored from head to feet
    enhanced.PixelData = pixels[::-1].tobytes()
    save_series([enhanced], tmp_path / "enhanced")
    classic, multi = read(tmp_path / "classic"), read(tmp_path / "enhanced")
    assert_array_equal(multi.array, classic.array)
    assert multi.geometry.same_grid(classic.geometry)
    assert multi.frame_numbers == tuple(range(len(made.array), 0, -1))
    assert set(multi.sop_instance_uids) == {enhanced.SOPInstanceUID}
    assert classic.frame_numbers == (1,) * len(made.array)


@pytest.mark.parametrize("table", ["none", "basic", "extended"])
@pytest.mark.parametrize("fragments", [1, 3])
def test_compressed_frames_are_found_by_any_offset_table(table: str, fragments: int, tmp_path: Path) -> None:
    (enhanced,) = make_series(phantom(), encoding=Encoding(transfer_syntax=JPEGLSLossless, enhanced=True))
    frames = list(generate_frames(enhanced.PixelData, number_of_frames=8))
    if table == "extended":
        enhanced.PixelData, offsets, lengths = encapsulate_extended(frames)
        enhanced.ExtendedOffsetTable, enhanced.ExtendedOffsetTableLengths = offsets, lengths
    else:
        enhanced.PixelData = encapsulate(frames, fragments_per_frame=fragments, has_bot=table == "basic")
    save_series([enhanced], tmp_path)
    assert_array_equal(read(tmp_path).array[0], phantom().array)


DECIMALS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleIntercept", "RescaleSlope")


@pytest.mark.parametrize(
    "change",
    [nul_padded, *map(binary, (b"FD", b"OD", b"FL", b"OF"))],
    ids=["padded by NUL", "FD", "OD", "FL", "OF"],
)
def test_decimals_of_another_form_give_the_same_volume(
    change: Callable[[bytes], tuple[bytes, bytes]], tmp_path: Path
) -> None:
    made = phantom("oblique")
    save_rewritten(make_series(made), tmp_path, (*DECIMALS, "SliceThickness"), change)
    volume = read(tmp_path)
    assert_array_equal(volume.array[0], made.array)
    assert volume.geometry.same_channel_grid(made.geometry)  # floats hold seven digits


@pytest.mark.parametrize(("vr", "signed"), [(b"US", True), (b"SS", False), (b"IS", True), (b"DS", True), (b"UN", True)])
def test_padding_is_told_under_any_type(vr: bytes, signed: bool, tmp_path: Path) -> None:
    stored = -976 if signed else 48
    encoding = Encoding(padding=stored, signed=signed, bits_stored=16 if signed else 12)
    text = f"{stored}".encode()
    save_rewritten(
        make_series(phantom(), encoding=encoding),
        tmp_path,
        ["PixelPaddingValue"],
        lambda value: (vr, text + b" " * (len(text) % 2) if vr in (b"IS", b"DS") else value),
    )
    assert read(tmp_path).padding_values == (stored - 1024.0,)


def test_order_of_files_and_instance_numbers_does_not_matter(tmp_path: Path) -> None:
    series = ct_series()
    order = np.random.default_rng(0).permutation(len(series))
    for number, index in enumerate(order, start=1):
        series[index].InstanceNumber = number
    save_series([series[index] for index in order], tmp_path)
    volume = read(tmp_path)
    assert_array_equal(volume.array[0], phantom().array)
    assert volume.sop_instance_uids == tuple(dataset.SOPInstanceUID for dataset in series)


def test_spare_bits_are_dropped_as_gdcm_does(tmp_path: Path) -> None:
    series = make_series(phantom(), encoding=Encoding(bits_stored=12, signed=False))
    for dataset in series:
        dataset.PixelData = (np.frombuffer(dataset.PixelData, "<u2") | 0xA000).tobytes()
    save_series(series, tmp_path)
    volume = read(tmp_path)
    assert_array_equal(volume.array[0], phantom().array)
    assert_as_simpleitk(volume, read_with_simpleitk(tmp_path))


def test_monochrome1_is_not_inverted(tmp_path: Path) -> None:
    write_series(phantom(), tmp_path, encoding=Encoding(photometric_interpretation="MONOCHROME1"))
    assert_array_equal(read(tmp_path).array[0], phantom().array)


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES[:3], ids=lambda uid: uid.name)
def test_padding_is_told_and_kept(syntax: UID, tmp_path: Path) -> None:
    made = phantom()
    array = made.array.copy()
    array[:, :2] = -2000
    encoding = Encoding(padding=-976, transfer_syntax=syntax)  # stored; the intercept makes it -2000
    write_series(replace(made, array=array), tmp_path, encoding=encoding)
    volume = read(tmp_path)
    assert volume.padding_values == (-2000.0,)
    assert (volume.array[0, :, :2] == -2000).all()


def test_padding_below_the_bits_that_are_stored_is_what_the_real_series_has(real_data: Callable[[str], Path]) -> None:
    volume = read(real_data("crlm-ct-1006"))
    assert volume.array.min() < -1024
    assert volume.padding_values == (None,)


def test_a_gap_in_instance_number_is_a_warning(tmp_path: Path) -> None:
    save_series(gap_in_instance_number(ct_series()), tmp_path)
    (warning,) = read(tmp_path).warnings
    assert warning.code is WarningCode.INSTANCE_NUMBER_GAP
    assert "InstanceNumber" in warning.detail
    assert "2 missing" in warning.detail


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES, ids=[uid.name for uid in TRANSFER_SYNTAXES])
def test_a_file_cut_short_is_refused(syntax: UID, enhanced: bool, tmp_path: Path) -> None:
    files = write_series(phantom(), tmp_path, encoding=Encoding(transfer_syntax=syntax, enhanced=enhanced)).files
    whole = files[-1].read_bytes()
    files[-1].write_bytes(whole[:-120])
    with pytest.raises(StudyRejected) as caught:
        read(tmp_path)
    assert caught.value.code is ReasonCode.TRUNCATED_PIXELS


def test_a_model_without_resampling_refuses_another_grid(tmp_path: Path) -> None:
    fine, coarse = _two_grids(tmp_path)
    with pytest.raises(StudyRejected) as caught:
        combine_channels([fine, coarse], "refuse")
    assert caught.value.code is ReasonCode.GRIDS_DIFFER
    with pytest.raises(StudyRejected) as caught:
        combine_channels([fine, replace(coarse, frame_of_reference_uid="1.2.3")], "resample")
    assert caught.value.code is ReasonCode.GRIDS_DIFFER


def test_another_grid_is_resampled_in_patient_coordinates(tmp_path: Path) -> None:
    fine, coarse = _two_grids(tmp_path)
    both = combine_channels([fine, coarse], "resample")
    assert both.array.shape == (2, *fine.geometry.shape)
    assert both.series_uids == fine.series_uids + coarse.series_uids
    assert both.sop_instance_uids == fine.sop_instance_uids
    assert both.warnings[0].code is WarningCode.RESAMPLED
    assert both.warnings[0].series_uid == coarse.series_uids[0]
    # a ramp along each axis is reproduced by linear interpolation wherever the coarse grid reaches
    index = np.stack(np.meshgrid(*map(np.arange, coarse.geometry.shape), indexing="ij"), axis=-1)
    for axis in range(3):
        ramp = replace(coarse, array=coarse.geometry.index_to_lps(index)[None, ..., axis].astype(np.float32))
        result = combine_channels([fine, ramp], "resample").array[1]
        where = np.stack(np.meshgrid(*map(np.arange, fine.geometry.shape), indexing="ij"), axis=-1)
        truth = fine.geometry.index_to_lps(where)[..., axis]
        inside = (slice(2, -2),) * 3
        assert np.abs(result - truth)[inside].max() < 1e-3


def test_a_series_that_lies_elsewhere_is_not_resampled(tmp_path: Path) -> None:
    fine, coarse = _two_grids(tmp_path)
    elsewhere = replace(coarse, geometry=replace(coarse.geometry, origin=(5000.0, 0.0, 0.0)))
    with pytest.raises(StudyRejected) as caught:
        combine_channels([fine, elsewhere], "resample")
    assert caught.value.code is ReasonCode.GRIDS_DIFFER
    half = _moved(fine, 4)
    with pytest.raises(StudyRejected) as caught:
        combine_channels([fine, half], "resample")
    assert caught.value.code is ReasonCode.GRIDS_DIFFER
    assert "50.0% of its grid lies outside" in caught.value.detail


@pytest.mark.parametrize(("rows", "accepted"), [(1.4, True), (2.6, False)], ids=["1 of 34 rows", "3 of 34 rows"])
def test_a_resampled_series_covers_nearly_all_of_the_grid(rows: float, accepted: bool, tmp_path: Path) -> None:
    fine, _ = _two_grids(tmp_path)
    origin = fine.geometry.index_to_lps([0, rows, 0])
    moved = replace(fine, geometry=replace(fine.geometry, origin=tuple(origin.tolist())))
    assert (share_outside(moved.geometry, fine.geometry) <= LARGEST_SHARE_OUTSIDE) == accepted
    if accepted:
        assert "2.9% of that grid lies outside" in combine_channels([fine, moved], "resample").warnings[0].detail
    else:
        with pytest.raises(StudyRejected):
            combine_channels([fine, moved], "resample")


def test_the_share_outside_of_a_large_grid_is_measured_at_points_of_it() -> None:
    grid = Geometry((600, 512, 512), (1.0, 0.7, 0.7), (0.0, 0.0, 0.0), np.eye(3))
    for part in (0.03, 0.5, 0.975):
        inner = replace(grid, origin=(0.0, 0.0, 600 * part))
        assert share_outside(inner, grid) == pytest.approx(part, abs=1 / 64)
    assert share_outside(replace(grid, origin=(0.0, 0.0, 601.0)), grid) == 1.0


@pytest.mark.parametrize(("shift", "same"), [(4e-4, True), (0.05, True), (0.07, False)], ids=str)
def test_channels_are_on_one_grid_within_a_hundredth_of_a_voxel(shift: float, same: bool, tmp_path: Path) -> None:
    fine, _ = _two_grids(tmp_path)
    x, y, z = fine.geometry.origin
    assert min(fine.geometry.spacing) == 6.0
    other = replace(fine, geometry=replace(fine.geometry, origin=(x + shift, y, z)), series_uids=("1.2",))
    if same:
        assert combine_channels([fine, other], "refuse").array.shape[0] == 2
    else:
        with pytest.raises(StudyRejected) as caught:
            combine_channels([fine, other], "refuse")
        assert caught.value.code is ReasonCode.GRIDS_DIFFER


def _moved(volume: Volume, slices: float) -> Volume:
    origin = volume.geometry.index_to_lps([slices, 0, 0])
    return replace(volume, geometry=replace(volume.geometry, origin=tuple(origin.tolist())))


def _two_grids(folder: Path) -> tuple[Volume, Volume]:
    write_series(phantom("oblique"), folder / "a")
    write_series(phantom("oblique", spacing=(24.0, 10.0, 10.0)), folder / "b", series=SeriesTags(number=2))
    return read(folder / "a"), read(folder / "b")


def test_two_series_on_one_grid_are_stacked(tmp_path: Path) -> None:
    for number, phase in enumerate(("A", "P"), start=1):
        write_series(phantom(phase=phase), tmp_path / phase, series=SeriesTags(number=number))  # type: ignore[arg-type]
    rules = [SeriesRule(modality=("CT",), phase=(phase,)) for phase in ("portal", "arterial")]  # type: ignore[arg-type]
    volume, _ = run(tmp_path, config(*rules))
    assert_array_equal(volume.array, np.stack([phantom(phase="P").array, phantom(phase="A").array]))
    assert volume.padding_values == (None, None)


def test_one_read_serves_every_model(tmp_path: Path) -> None:
    write_series(phantom(), tmp_path)
    study, reader = one_study(tmp_path), VolumeReader()
    for _ in range(3):
        volume, _ = reader.read(study, config(), select_series(study, config()))
    assert reader.reads == 1
    assert_array_equal(volume.array[0], phantom().array)


def test_when_no_series_is_left_the_last_selection_is_told(tmp_path: Path) -> None:
    save_series(truncated_pixels(ct_series()), tmp_path)
    study, reader = one_study(tmp_path), VolumeReader()
    for _ in range(2):
        with pytest.raises(SelectionRejectedError) as caught:
            reader.read(study, config(), select_series(study, config()))
        assert caught.value.code is ReasonCode.TRUNCATED_PIXELS
        assert [d.decision for d in caught.value.selection.decisions] == ["refused"]
    assert reader.reads == 1
