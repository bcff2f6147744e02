"""The work of one job: its images, each decoded once; models; masks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from core.cancellation import NEVER, Cancellation
from core.errors import RequestCode, RequestRefused
from core.label_map import LabelMap
from core.model_config import Phase
from core.run_options import RunOptions
from core.study_warning import StudyWarning
from core.version import VERSION
from core.volume import Geometry, Volume
from segmentation.inference.model_pool import MemoryRequest, ModelPool
from segmentation.inference.shared_images import SharedImages
from segmentation.package.package import Package
from segmentation.package.package_warnings import warnings_of
from segmentation.postprocessing.steps import postprocess
from segmentation.preprocessing.regular_image import fills
from services.images.channel_grid import on_first_grid
from services.images.image_reader import Image, ImageReader, told_phase
from services.images.shared_paths import Roots, SharedFile
from services.jobs.requests import PHASE_OF_FIELD, AliasRequest, BatchRequest, SegmentationRequest, VesselRequest
from services.jobs.results import MaskResult
from services.masks.mask_folder import MaskFolder
from services.masks.mask_locks import Locks
from services.masks.mask_paths import MaskPlace, MaskRecord, key_of, place_of
from services.worker.task_models import Packages

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class _Part:
    """One segmentation of a job: its images, model and place of the mask."""

    request: SegmentationRequest
    package: Package
    images: Mapping[str, SharedFile]
    place: MaskPlace
    key: str

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(image.path.name for image in self.images.values())

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(image.path for image in self.images.values())

    @property
    def is_registered(self) -> bool:
        return isinstance(self.request, VesselRequest) and self.request.registration == "rigid"

    def _phase(self, field: str) -> Phase | None:
        # Behind another alias, the model's own rule says which phases it takes.
        return None if isinstance(self.request, AliasRequest) else PHASE_OF_FIELD.get(field)

    @property
    def channels(self) -> list[tuple[SharedFile, str, RunOptions]]:
        """Return each image with its field, and the channel that it feeds, which takes only the field's phase."""
        return [
            (image, name, replace(self.package.options, channel=number, phase=self._phase(name)))
            for number, (name, image) in enumerate(self.images.items())
        ]


@dataclass(frozen=True, eq=False)
class _Input:
    """The input of a part's networks, and the images it was made of."""

    volume: Volume
    images: list[Image]


@dataclass
class SegmentJob:
    """One job's segmentations.

    Attributes
    ----------
    roots, packages, networks, locks
        Shared by every job of a worker: the volume, the models, and locks between processes.
    reader
        This job's images.
    """

    roots: Roots
    packages: Packages
    networks: ModelPool
    locks: Locks
    reader: ImageReader

    def run(
        self,
        request: SegmentationRequest | BatchRequest,
        on_progress: Progress,
        cancellation: Cancellation = NEVER,
        on_wait: Callable[[], None] = lambda: None,
    ) -> dict[str, MaskResult]:
        """Make the requested masks, or find existing ones.

        Parameters
        ----------
        request
            The request.
        on_progress
            Called while networks run and after each mask, with the share that is done, 0 to 1.
        cancellation
            Asked between stages, after each tile of a network, and while another job makes one of the masks.
        on_wait
            Called repeatedly while another job makes one of the masks.

        Raises
        ------
        Cancelled
            If the job is cancelled.
        RequestRefused
            If a part of the request cannot be done; paths, phases, models and mask folders of all parts are looked at
            first, and headers of images before their voxels.
        StudyRejected
            If an image cannot be segmented.
        RetryLater
            If disk or memory do not suffice now.
        """
        with ExitStack() as stack:
            stack.callback(self.reader.close)
            parts = [self._part(one) for one in (request.parts if isinstance(request, BatchRequest) else (request,))]
            folders = {part: stack.enter_context(MaskFolder(part.place)) for part in parts}
            # Who asks for the same at once waits, and finds it.
            names = [part.place.common_name for part in parts]
            stack.enter_context(self.locks.held(names, cancellation, on_wait))
            found = {part: _existing(part, folders[part]) for part in parts}
            cancellation.raise_if_cancelled()
            inputs = self._inputs([part for part in parts if found[part] is None], stack, cancellation)
            shared = SharedImages([(part.package, given.volume) for part, given in inputs.items()])
            results: dict[str, MaskResult] = {}
            for number, part in enumerate(parts):
                share = _share_of(on_progress, number, len(parts))
                made = found[part] or self._make(part, inputs[part], folders[part], shared, share, cancellation)
                results[part.request.name] = made
                share(1.0)
            return results

    def _part(self, request: SegmentationRequest) -> _Part:
        # Asked for once: between two, the alias may come to stand for a package whose channels have another order.
        package = self.networks.settled(self.packages.of(request.name))
        named = request.paths(package.config.channels)
        images = {field: self.roots.find(one.path, field) for field, one in named.items()}
        if len({image.path for image in images.values()}) < len(images):
            detail = f"{' and '.join(images)} are the same file; give one image of each phase."
            raise RequestRefused(RequestCode.INVALID_REQUEST, detail)
        for field, image in images.items():
            _check_phase(field, named[field].phases, image)
        if request.output and not next(iter(images.values())).path.is_dir():
            raise RequestRefused(RequestCode.INVALID_REQUEST, "output: dicom_seg needs a folder of DICOM images.")
        registration = request.registration if isinstance(request, VesselRequest) else ""
        digests = [self.reader.open(image, name).digest for name, image in images.items()]
        if len(set(digests)) < len(digests):
            raise RequestRefused(RequestCode.INVALID_REQUEST, f"{' and '.join(images)} are copies of one image.")
        backend = f" {package.options.backend}" if package.options.backend else ""
        key = key_of(request.name, *digests, package.sha256, package.inference.profile + backend, registration)
        return _Part(request, package, images, place_of(request.name, next(iter(images.values()))), key)

    def _inputs(self, parts: Sequence[_Part], stack: ExitStack, cancellation: Cancellation) -> dict[_Part, _Input]:
        """Read the images of the parts to be made, once memory is reserved for the sizes in their headers."""
        reservation = stack.enter_context(self.networks.reservation())
        for refusal in reservation.reserve(
            [MemoryRequest(part.package, self._look(part), part.paths) for part in parts]
        ):
            if refusal is not None:
                raise refusal
        return {part: self._read(part, cancellation) for part in parts}

    def _look(self, part: _Part) -> Geometry:
        """Return the grid of a part's first image, or the places of its slices, after a check of all of its images."""
        grids = [self.reader.look(*one, part.package.config) for one in part.channels]
        if part.is_registered and part.request.output and not all(grid.is_regular for grid in grids):
            detail = "output: dicom_seg of tilted or uneven slices is not made with registration: rigid; ask without."
            raise RequestRefused(RequestCode.INVALID_REQUEST, detail)
        return grids[0]

    def _read(self, part: _Part, cancellation: Cancellation) -> _Input:
        images = []
        for one in part.channels:
            cancellation.raise_if_cancelled()
            images.append(self.reader.read(*one, part.package.config))
        config, rigid = part.package.config, part.is_registered
        if rigid:
            images = [image.on_regular_grid(fill) for image, fill in zip(images, fills(config), strict=True)]
        # The tasks trust patient coordinates; another alias, what its model says.
        own = config.on_other_grid if isinstance(part.request, AliasRequest) else "resample"
        return _Input(on_first_grid(images, rigid=rigid, on_other_grid=own, cancellation=cancellation), images)

    def _make(
        self,
        part: _Part,
        given: _Input,
        folder: MaskFolder,
        shared: SharedImages,
        on_progress: Progress,
        cancellation: Cancellation,
    ) -> MaskResult:
        config, volume = part.package.config, given.volume
        result = self.networks.segment(part.package, volume, on_progress, shared, cancellation, regular_too=True)
        label_map = postprocess(result.label_map, config.postprocessing)
        # A file can hold a regular grid alone; a SEG's frames lie on their slices.
        mask = label_map if result.regular is None else postprocess(result.regular, config.postprocessing)
        cancellation.raise_if_cancelled()
        seg, inherited = self._seg(part, label_map, given) if part.request.output else (None, ())
        cancellation.raise_if_cancelled()
        record = MaskRecord(
            key=part.key,
            sources=part.sources,
            mask_sha256="",
            model=config.name,
            model_sha256=part.package.sha256,
            labels=mask.labels,
            volumes_ml=mask.volumes_ml(),
            warnings=tuple(_warnings(part.package, self.networks.processor, volume, inherited)),
        )
        record = folder.write(mask, record, seg)
        return MaskResult.of(part.place, record, timings_s=result.timings_s)

    def _seg(self, part: _Part, label_map: LabelMap, given: _Input) -> tuple[bytes, tuple[StudyWarning, ...]]:
        """Make the DICOM SEG, and tell what it takes over from its source only in part."""
        from dicom_io.results.seg.build import SegContext, agreement_of, build_seg, verify_seg, write_seg

        series = [image.series for image in given.images if image.series is not None]
        instances = [instance for one in series for instance in one.instances]
        context = SegContext(part.package.config, part.package.sha256, VERSION, options=part.package.options)
        with TemporaryDirectory(prefix="segnode-") as folder:
            path = Path(folder) / "mask.seg.dcm"
            agreement = agreement_of(given.volume, instances)
            write_seg(build_seg(label_map, given.volume, instances, context, agreement), path)
            verify_seg(path, label_map)
            return path.read_bytes(), agreement.warnings()


def _existing(part: _Part, folder: MaskFolder) -> MaskResult | None:
    wants_seg = bool(part.request.output)
    record = folder.existing(part.key, part.sources, force=part.request.force, with_seg=wants_seg)
    return None if record is None else MaskResult.of(part.place, record, existing=True)


def _warnings(package: Package, processor: str, volume: Volume, inherited: Iterable[StudyWarning]) -> list[str]:
    # Details about a package name its folder, which callers are not told; the log has them.
    of_package = [f"{warning.code}: {warning.code.sentence}" for warning in warnings_of(package, processor)]
    of_seg = [f"{warning.code}: {warning.message}" for warning in inherited]
    return of_package + [warning.finding for warning in volume.warnings] + of_seg


def _share_of(on_progress: Progress, number: int, count: int) -> Progress:
    return lambda done: on_progress((number + done) / count)


def _check_phase(field: str, wanted: Sequence[Phase], image: SharedFile) -> None:
    told = None if image.path.is_dir() else told_phase(image)
    if wanted and told not in (None, *wanted):
        raise RequestRefused(RequestCode.WRONG_PHASE, f"{field} must be {' or '.join(wanted)}; the file states {told}.")
