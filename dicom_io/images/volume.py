"""From series to the array that nnU-Net's SimpleITK reader would give, read once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import ReasonCode, StudyRejected
from core.model_config import GeometryRule, ModelConfig
from core.run_options import NO_OPTIONS, RunOptions
from core.study_warning import StudyWarning, WarningCode
from core.units import HU, PT_UNITS, UNSPECIFIED
from core.volume import Geometry, Volume, stack_channels
from dicom_io.images.grid.geometry import Layout, layout_of
from dicom_io.images.grid.padding import padding_range
from dicom_io.images.headers.attributes import text, uid
from dicom_io.images.headers.instance import rejected
from dicom_io.images.headers.series import Series
from dicom_io.images.pixels.air import AIR_HU, implausible_air
from dicom_io.images.pixels.pixel_layout import read_layout
from dicom_io.images.pixels.pixels import Stored, check_stored, read_frames
from dicom_io.images.pixels.suv.pet_scale import PetUnit, pet_scale
from dicom_io.images.resample import LARGEST_SHARE_OUTSIDE, resample, share_outside
from dicom_io.images.selection.quantity import quantity_of
from dicom_io.images.selection.selection import Selection, select_series
from dicom_io.images.study import Study

MAX_VOXELS = 2**31
"""Largest volume: 2,048 slices of 1,024 x 1,024, 8 GiB as float32. Headers that ask for more are not believed."""

_EXACT_IN_FLOAT32 = 2**23
"""Whole numbers below this, and sums of two, are exact in float32."""


class SelectionRejectedError(StudyRejected):
    """No series is left for a channel once pixels were read.

    Attributes
    ----------
    selection
        The last selection, whose decisions say what became of every series.
    """

    def __init__(self, reason: StudyRejected, selection: Selection) -> None:
        super().__init__(reason.code, reason.detail, reason.series_uid)
        self.selection = selection


def read_volume(series: Series, unit: str | None = None, geometry: GeometryRule = "regular") -> Volume:
    """Read the voxels of a series, sorted along the normal, rescaled, as float32.

    Every slice is rescaled in float64 and cast once, which is what SimpleITK's values are after a cast to float32.
    Padding stays as it is and is told in ``Volume.padding_values``; MONOCHROME1 is not inverted.

    Parameters
    ----------
    series
        Its images.
    unit
        The unit that PET is brought to (`core.units.PT_UNITS`); ``None`` leaves it as stored. Others are not changed.
    geometry
        Whether an irregular stack is refused, or read slice by slice as it is.

    Raises
    ------
    StudyRejected
        If the series is no regular grid (see ``dicom_io.images.grid.geometry.lay_out``), its pixels are
        ``truncated_pixels`` or ``unreadable_pixels``, or PET cannot be brought to the unit (``no_suv``).
    """
    layout = _in_unit(layout_of(series, geometry), unit)
    frames, grid = layout.frames, layout.geometry
    _check_size(layout)
    array = np.empty((1, *grid.shape), np.float32)
    _fill(array[0], layout)
    slices = [int(index) for index in layout.order]
    padding = padding_range(frames)
    return Volume(
        array=array,
        geometry=grid,
        sop_instance_uids=tuple(uid(frames.instances[i].header, "SOPInstanceUID") for i in slices),
        frame_numbers=tuple(frames.numbers[i] for i in slices),
        series_uids=(series.uid,),
        frame_of_reference_uid=layout.frame_of_reference_uid,
        warnings=(*layout.warnings, *_unit_warnings(series, layout, array[0], padding)),
        padding_values=(None if padding is None else padding[0],),
        volume_names=(series.part.words if series.part is not None else "",),
    )


def _in_unit(layout: Layout, unit: str | None) -> Layout:
    """Put the factor of each PET image into its rescaling."""
    frames = layout.frames
    if unit is None or text(frames.instances[0].header, "Modality") != "PT":
        return layout
    scale = pet_scale([instance.header for instance in frames.instances], PetUnit(unit))
    rescales = frames.rescales * np.array(scale.factors)[:, np.newaxis]
    return replace(layout, frames=replace(frames, rescales=rescales), warnings=(*layout.warnings, *scale.warnings))


def _unit_warnings(
    series: Series, layout: Layout, array: NDArray[np.float32], padding: tuple[float, float] | None
) -> list[StudyWarning]:
    """Look whether a CT that passes for HU has its air where HU puts it."""
    is_ct = text(series.instances[0].header, "Modality") == "CT"
    if not is_ct or layout.frames.units[0] not in (HU, UNSPECIFIED) or series.once(quantity_of).sign:
        return []
    if (air := implausible_air(array, padding)) is None:
        return []
    detail = (
        f"At the edge of the field of view the lowest tenth of the values is at or below {air:.0f}; air is expected "
        f"from {AIR_HU[0]:.0f} to {AIR_HU[1]:.0f}."
    )
    return [StudyWarning(WarningCode.UNIT_IMPLAUSIBLE, detail, series.uid)]


def _check_size(layout: Layout) -> None:
    """Hold what the headers promise against the files, before memory is asked for."""
    instances = list({id(instance): instance for instance in layout.frames.instances}.values())
    for instance in instances:
        check_stored(instance)
    rows, columns = layout.geometry.shape[1:]
    if layout.geometry.shape[0] * rows * columns > MAX_VOXELS:
        detail = f"{layout.geometry.shape[0]} slices of {rows} x {columns} exceed the largest volume"
        raise rejected(ReasonCode.UNREADABLE_PIXELS, instances[0], detail)


def _fill(array: NDArray[np.float32], layout: Layout) -> None:
    """Decode every file once, in order of the files, each frame into its slice."""
    frames = layout.frames
    slice_of = np.empty(len(frames), np.intp)
    slice_of[layout.order] = np.arange(len(frames))
    scratch = np.empty(array.shape[1:], np.float64)
    buffer = np.empty(read_layout(frames.instances[0]).frame_bytes, np.uint8)
    start = 0
    while start < len(frames):
        end = start + 1
        while end < len(frames) and frames.instances[end] is frames.instances[start]:
            end += 1
        stored_frames = read_frames(frames.instances[start], frames.numbers[start:end], buffer)
        for index, stored in enumerate(stored_frames, start):
            slope, intercept = frames.rescales[index]
            if slope == 0 and stored.any():
                detail = "RescaleSlope is 0, though its stored values differ from 0"
                raise rejected(ReasonCode.UNREADABLE_PIXELS, frames.instances[index], detail)
            rescale_into(stored, float(slope), float(intercept), array[slice_of[index]], scratch)
        start = end


def rescale_into(
    stored: Stored, slope: float, intercept: float, out: NDArray[np.float32], scratch: NDArray[np.float64]
) -> None:
    """Write ``stored * slope + intercept``, rounded once to float32.

    Parameters
    ----------
    stored
        ``(row, column)``.
    slope, intercept
        As the header has them.
    out, scratch
        Of the same shape; the scratch is overwritten.
    """
    exact = stored.itemsize <= 2 and abs(intercept) < _EXACT_IN_FLOAT32 - 2**16 and intercept == int(intercept)
    if slope == 1 and exact:
        np.add(stored, np.float32(intercept), out=out, dtype=np.float32, casting="unsafe")
        return
    np.multiply(stored, slope, out=scratch)
    np.add(scratch, intercept, out=scratch)
    out[...] = scratch


def combine_channels(volumes: Sequence[Volume], on_other_grid: Literal["refuse", "resample"]) -> Volume:
    """Stack the channels of one study on the grid of channel 0.

    Parameters
    ----------
    volumes
        One a channel, of one channel each.
    on_other_grid
        Whether a series on another grid of the same frame of reference may be resampled (trilinear; outside of it, its
        lowest value).

    Raises
    ------
    StudyRejected
        ``grids_differ`` if that is not allowed, the frames of reference differ, or a series covers too little of the
        grid (``dicom_io.images.resample.LARGEST_SHARE_OUTSIDE``).
    """
    first = volumes[0]
    channels = [first]
    for volume in volumes[1:]:
        if volume.frame_of_reference_uid != first.frame_of_reference_uid:
            raise _grids_differ(volume, "their frames of reference differ")
        if first.geometry.same_channel_grid(volume.geometry):
            channels.append(volume)
        elif on_other_grid == "resample":
            channels.append(_on_grid(volume, first.geometry))
        else:
            raise _grids_differ(volume, "the model does not allow resampling")
    return stack_channels(channels)


def _grids_differ(volume: Volume, why: str) -> StudyRejected:
    return StudyRejected(ReasonCode.GRIDS_DIFFER, f"Compared with channel 0: {why}.", volume.series_uids[0])


def _on_grid(volume: Volume, grid: Geometry) -> Volume:
    outside = share_outside(volume.geometry, grid)
    if outside > LARGEST_SHARE_OUTSIDE:
        raise _grids_differ(volume, f"{outside:.1%} of its grid lies outside of this series")
    detail = f"Resampled onto the grid of channel 0; {outside:.1%} of that grid lies outside of this series."
    return replace(
        volume,
        array=resample(volume.array[0], volume.geometry, grid)[np.newaxis],
        geometry=grid,
        # its slices are no images any more, and references come from channel 0
        sop_instance_uids=("",) * grid.shape[0],
        frame_numbers=(1,) * grid.shape[0],
        warnings=(*volume.warnings, StudyWarning(WarningCode.RESAMPLED, detail, volume.series_uids[0] or None)),
    )


class VolumeReader:
    """Reads each series once, however many models ask for it.

    Attributes
    ----------
    reads
        How many series were read from disk so far.
    """

    def __init__(self) -> None:
        self.reads = 0
        self._volumes: dict[tuple[str, str | None], Volume] = {}
        self._refused: dict[tuple[str, str | None], StudyRejected] = {}

    def read(
        self, study: Study, config: ModelConfig, selection: Selection, options: RunOptions = NO_OPTIONS
    ) -> tuple[Volume, Selection]:
        """Read the selected series and stack them; one whose pixels cannot be read gives way to the next that fits.

        ``options`` are those with which the series were selected.

        Raises
        ------
        SelectionRejectedError
            If no series is left for a channel.
        StudyRejected
            ``grids_differ``.
        """
        # Of other modalities the unit chooses series and changes no value, so one read serves every model.
        wanted = [channel.unit for channel in options.channels(config)]
        units = [unit if unit in PT_UNITS else None for unit in wanted]
        while True:
            if selection.rejection is not None:
                raise SelectionRejectedError(selection.rejection, selection)
            try:
                volumes = [self._read(*one, config.geometry) for one in zip(selection.channels, units, strict=True)]
            except StudyRejected:
                refused = {key: why for (key, unit), why in self._refused.items() if unit in units}
                if not any(series.key in refused for series in selection.channels):
                    raise
                selection = select_series(study, config, refused, options)
            else:
                volume = combine_channels(volumes, config.on_other_grid)
                return replace(volume, warnings=(*volume.warnings, *selection.warnings)), selection

    def _read(self, series: Series, unit: str | None, geometry: GeometryRule) -> Volume:
        wanted = series.key, unit
        if wanted in self._refused:
            raise self._refused[wanted]
        if wanted not in self._volumes:
            self.reads += 1
            try:
                self._volumes[wanted] = read_volume(series, unit, geometry)
            except StudyRejected as error:
                self._refused[wanted] = error
                raise
        return self._volumes[wanted]
