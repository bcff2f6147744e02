"""What one job does: the images that it names, each decoded once; models; masks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from core.errors import RequestCode, RequestRefused
from core.label_map import LabelMap
from core.model_manifest import Phase
from core.version import VERSION
from core.volume import Volume
from dicom_io.durable import locked
from segmentation.package import Package
from segmentation.postprocessing import postprocess
from segmentation.sharing import SharedImages
from segmentation.warm_models import WarmModels, Wish
from services.channels import on_first_grid
from services.images import Image, ImageReader, told_phase
from services.masks import MaskPlace, MaskRecord, existing_mask, key_of, place_of, write_mask
from services.models import Packages
from services.requests import BatchRequest, TaskRequest, VesselRequest, image_fields
from services.results import MaskResult
from services.roots import Roots, SharedFile

Progress = Callable[[float], None]
PHASE_OF_FIELD: Final[Mapping[str, Phase]] = {
    "image_A_path": "arterial",
    "image_P_path": "portal",
    "image_D_path": "delayed",
}


@dataclass(frozen=True, eq=False)
class _Part:
    """One segmentation of a job: what goes in, and where its mask belongs."""

    request: TaskRequest
    package: Package
    images: Mapping[str, SharedFile]
    place: MaskPlace
    key: str

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(image.path.name for image in self.images.values())


@dataclass(frozen=True, eq=False)
class _Input:
    """What a part's networks see, and what it was made of."""

    volume: Volume
    images: list[Image]


@dataclass
class Inference:
    """One job's segmentations.

    Attributes
    ----------
    roots, packages, networks, locks
        What every job of a worker shares: the volume, the models, and a folder for locks between processes.
    reader
        This job's images.
    """

    roots: Roots
    packages: Packages
    networks: WarmModels
    locks: Path
    reader: ImageReader = field(default_factory=ImageReader)

    def run(self, request: TaskRequest | BatchRequest, on_progress: Progress) -> dict[str, MaskResult]:
        """Make the masks that a request asks for, or find those that are there.

        Raises
        ------
        RequestRefused
            If a part of the request cannot be done; paths, phases and models of all parts are looked at first.
        StudyRejected
            If an image cannot be segmented.
        RetryLater
            If disk or memory refuse for now.
        """
        parts = [self._part(one) for one in (request.parts if isinstance(request, BatchRequest) else (request,))]
        inputs = {part: self._read(part) for part in parts if _existing(part) is None}
        shared = SharedImages([(part.package, given.volume) for part, given in inputs.items()])
        results: dict[str, MaskResult] = {}
        with self.networks.promise() as promise:
            wishes = [Wish(part.package, given.volume.geometry, id(given.volume)) for part, given in inputs.items()]
            for refusal in promise.ask(wishes):
                if refusal is not None:
                    raise refusal
            for number, part in enumerate(parts):
                share = _share_of(on_progress, number, len(parts))
                # Who asks for the same at once waits, and finds it.
                with locked(self.locks / f"{key_of(str(part.place.path))}.lock"):
                    found = _existing(part)
                    results[part.request.task] = found or self._make(part, inputs[part], shared, share)
                share(1.0)
        return results

    def _part(self, request: TaskRequest) -> _Part:
        fields = image_fields(request.task)
        images = {name: self.roots.find(getattr(request, name), name) for name in fields}
        if len({image.path for image in images.values()}) < len(images):
            raise RequestRefused(RequestCode.INVALID_REQUEST, f"{' and '.join(fields)} are one and the same.")
        for name, image in images.items():
            _check_phase(name, image)
        package = self.packages.of(request.task)
        registration = request.registration if isinstance(request, VesselRequest) else ""
        digests = [self.reader.digest(image) for image in images.values()]
        key = key_of(request.task, *digests, package.sha256, package.manifest.inference.profile, registration)
        return _Part(request, package, images, place_of(request.task, next(iter(images.values()))), key)

    def _read(self, part: _Part) -> _Input:
        manifest = part.package.manifest
        images = [
            self.reader.read(shared, name, channel, manifest)
            for channel, (name, shared) in zip(manifest.channels, part.images.items(), strict=True)
        ]
        rigid = isinstance(part.request, VesselRequest) and part.request.registration == "rigid"
        return _Input(on_first_grid(images, rigid=rigid), images)

    def _make(self, part: _Part, given: _Input, shared: SharedImages, on_progress: Progress) -> MaskResult:
        manifest, volume = part.package.manifest, given.volume
        result = self.networks.segment(part.package, volume, on_progress, shared)
        label_map = postprocess(result.label_map, manifest.postprocessing)
        seg = self._seg(part, label_map, given) if part.request.output else None
        record = MaskRecord(
            key=part.key,
            sources=part.sources,
            mask_sha256="",
            model=manifest.name,
            model_sha256=part.package.sha256,
            labels=label_map.labels,
            volumes_ml=label_map.volumes_ml(),
            warnings=volume.warnings,
        )
        record = write_mask(part.place, label_map, record, seg)
        return MaskResult.of(part.place, record, timings_s=result.timings_s)

    def _seg(self, part: _Part, label_map: LabelMap, given: _Input) -> bytes:
        from dicom_io.results.seg import SegContext, build_seg, verify_seg, write_seg

        series = [image.series for image in given.images if image.series is not None]
        if given.images[0].series is None:
            raise RequestRefused(RequestCode.INVALID_REQUEST, "output: dicom_seg needs the image as a folder of DICOM.")
        instances = [instance for one in series for instance in one.instances]
        context = SegContext(part.package.manifest, part.package.sha256, VERSION)
        with TemporaryDirectory(prefix="segnode-") as folder:
            path = Path(folder) / "mask.seg.dcm"
            write_seg(build_seg(label_map, given.volume, instances, context), path)
            verify_seg(path, label_map)
            return path.read_bytes()


def _existing(part: _Part) -> MaskResult | None:
    record = existing_mask(part.place, part.key, part.sources, force=part.request.force)
    if record is None or (part.request.output and not part.place.seg_path.exists()):
        return None
    return MaskResult.of(part.place, record, existing=True)


def _share_of(on_progress: Progress, number: int, count: int) -> Progress:
    return lambda done: on_progress((number + done) / count)


def _check_phase(name: str, image: SharedFile) -> None:
    wanted, told = PHASE_OF_FIELD.get(name), None if image.path.is_dir() else told_phase(image.path)
    if wanted is not None and told not in (None, wanted):
        raise RequestRefused(RequestCode.WRONG_PHASE, f"{name} is to be {wanted}; the file says {told}.")
