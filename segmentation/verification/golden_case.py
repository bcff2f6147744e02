"""Golden cases: a package is run against the mask that nnU-Net itself predicted for an image."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.image_files.reader import read_image, read_mask
from segmentation.inference.engine import Engine
from segmentation.package.golden_results import UNUSED_SETTINGS, Outcome, compare, judge, store_outcome
from segmentation.package.hashes import sha256_of_file
from segmentation.package.package import Package
from segmentation.package.results_file import now, settings_hash

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
        An opened package; it need not be commissioned.
    images
        One file per channel, NIfTI, NRRD or MHA.
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
        If the GPU has too little free memory now.
    """
    volume = read_image(images, len(package.manifest.channels))
    expected = read_mask(expect, volume.geometry)
    engine = Engine(package.in_profile("exact"), device)
    result = engine.segment(volume, on_progress).label_map.array
    outputs = package.manifest.labels.outputs
    dice, agreement = compare(result, expected, outputs.items())
    unexpected = sorted(set(np.unique(expected).tolist()) - {0, *outputs.values()})
    outcome = Outcome(
        when=now(),
        seal=package.seal,
        settings=settings_hash(package.config, UNUSED_SETTINGS),
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
