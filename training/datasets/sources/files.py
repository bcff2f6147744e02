"""Images and masks in files, found by patterns: NIfTI, NRRD or MetaImage; and how any such pair is read."""

import gzip
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CaseCode, CaseRefused, ConfigInvalid, ReasonCode, RequestCode, StudyRejected, UnreadableImage
from core.image_files.reader import READERS, read_array, read_image
from core.model_config import Channel
from core.units import HU, same_unit
from core.volume import Geometry, Volume
from dicom_io.images.pixels.air import AIR_HU, implausible_air
from training.datasets.case import CaseNote, Found, FoundCase, LoadedCase, Note, Request
from training.datasets.compose import Composed, compose, finish, from_values
from training.datasets.linking import is_clean
from training.datasets.lock import Kind
from training.datasets.steady import steadily
from training.datasets.table import LabelTable

GRID_TOLERANCE_MM = 1e-2
"""Distance within which image and mask lie on one grid: NIfTI headers are float32."""

_PLACEHOLDER = re.compile(r"\{(case|patient|structure)\}|\*")


@dataclass(frozen=True)
class Files:
    """The files of one case.

    Attributes
    ----------
    images
        One a channel.
    mask
        A label map; ``None`` if each structure has a file.
    structures
        Files by the name of the structure.
    ignored
        The value of the label map that says that a voxel is not known.
    is_packed
        Whether the one image file holds all channels along a fourth axis, as the decathlon's do.
    """

    images: tuple[Path, ...]
    mask: Path | None = None
    structures: tuple[tuple[str, Path], ...] = ()
    ignored: int | None = None
    is_packed: bool = False


def find_by_pattern(folder: Path, request: Request) -> Found:
    """Find images and masks below a folder by patterns of their paths.

    A pattern is a path below the folder, in which ``{case}`` and ``{patient}`` stand for what is the same in the files
    of one case, ``{structure}`` for the name of a structure that has a file of its own, and ``*`` for anything within
    a folder's or a file's name.

    Raises
    ------
    ConfigInvalid
        If a pattern has no ``{case}``, fits nothing, or fits two files of one case.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    channels = [_matches(pattern, names, folder) for pattern in request.images]
    masks = _matches(request.mask, names, folder)
    cases, refused = [], []
    for key in sorted(channels[0], key=str):
        images = [found.get(key, {}).get("") for found in channels]
        label = masks.get(key, {})
        name = f"{folder.name}/{key[0]}/{key[1]}"
        if not label:
            refused.append((name, str(CaseCode.NO_MASK), CaseCode.NO_MASK.sentence))
        elif missing := [number for number, image in enumerate(images) if image is None]:
            detail = f"{CaseCode.NO_IMAGE.sentence} Channel {missing[0]} is missing."
            refused.append((name, str(CaseCode.NO_IMAGE), detail))
        else:
            paths = tuple(folder / image for image in images if image is not None)
            structures = tuple((s, folder / file) for s, file in sorted(label.items()) if s)
            files = Files(paths, None if structures else folder / label[""], structures)
            cases.append(
                found_case("nifti", key[1] or key[0], key[0] or None, files, request, f"{folder.name}/{key[0]}")
            )
    refused += [
        (f"{folder.name}/{key[0]}/{key[1]}", str(CaseCode.NO_IMAGE), CaseCode.NO_IMAGE.sentence)
        for key in masks
        if key not in channels[0]
    ]
    return Found(tuple(cases), tuple(refused))


def _matches(pattern: str, names: Iterable[str], folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return the files of each ``(patient, case)`` by structure; the structure is empty where the pattern has none."""
    if "{case}" not in pattern and "{patient}" not in pattern:
        raise ConfigInvalid(f"the pattern {pattern} holds no {{case}}; write it like this: {{case}}/ct.nii.gz")
    expression, seen, last = "", set(), 0
    for match in _PLACEHOLDER.finditer(pattern):
        expression += re.escape(pattern[last : match.start()])
        name, last = match[1], match.end()
        expression += "[^/]*" if name is None else f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+?)"
        seen.add(name)
    expression += re.escape(pattern[last:])
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name in names:
        fits = None if Path(name).name.startswith(".") else re.fullmatch(expression, name)
        if fits is None:
            continue
        parts = fits.groupdict()
        files = found.setdefault((parts.get("patient", ""), parts.get("case", "")), {})
        if files.setdefault(parts.get("structure", ""), name) != name:
            raise ConfigInvalid(f"the pattern {pattern} fits two files of one case below {folder}; make it narrower")
    if not found:
        endings = ", ".join(READERS)
        raise ConfigInvalid(f"the pattern {pattern} fits no file below {folder}; files end in {endings}")
    return found


def found_case(kind: Kind, name: str, patient: str | None, files: Files, request: Request, place: str) -> FoundCase:
    """Describe a case of files; ``place`` tells its folder from others."""
    stated, labelled_by = request.people.get(name, ("", ""))
    patient = stated or patient
    names = tuple(name for name, _ in files.structures)
    load = partial(_load, files, labelled_by or request.labelled_by, patient is None)
    return FoundCase(kind, f"{place}/{name}", patient, load, name, names)


def _load(files: Files, labelled_by: str, patient_unknown: bool, table: LabelTable) -> LoadedCase:
    volume = read_packed_channels(files.images[0]) if files.is_packed else _read_channels(files.images)
    if len(volume.array) != len(table.channels):
        detail = f"It has {len(volume.array)} images, and the data set {len(table.channels)} channels."
        raise CaseRefused(CaseCode.NO_IMAGE, detail)
    composed, looked_for, is_same = _mask_of(files, volume.geometry, table)
    notes = [Note(CaseNote.PATIENT_UNKNOWN)] if patient_unknown else []
    notes += list(unit_notes(volume.array, table.channels))
    return LoadedCase(
        volume.array,
        volume.geometry,
        composed,
        looked_for,
        labelled_by or "not stated",
        tuple(notes),
        () if files.is_packed else tuple(path if is_clean(path) else None for path in files.images),
        files.mask if is_same and files.mask is not None and is_clean(files.mask) else None,
        tuple(channel.unit or "" for channel in table.channels),
    )


def _read_channels(paths: Sequence[Path]) -> Volume:
    try:
        return steadily(lambda: read_image(paths, len(paths)))
    except UnreadableImage:
        raise
    except ConfigInvalid as error:
        raise StudyRejected(ReasonCode.GRIDS_DIFFER, "The files of its channels differ in their grids.") from error


def read_packed_channels(path: Path) -> Volume:
    """Read an image of four axes, the last of which counts channels.

    Raises
    ------
    UnreadableImage
        If it is not whole, or not of four axes.
    """
    import SimpleITK as sitk

    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while file.read(1 << 20):  # to the end: ITK takes what a stream that is cut short still gives
                pass
        image: Any = sitk.ReadImage(str(path), sitk.sitkFloat32)
    except (RuntimeError, OSError, EOFError, zlib.error) as error:
        raise UnreadableImage(path, "it is damaged, or of a kind that is not read") from error
    array = sitk.GetArrayFromImage(image)
    if array.ndim != 4 or not np.isfinite(array).all():
        raise UnreadableImage(path, f"it has {array.ndim} axes, or values that are no numbers; expected four axes")
    first = image[:, :, :, 0]
    geometry = Geometry(array.shape[1:], first.GetSpacing()[::-1], first.GetOrigin(), np.array(first.GetDirection()))
    slices = geometry.shape[0]
    return Volume(array, geometry, ("",) * slices, (1,) * slices, ("",) * len(array), "")


def _mask_of(files: Files, grid: Geometry, table: LabelTable) -> tuple[Composed, frozenset[str], bool]:
    """Read the mask; the last is whether the label map's file holds exactly what is trained on."""
    always = {label.name for label in table.labels if label.looked_for == "always"}
    if files.mask is None:
        masks: dict[str, NDArray[np.bool_]] = {}
        for name, path in files.structures:
            if (label := table.label_of(name)) is None:
                continue
            if label.name in masks:
                raise CaseRefused(CaseCode.STRUCTURE_TWICE, f"Label: {label.name}.")
            masks[label.name] = _on_grid(path, grid) != 0
        if not masks:
            raise CaseRefused(CaseCode.NOTHING_LABELLED, "No structure of the mask is in the labels table.")
        looked_for = frozenset(always | set(masks))
        return compose(masks, looked_for, table), looked_for, False
    array = _on_grid(files.mask, grid)
    labels = from_values(array, table, files.ignored)
    drawn = {table.labels[value - 1].name for value in np.unique(labels).tolist() if 0 < value < table.ignore_value}
    looked_for = frozenset(always | drawn)
    composed = finish(labels, looked_for, table)
    return composed, looked_for, array.dtype.kind in "iu" and bool(np.array_equal(array, composed.labels))


def _on_grid(path: Path, grid: Geometry) -> NDArray[np.generic]:
    try:
        array, geometry = steadily(lambda: read_array(path))
    except UnreadableImage as error:
        raise CaseRefused(CaseCode.UNREADABLE_MASK, error.detail) from error
    if not geometry.same_grid(grid, GRID_TOLERANCE_MM):
        found, wanted = (" x ".join(map(str, one.shape)) for one in (geometry, grid))
        same = "the same size at another place or spacing" if found == wanted else f"{found} voxels, the image {wanted}"
        raise CaseRefused(CaseCode.MASK_GRID, f"It has {same}.")
    return array


def unit_notes(array: NDArray[np.float32], channels: Sequence[Channel]) -> Iterable[Note]:
    """Look whether the air of each channel in HU is where HU puts it."""
    for number, channel in enumerate(channels):
        if channel.unit is None or not same_unit(channel.unit, HU):
            continue
        if (air := implausible_air(array[number], None)) is not None:
            low, high = AIR_HU
            yield Note(
                CaseNote.UNIT_IMPLAUSIBLE, f"Channel {number}: air at {air:.0f}; expected {low:.0f} to {high:.0f}."
            )


def refusal_of(error: UnreadableImage) -> tuple[str, str]:
    """Return code and finding of a file that cannot be read, without its path."""
    return str(RequestCode.UNREADABLE_IMAGE), error.detail


def by_stem(folder: Path) -> Mapping[str, Path]:
    """List the image files of a folder by their names without the ending; hidden ones are passed over."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        ending = next((ending for ending in READERS if path.name.endswith(ending)), None)
        if ending is not None and not path.name.startswith("."):
            found[path.name.removesuffix(ending)] = path
    return found
