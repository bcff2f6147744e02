"""Labels beside nnU-Net's own, and nnU-Net's beside its own, for each kind of model; see `bench.gpu.items`.

On a GPU nnU-Net does not give the same label twice where the order of its sums changes: the second prediction takes
cuDNN's own choice of convolutions in place of nnU-Net's trials, and keeps its results on the CPU. Networks are random,
so near ties are everywhere, and far more labels change than with a trained one.
"""

import tempfile
from pathlib import Path

from bench.gpu.items import Figures, Setting, Size, print_items
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.package.package import load_package
from tests.support import stock_nnunet
from tests.support.tiny_models import KINDS, make_results_folder, volume_for

ITEMS: dict[Size, tuple[str, ...]] = {"full": KINDS, "tiny": ("cascade",)}


def measure(item: str, setting: Setting) -> Figures:
    """Predict with a model of this kind three times."""
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as name:
        folder = Path(name)
        source = make_results_folder(folder, item)
        volume = volume_for(item)
        files = stock_nnunet.write_images(volume, folder / "images")
        theirs, again = (
            stock_nnunet.predict_kind(item, source, files, folder / str(otherwise), setting.device, otherwise=otherwise)
            for otherwise in (False, True)
        )
        package = add_package(source, "tiny", folder / "models")
        ours = Engine(load_package(package.folder), setting.device).segment(volume).label_map.array
    return {
        "voxels": int(theirs.size),
        "labels_differ": int((ours != theirs).sum()),
        "stock_differs_from_itself": int((again != theirs).sum()),
    }


if __name__ == "__main__":
    print_items(measure)
