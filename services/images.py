"""The images that a request names: what they are, each decoded once, whatever phase they tell of themselves."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import ConfigInvalid, ReasonCode, RequestCode, RequestRefused, RetryLater, StudyRejected
from core.model_manifest import Channel, ModelManifest, Phase
from core.volume import Volume
from dicom_io.images.phases import phase_in_words
from dicom_io.images.series import select_series
from dicom_io.images.study import Series, Study, read_studies
from dicom_io.images.volume import VolumeReader
from segmentation.image_files import read_image
from services.roots import SharedFile

ENDINGS: Final = (".nii.gz", ".nii")
"""No other form: headers of NRRD and MetaImage name files from which the voxels are to come, wherever those lie."""
LETTERS: Final[dict[str, Phase]] = {"N": "native", "A": "arterial", "P": "portal", "D": "delayed"}
"""What the last part of a file's name says, as in ``image_A.nii.gz``."""


@dataclass(frozen=True, eq=False)
class Image:
    """One image, decoded.

    Attributes
    ----------
    volume
        One channel.
    series
        What it was made of; None for a file that is no DICOM.
    """

    volume: Volume
    series: Series | None = None


class ImageReader:
    """Reads the images of one job, each once, however many models ask for it.

    Attributes
    ----------
    reads
        How many images were decoded so far.
    """

    def __init__(self) -> None:
        self._files: dict[Path, Image] = {}
        self._studies: dict[Path, Study] = {}
        self._digests: dict[Path, str] = {}
        self._series = VolumeReader()

    @property
    def reads(self) -> int:
        """How many images were decoded so far."""
        return len(self._files) + self._series.reads

    def digest(self, image: SharedFile) -> str:
        """SHA-256 of an image's content: of the file, or of the names and contents of a folder's files.

        Raises
        ------
        RequestRefused
            ``no_such_file``, if it vanished meanwhile; ``path_outside_roots``, if a link in a folder leaves its root.
        """
        if image.path not in self._digests:
            if any(not part.resolve().is_relative_to(image.root) for part in image.path.rglob("*")):
                raise RequestRefused(RequestCode.PATH_OUTSIDE_ROOTS, "The folder has a link that leaves its root.")
            try:
                self._digests[image.path] = _digest(image.path)
            except OSError as error:
                raise RequestRefused(RequestCode.NO_SUCH_FILE, error.strerror or "") from error
        return self._digests[image.path]

    def read(self, image: SharedFile, field: str, channel: Channel, manifest: ModelManifest) -> Image:
        """Decode an image for a channel of a model.

        Parameters
        ----------
        image, field
            What to read, and the request's field that names it.
        channel
            Whose rule chooses among the series of a DICOM folder.
        manifest
            The model's.

        Raises
        ------
        RequestRefused
            ``unreadable_image`` for a file; any reason of a series for a folder of DICOM.
        RetryLater
            If the image was changed while it was read.
        """
        digest = self.digest(image)
        if image.path.is_dir():
            found = self._read_series(image.path, manifest.model_copy(update={"channels": (channel,)}))
        else:
            found = self._read_file(image.path, field)
        if _digest(image.path) != digest:
            raise RetryLater(f"{field} was changed while it was read")
        return found

    def _read_file(self, path: Path, field: str) -> Image:
        if path not in self._files:
            check_ending(path, field)
            try:
                self._files[path] = Image(read_image([path], 1))
            except ConfigInvalid as error:
                raise RequestRefused(RequestCode.UNREADABLE_IMAGE, f"{field}.") from error
        return self._files[path]

    def _read_series(self, folder: Path, manifest: ModelManifest) -> Image:
        if folder not in self._studies:
            studies = read_studies(folder)
            if len(studies) != 1:
                raise StudyRejected(ReasonCode.MIXED_PATIENTS, f"The folder holds {len(studies)} studies.")
            self._studies[folder] = studies[0]
        study = self._studies[folder]
        volume, selection = self._series.read(study, manifest, select_series(study, manifest))
        return Image(volume, selection.channels[0])


def check_ending(path: Path, field: str) -> None:
    """See that a file is of a form that is read here.

    Raises
    ------
    RequestRefused
        ``unreadable_image``.
    """
    if not path.name.endswith(ENDINGS):
        raise RequestRefused(RequestCode.UNREADABLE_IMAGE, f"{field}: a file ends in one of {', '.join(ENDINGS)}.")


def told_phase(path: Path) -> Phase | None:
    """Contrast phase that an image file tells: by its name's last part, or by the words of a dcm2niix sidecar.

    Phases of DICOM series are the series rules' business.
    """
    stem = stem_of(path)
    letter = re.split(r"[_\-. ]", stem)[-1]
    if letter in LETTERS:
        return LETTERS[letter]
    words: Sequence[str] = [stem]
    try:
        told = json.loads(path.with_name(f"{stem}.json").read_bytes())
        words = [str(told[key]) for key in ("SeriesDescription", "ProtocolName") if key in told]
    except (OSError, ValueError, TypeError):
        pass  # most files have no sidecar, and one that is none tells nothing
    return phase_in_words(words).phase


def stem_of(path: Path) -> str:
    """Name of an image without its ending; of a folder, its name."""
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), "")
    return path.name.removesuffix(ending)


def _digest(path: Path) -> str:
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    whole = hashlib.sha256()
    for part in sorted(part for part in path.rglob("*") if part.is_file()):
        whole.update(f"{part.relative_to(path).as_posix()}\0{_digest(part)}\n".encode())
    return whole.hexdigest()
