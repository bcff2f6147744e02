"""Golden cases: a package is run against the mask that nnU-Net itself predicted for an image."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.errors import ConfigInvalid
from core.image_files.reader import read_image, read_mask
from segmentation.inference.engine import Engine
from segmentation.package.golden_results import (
    GOLDEN_DICE,
    OUTCOMES,
    UNUSED_SETTINGS,
    Outcome,
    compare,
    judge,
    store_outcome,
)
from segmentation.package.hashes import sha256_of_file
from segmentation.package.package import MODEL_YAML, Package
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
        If files cannot be read, grids or channels do not fit, or the mask holds no label of the model.
    RetryLater
        If the GPU has too little free memory now.
    """
    volume = read_image(images, len(package.manifest.channels))
    expected = read_mask(expect, volume.geometry)
    outputs = package.manifest.labels.outputs
    held = set(np.unique(expected).tolist())
    if not held & set(outputs.values()):
        raise ConfigInvalid(f"{expect}: it holds no label of the model, so it proves nothing; take another")
    engine = Engine(package.in_profile("exact"), device)
    result = engine.segment(volume, on_progress).label_map.array
    dice, agreement = compare(result, expected, outputs.items())
    unexpected = sorted(held - {0, *outputs.values()})
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


def explain_failure(package: Package, outcome: Outcome) -> str:
    """Write with which settings a golden case failed, and what usually differs from nnU-Net's run."""
    inference = package.in_profile("exact").inference
    low = [(dice, name) for name, dice in outcome.dice.items() if dice is not None and dice < GOLDEN_DICE]
    found = f"{len(low)} of {len(outcome.dice)} labels are below Dice {GOLDEN_DICE}, the lowest {min(low)[1]} with "
    found = f"{found}{min(low)[0]:.4f}" if low else "the mask holds values that are no label of the model"
    folds = "; ".join(
        f"{configuration.id} {[fold.fold for fold in package.folds_of(configuration)]}"
        for configuration in package.manifest.configurations
    )
    axes = sorted({axis for configuration in package.manifest.configurations for axis in configuration.mirror_axes})
    mirrored = f"on, along the axes {axes}" if inference.mirroring and axes else "off"
    return "\n".join(
        [
            f"{package.folder}: the golden case failed: {found}.",
            f"  It ran with: mirroring {mirrored}; step_size {inference.step_size:g}; folds {folds}; "
            f"orientation {package.config.orientation}; no post-processing; device {outcome.device}.",
            "  What usually differs from nnU-Net's run:",
            "  - mirroring: nnUNetv2_predict --disable_tta is `mirroring: false`",
            "  - step: nnUNetv2_predict -step_size is `step_size`",
            "  - folds: nnUNetv2_predict -f names those of `folds`, and -chk the checkpoint (models add --checkpoint)",
            "  - orientation: with `acquired`, the training files may have been in RAS",
            "  - post-processing: the mask has to be what came before nnUNetv2_apply_postprocessing",
            f"  Change {package.folder / MODEL_YAML} and verify again; the outcome is in {package.folder / OUTCOMES}.",
        ]
    )
