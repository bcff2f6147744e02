"""The rows of this project: DICOM to SEG by the calls that its graph makes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.given import Given, slabs_in_place_of
from bench.made import Logits
from bench.meter import Meter, print_stage
from core.model_config import Profile
from core.volume import Volume
from dicom_io.images.headers.instance import Instance
from dicom_io.images.study import read_studies
from dicom_io.images.volume import read_volume
from dicom_io.results.seg.build import SegContext, build_seg, write_seg
from segmentation.backends.choice import with_backend
from segmentation.inference import sliding_window
from segmentation.inference.engine import Engine
from segmentation.package.package import Package, load_package
from segmentation.preprocessing.field_of_view import frame

PREDICT_SLABS = sliding_window.predict_slabs


@dataclass
class SegnodeRow:
    """A warm engine, and the data that it needs to run a case."""

    case: dict[str, Any]
    folder: Path
    device: str
    package: Package
    engine: Engine

    @classmethod
    def load(cls, case: dict[str, Any], folder: Path, device: str, row: str) -> "SegnodeRow":
        """Load the model."""
        profile: Profile = "fast" if row == "fast" else "equal" if row == "equal" else "exact"
        package = load_package(folder / "models" / "model").in_profile(profile)
        if profile == "fast" and device == "cpu":
            # As for packages that are added now; the demonstration model is older, and would keep torch.
            package = with_backend(package, "openvino")
        engine = Engine(package, device)
        return cls(case, folder, device, engine.package, engine)

    def run(self, meter: Meter, *, first: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run the case once; return arrays to compare, and facts, both of the first run only."""
        with meter.stage("read"):
            volume, sources = _read(Path(self.case["series_folder"]))
        seen: list[tuple[torch.Tensor, Given]] = []

        def given_for(data: torch.Tensor) -> Given:
            # The image is preprocessed now, and the first tile comes.
            meter.peak("preprocess")
            meter.reset()
            print_stage("network")
            given = Given(self._logits(volume, data.shape[1:]), tuple(data.shape[1:]), observe=first)
            seen.append((data, given))
            return given

        run_network = first or self.case["logits"] == "network"
        sliding_window.predict_slabs = slabs_in_place_of(
            PREDICT_SLABS, given_for, run_network=run_network, classes=self.case["classes"]
        )
        print_stage("preprocess")
        meter.reset()
        result = self.engine.segment(volume)
        # Labels are made as slabs come, so the two have one peak.
        meter.peak("labels")
        ((data, given),) = seen
        meter.peak_gb["network"] = meter.peak_gb["labels"]
        meter.seconds |= result.timings_s
        meter.seconds["network"] -= given.seconds
        if not run_network:
            del meter.seconds["network"]
        labels = result.label_map.array
        with meter.stage("SEG"):
            seg = build_seg(
                result.label_map,
                volume,
                sources,
                SegContext(self.package.config, "00" * 32, "0", options=self.package.options),
            )
            write_seg(seg, self.folder / f"{self.package.inference.profile}.dcm")
        if not first:
            return {}, {}
        arrays = {"data": data.cpu().numpy(), "labels": labels, "checksums": np.array(given.checksums, np.uint32)}
        return arrays, {"boundary_share": given.boundary_share(), "grid": list(data.shape[1:])}

    def _logits(self, volume: Volume, grid: Sequence[int]) -> Path | None:
        if self.case["logits"] == "network":
            return None
        spacing = volume.geometry.spacing
        _, _, framed = frame(volume.array, spacing, self.package.config, self.package.inference.active)
        starts = [part.start * block for part, block in zip(framed.box, framed.blocks, strict=True)]
        stops = [part.stop * block for part, block in zip(framed.box, framed.blocks, strict=True)]
        wanted = Logits(
            classes=self.case["classes"],
            image_mm=tuple(size * mm for size, mm in zip(volume.geometry.shape, spacing, strict=True)),
            start_mm=tuple(start * mm for start, mm in zip(starts, spacing, strict=True)),
            stop_mm=tuple(stop * mm for stop, mm in zip(stops, spacing, strict=True)),
            grid=tuple(grid),
            random=self.case["logits"] == "random",
        )
        return wanted.path(self.folder)


def _read(folder: Path) -> tuple[Volume, tuple[Instance, ...]]:
    (study,) = read_studies(folder)
    (series,) = study.series
    return read_volume(series), tuple(series.instances)
