"""The rows of nnU-Net: its own functions in order, from SimpleITK's reader to highdicom's own writer of a SEG."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import highdicom
import numpy as np
import pydicom
import SimpleITK
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from bench.given import Given
from bench.made import Logits
from bench.meter import Meter


@dataclass
class StockRow:
    """A predictor with its model loaded, and the data that it needs to run a case."""

    case: dict[str, Any]
    folder: Path
    predictor: Any

    @classmethod
    def load(cls, case: dict[str, Any], folder: Path, device: str, row: str) -> "StockRow":
        """Load the model by nnU-Net's own loader."""
        # Looking for a trainer, nnU-Net imports every module of its own, and with the transformers torchvision, whose
        # CUDA build cannot be imported beside a CPU build of torch.
        transformers = "nnunetv2.training.nnUNetTrainer.primus.primus_trainers"
        sys.modules.setdefault(transformers, ModuleType(transformers))
        predictor = nnUNetPredictor(
            tile_step_size=case["step"],
            use_mirroring=False,
            perform_everything_on_device=device == "cuda",
            device=torch.device(device),
            allow_tqdm=False,
        )
        (results,) = (path for path in (folder / row).rglob("plans.json"))
        predictor.initialize_from_trained_model_folder(str(results.parent), None)
        return cls(case, folder, predictor)

    def run(self, meter: Meter, *, first: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run the case once; return arrays to compare, and facts, both of the first run only."""
        stock = self.predictor
        with meter.stage("read"):
            names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(self.case["series_folder"])  # type: ignore[no-untyped-call]
            image = SimpleITK.ReadImage(names)
            array = SimpleITK.GetArrayFromImage(image)[None].astype(np.float32)
            properties: dict[str, Any] = {"spacing": list(image.GetSpacing()[::-1])}  # type: ignore[no-untyped-call]
            del image
        with meter.stage("preprocess"):
            data, _, properties = DefaultPreprocessor(verbose=False).run_case_npy(
                array, None, properties, stock.plans_manager, stock.configuration_manager, stock.dataset_json
            )
        given = Given(self._logits(properties, data.shape[1:]), data.shape[1:], observe=first)
        run_network = first or self.case["logits"] == "network"
        if run_network:
            with meter.stage("network"):
                logits = stock.predict_logits_from_preprocessed_data(torch.from_numpy(data))
        else:
            logits = torch.empty((self.case["classes"], *data.shape[1:]), dtype=torch.half)
        given.pass_on(logits, from_network=run_network)
        with meter.stage("labels"):
            labels = np.asarray(
                convert_predicted_logits_to_segmentation_with_correct_shape(
                    logits,
                    stock.plans_manager,
                    stock.configuration_manager,
                    stock.label_manager,
                    properties,
                    False,
                    os.cpu_count() or 1,
                )
            )
        del logits
        with meter.stage("SEG"):
            _write_seg(labels, names, self.folder / "stock.dcm")
        if not first:
            return {}, {}
        arrays = {"data": data, "labels": labels, "checksums": np.array(given.checksums, np.uint32)}
        return arrays, {"boundary_share": given.boundary_share(), "grid": list(data.shape[1:])}

    def _logits(self, properties: dict[str, Any], grid: tuple[int, ...]) -> Path | None:
        if self.case["logits"] == "network":
            return None
        whole = tuple(
            float(size * mm)
            for size, mm in zip(properties["shape_before_cropping"], properties["spacing"], strict=True)
        )
        zero, is_random = (0.0,) * len(whole), self.case["logits"] == "random"
        return Logits(self.case["classes"], whole, zero, whole, tuple(grid), is_random).path(self.folder)


def _write_seg(labels: NDArray[np.integer[Any]], names: tuple[str, ...], path: Path) -> None:
    """Write a SEG as a user of highdicom would: it takes the whole mask, and leaves out empty frames itself."""
    algorithm = highdicom.AlgorithmIdentificationSequence("nnU-Net", codes.cid7162.ArtificialIntelligence, "2")
    segments = [
        highdicom.seg.SegmentDescription(
            int(value), f"organ {value}", codes.SCT.Organ, codes.SCT.Organ, "AUTOMATIC", algorithm
        )
        for value in range(1, int(labels.max()) + 1)
    ]
    seg = highdicom.seg.Segmentation(
        source_images=[pydicom.dcmread(name) for name in names],
        pixel_array=labels.astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=highdicom.UID(),
        series_number=1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="-",
        manufacturer_model_name="-",
        software_versions="-",
        device_serial_number="0",
    )
    seg.save_as(path)
