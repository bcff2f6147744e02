"""The images that a request names, each decoded once, and the phase that each file states of itself."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.cancellation import NEVER, Cancellation
from core.errors import RequestCode, RequestRefused, StudyRejected, UnreadableImage
from core.image_files.reader import read_grid, read_image
from core.model_config import ModelConfig, Phase
from core.regular_grid import regular_grid
from core.run_options import RunOptions
from core.volume import Geometry, Volume
from dicom_io.images.grid.geometry import layout_of
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.phases import phase_in_words
from dicom_io.images.selection.selection import Selection, select_series
from dicom_io.images.splitting.volumes import split_of
from dicom_io.images.study import Study, read_studies
from dicom_io.images.volume import VolumeReader
from segmentation.preprocessing.regular_image import regular_volume
from services.images.limits import Limits
from services.images.opened_image import OpenImage
from services.images.safe_open import read_small
from services.images.shared_paths import SharedFile

ENDINGS: Final = (".nii.gz", ".nii")
"""No other format: headers of NRRD and MetaImage can name any file as the source of the voxels.

`core.image_files` refuses one that does, but a caller who may write the volume could change it between check and read.
"""
LETTERS: Final[dict[str, Phase]] = {"N": "native", "A": "arterial", "P": "portal", "D": "delayed"}
"""Phases by the last part of a file's name, as in ``image_A.nii.gz``."""


@dataclass(frozen=True, eq=False)
class Image:
    """One image, decoded.

    Attributes
    ----------
    volume
        One channel.
    series
        Its DICOM series; None for a file that is not DICOM.
    """

    volume: Volume
    series: Series | None = None

    def on_regular_grid(self, fill: float | None) -> "Image":
        """Interpolate tilted or uneven slices to their regular grid; ``fill`` as for ``regular_volume``."""
        if self.volume.geometry.is_regular:
            return self
        return Image(regular_volume(self.volume, [fill]), self.series)


class ImageReader:
    """A reader of the images of one job, each read once, however many models use it.

    Parameters
    ----------
    limits
        Largest sizes of images.
    cancellation
        Asked before each file of a folder that is hashed, and each header that is read.
    """

    def __init__(self, limits: Limits, cancellation: Cancellation = NEVER) -> None:
        self._limits = limits
        self._cancellation = cancellation
        self._opened: dict[Path, OpenImage] = {}
        self._files: dict[Path, Image] = {}
        self._studies: dict[Path, Study] = {}
        # One for each folder: two folders may hold series of one UID, whose voxels are not the same.
        self._series: dict[Path, VolumeReader] = {}

    @property
    def reads(self) -> int:
        """Return the number of images decoded so far."""
        return len(self._files) + sum(reader.reads for reader in self._series.values())

    def close(self) -> None:
        """Close every file."""
        for image in self._opened.values():
            image.close()

    def open(self, image: SharedFile, field: str) -> OpenImage:
        """Return an image's files, opened at the first call.

        Raises
        ------
        RequestRefused
            As :class:`services.images.opened_image.OpenImage`; ``unreadable_image`` for a file of another format.
        """
        if image.path not in self._opened:
            opened = self._opened[image.path] = OpenImage(image, field, self._limits, self._cancellation)
            if not opened.is_folder:
                check_ending(image.path, field)
        return self._opened[image.path]

    def look(self, image: SharedFile, field: str, options: RunOptions, config: ModelConfig) -> Geometry:
        """Return the grid of an image, or the places of its slices, by headers alone; see :meth:`read`."""
        opened = self.open(image, field)
        if not opened.is_folder:
            return grid_of(opened.path, field, self._limits)
        return layout_of(self._select(image.path, field, options, config).channels[0], config.geometry).geometry

    def read(self, image: SharedFile, field: str, options: RunOptions, config: ModelConfig) -> Image:
        """Decode an image for a channel of a model.

        Parameters
        ----------
        image, field
            The image, and the request's field that names it.
        options
            The run's: the channel whose rule chooses among the series of a DICOM folder, and the phase that it wants.
        config
            The model's.

        Raises
        ------
        RequestRefused
            ``unreadable_image`` for a file that is not an image and a folder of several studies, ``over_limits``.
        StudyRejected
            Any reason of a series, for a folder of DICOM.
        RetryLater
            If the image was changed while it was read.
        """
        opened = self.open(image, field)
        if opened.is_folder:
            found = self._read_series(image.path, field, options, config)
        else:
            found = self._read_file(image.path, field)
        opened.check_unchanged()
        return found

    def _read_file(self, path: Path, field: str) -> Image:
        if path not in self._files:
            content = self._opened[path].path
            grid_of(content, field, self._limits)
            try:
                self._files[path] = Image(read_image([content], 1))
            except UnreadableImage as error:
                raise unreadable(error, field) from error
        return self._files[path]

    def _read_series(self, folder: Path, field: str, options: RunOptions, config: ModelConfig) -> Image:
        chosen = self._select(folder, field, options, config)
        reader = self._series.setdefault(folder, VolumeReader())
        volume, selection = reader.read(self._studies[folder], config, chosen, options)
        return Image(volume, selection.channels[0])

    def _select(self, folder: Path, field: str, options: RunOptions, config: ModelConfig) -> Selection:
        """Select the series of a folder for a channel, by headers alone."""
        if folder not in self._studies:
            self._studies[folder] = self._read_study(folder, field)
        selection = select_series(self._studies[folder], config, options=options)
        if selection.rejection is not None:
            raise selection.rejection
        return selection

    def _read_study(self, folder: Path, field: str) -> Study:
        studies = read_studies(self._opened[folder].path, cancellation=self._cancellation)
        if len(studies) != 1:
            detail = f"{field}: the folder holds {len(studies)} studies; name the folder of one study."
            raise RequestRefused(RequestCode.UNREADABLE_IMAGE, detail)
        for series in (volume for one in studies[0].series for volume in split_of(one).volumes):
            if (shape := _shape_of(series)) is not None:
                self._limits.check_voxels(shape, field)
        return studies[0]


def _shape_of(series: Series) -> tuple[int, int, int] | None:
    try:
        return regular_grid(layout_of(series, "any").geometry).shape
    except StudyRejected:
        return None  # no volume is made of it


def grid_of(path: Path, field: str, limits: Limits) -> Geometry:
    """Read the grid of a NIfTI file from its header; no voxel is read, and no memory reserved.

    Raises
    ------
    RequestRefused
        ``unreadable_image`` if it is not a 3d image of one value a voxel on a valid grid, ``over_limits``.
    """
    try:
        grid = read_grid(path)
    except UnreadableImage as error:
        raise unreadable(error, field) from error
    limits.check_voxels(grid.shape, field)
    return grid


def unreadable(error: UnreadableImage, field: str) -> RequestRefused:
    """Return the refusal of a file that cannot be read: what is wrong, without its path."""
    return RequestRefused(RequestCode.UNREADABLE_IMAGE, f"{field}: {error.detail}.")


def check_ending(path: Path, field: str) -> None:
    """Check that a file is of a format that is read here.

    Raises
    ------
    RequestRefused
        ``unreadable_image``.
    """
    if not path.name.endswith(ENDINGS):
        detail = f"{field}: the file's name must end in one of {', '.join(ENDINGS)}."
        raise RequestRefused(RequestCode.UNREADABLE_IMAGE, detail)


def told_phase(image: SharedFile) -> Phase | None:
    """Find the contrast phase that an image file states: by its name's last part, or by a dcm2niix sidecar.

    The series rules find the phases of DICOM series.
    """
    stem = stem_of(image.path)
    letter = re.split(r"[_\-. ]", stem)[-1]
    if letter in LETTERS:
        return LETTERS[letter]
    own, shared = stem, ""
    try:
        told = json.loads(read_small(image.path.with_name(f"{stem}.json"), image.root))
        own, shared = (str(told[key]) if key in told else "" for key in ("SeriesDescription", "ProtocolName"))
    except (OSError, ValueError, TypeError, RecursionError):
        pass  # most files have no sidecar, and one that is none tells nothing
    return phase_in_words(own, shared).phase


def stem_of(path: Path) -> str:
    """Return the name of an image without its extension; of a folder, its name."""
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), "")
    return path.name.removesuffix(ending)
