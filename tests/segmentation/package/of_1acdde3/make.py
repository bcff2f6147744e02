"""Makes this folder with the program of commit 1acdde3; run in a checkout of it, with nothing of today imported::

    git worktree add ../old 1acdde3 && cd ../old && make setup
    PYTHONPATH=. .venv/bin/python ../segnode/tests/segmentation/package/of_1acdde3/make.py OUT

``OUT/package`` is a package of a trainer that is on no list, with golden case and measurement; ``OUT/uids.json`` has
the UIDs of its results by profile, of a study that `STUDY` describes.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import SimpleITK as sitk

STUDY = ["1.2.3", "1.2.3.1", "1.2.3.1.1", "1.2.3.1.2", "1.2.3.2.1"]
"""UIDs of study, series and images, as the volume and its sources have them."""
VERSION = "0.1.0"
REVISION = 1


def main(out: Path) -> None:
    """Make package, golden case, measurement and UIDs."""
    from core.model_manifest import ModelManifest
    from segmentation.engine import Engine
    from segmentation.golden import run_golden_case
    from segmentation.measuring import find_cases, measure

    from dicom_io.uids import derive_uid
    from segmentation.package import add_package, load_package
    from tests.segmentation.stock import write_images
    from tests.tiny_models import make_results_folder, make_volume

    with TemporaryDirectory() as work:
        source = make_results_folder(Path(work), "3d_fullres", trainer="TrainerOfAClinic")
        package = add_package(source, "package", out)
        volume = make_volume(shape=(10, 24, 22))
        (image,) = map(Path, write_images(volume, Path(work) / "images"))
        mask = sitk.GetImageFromArray(Engine(package, "cpu").segment(volume).label_map.array)
        mask.CopyInformation(sitk.ReadImage(str(image)))
        sitk.WriteImage(mask, str(Path(work) / "mask.nrrd"))
        run_golden_case(package, [image], Path(work) / "mask.nrrd", "cpu")
        package = load_package(package.folder)
        measure(package, find_cases([image], 1, None), "cpu")
    uids = {}
    for profile in ("exact", "fast"):
        inference = package.manifest.inference.model_copy(update={"profile": profile})
        manifest: ModelManifest = package.manifest.model_copy(update={"inference": inference})
        parts = [*STUDY, package.sha256, manifest.model_dump_json(by_alias=True), VERSION, REVISION]
        uids[profile] = derive_uid("instance", parts)
    (out / "uids.json").write_text(json.dumps(uids, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
