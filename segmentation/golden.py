"""Run a golden case: a package against the mask that nnU-Net itself predicted for an image."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigInvalid
from core.volume import Geometry, Volume, stack_channels
from segmentation.commissioning import Outcome, compare, judge, now, settings_hash, store_outcome
from segmentation.engine import Engine
from segmentation.hashes import sha256_of_file
from segmentation.package import Package

if TYPE_CHECKING:
    from collections.abc import Callable


def run_golden_case(
    package: Package,
    images: Sequence[Path],
    expect: Path,
    device: str = "auto",
    on_progress: "Callable[[float], None] | None" = None,
) -> Outcome:
    """Segment an image, compare with the mask that is expected, and keep the outcome with the package.

    Parameters
    ----------
    package
        Opened; it need not be commissioned.
    images
        One file per channel, in any format that SimpleITK reads (NIfTI, NRRD, MHA).
    expect
        The mask that nnU-Net predicted, before post-processing, on the same grid.

    Returns
    -------
    Outcome
        As stored in ``commissioning.json``.

    Raises
    ------
    ConfigInvalid
        If files cannot be read, or grids or channels do not fit.
    RetryLater
        If the GPU's memory does not suffice now.
    """
    volume = _read_volume(images)
    if volume.array.shape[0] != len(package.network.channels):
        raise ConfigInvalid(f"the model takes {len(package.network.channels)} images, {len(images)} were given")
    expected, geometry = _read(expect)
    if not geometry.same_grid(volume.geometry, tolerance=1e-2):  # NIfTI headers are float32
        raise ConfigInvalid("the expected mask does not lie on the image's grid")
    engine = Engine(package, device)
    result = engine.segment(volume, on_progress).label_map.array
    outputs = package.network.labels.outputs
    dice, agreement = compare(result, expected, outputs.items())
    unexpected = sorted(set(np.unique(expected).tolist()) - {0, *outputs.values()})
    outcome = Outcome(
        when=now(),
        seal=package.seal,
        settings=settings_hash(package.manifest),
        image_sha256=tuple(sha256_of_file(path) for path in images),
        expect_sha256=sha256_of_file(expect),
        voxels=int(result.size),
        dice=dice,
        agreement=agreement,
        device=engine.device,
        passed=judge(dice, unexpected),
    )
    store_outcome(package.folder, outcome)
    return outcome


def _read_volume(images: Sequence[Path]) -> Volume:
    volumes = []
    for path in images:
        array, geometry = _read(path)
        none = ("",) * geometry.shape[0]  # a file has no SOP instances
        volumes.append(Volume(array[None].astype(np.float32), geometry, none, (1,) * geometry.shape[0], ("",), ""))
    try:
        return stack_channels(volumes)
    except ValueError as error:
        raise ConfigInvalid(f"the images of the golden case: {error}") from error


def _read(path: Path) -> tuple[NDArray[Any], Geometry]:
    import SimpleITK

    image: Any  # SimpleITK's methods carry no types
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise ConfigInvalid(f"{path}: cannot be read: {str(error).splitlines()[-1].strip()}") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ConfigInvalid(f"{path}: not a single 3d image")
    x, y, z = image.GetSpacing()
    array = SimpleITK.GetArrayFromImage(image)
    geometry = Geometry(array.shape, (z, y, x), image.GetOrigin(), np.array(image.GetDirection()))
    return array, geometry
