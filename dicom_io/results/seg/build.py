"""The DICOM SEG of a label map on the source's own grid, BINARY or LABELMAP.

highdicom builds the modules from one slice; the frames are added here (``frames``), since a loop over the frames
that exist is several times faster than one over all segments and slices. BINARY pixels are not compressed; LABELMAP
ones are, with RLE Lossless: small enough, quick to write, and dcmqi reads it where it refuses JPEG-LS.

Only labels that have voxels become segments, numbered from 1 without gaps in the order of their values: a
segment without a frame is an error to some viewers, and a list of a hundred empty ones hides what was found. A
segment is identified by its codes and its label, never by its number. An object for an empty result describes every
label, with one blank frame each, as an object without frames is not legal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, RLELossless

from core.backend import Backend
from core.dicom_text import LONGEST
from core.errors import ReasonCode, StudyRejected
from core.label_map import LabelMap
from core.model_config import Inference, LabelSpec, ModelConfig, Profile
from core.run_options import NO_OPTIONS, RunOptions
from core.volume import Geometry, Volume
from dicom_io.images.headers.attributes import integer, text
from dicom_io.images.headers.instance import Instance
from dicom_io.results.local_time import set_times
from dicom_io.results.result_identity import ResultIdentity
from dicom_io.results.seg.frames import Extent, FrameKey, binary_frames, extents_by_value, labelmap_planes
from dicom_io.results.seg.functional_groups import PER_FRAME_GROUPS, functional_groups
from dicom_io.results.seg.read_back import SegContent, read_seg, verify_seg
from dicom_io.results.seg.segments import describe
from dicom_io.results.seg.sources import add_references, frame_numbers, headers_by_uid, source_slices
from dicom_io.results.seg.write import write_seg
from dicom_io.results.source_agreement import Agreement, agree
from dicom_io.results.source_attributes import REQUIRED, choose_character_set, decimal_strings, equipment_of, texts_of
from dicom_io.uids import derive_uid

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

__all__ = ["SegContent", "SegContext", "build_seg", "read_seg", "verify_seg", "write_seg"]

MANUFACTURER = "segnode"
FIRST_SERIES_NUMBER = 9000
LARGEST_PIXEL_DATA = 2**32 - 2
"""Bytes that an element of explicit length can hold (PS3.5 section 7.1.1)."""


@dataclass(frozen=True)
class SegContext:
    """The parts of a result that come from the model and the program rather than from the images.

    Attributes
    ----------
    config
        The model's ``model.yaml``.
    model_sha256
        Hash of the model package, 64 hexadecimal digits.
    software_version
        Version of this program.
    revision
        Counts deliberate repeats of the same work, so that their results are new objects.
    options
        The options of the run beside ``model.yaml``.
    backend
        What computed the networks; ``None`` where nobody says.
    """

    config: ModelConfig
    model_sha256: str
    software_version: str
    revision: int = 0
    options: RunOptions = NO_OPTIONS
    backend: Backend | None = None

    @property
    def inference(self) -> Inference:
        """The settings with which the networks ran."""
        return self.options.inference(self.config)


def agreement_of(volume: Volume, sources: Sequence[Instance]) -> Agreement:
    """Read what the images of channel 0 say of patient and study."""
    return _agreement(volume, headers_by_uid(sources))


def build_seg(
    label_map: LabelMap,
    volume: Volume,
    sources: Sequence[Instance],
    context: SegContext,
    agreement: Agreement | None = None,
) -> Dataset:
    """Build the SEG object of a label map, which may be empty.

    Parameters
    ----------
    label_map
        The mask, on the volume's grid.
    volume
        The volume that was segmented; its slices' instances become the frames' sources.
    sources
        The instances of channel 0's series and of any other channel's.
    context
        Model, program and revision; UIDs follow from it, from the source's UIDs and from nothing else.
    agreement
        What the images say of patient and study; it is read from them where it is not given.

    Raises
    ------
    ValueError
        If mask, volume and sources do not match.
    StudyRejected
        ``seg_too_large`` if the object does not fit into one DICOM file as BINARY.
    """
    if not label_map.geometry.same_grid(volume.geometry):
        raise ValueError("the mask is not on the volume's grid")
    headers = headers_by_uid(sources)
    slices = source_slices(volume, headers)
    first = headers[volume.sop_instance_uids[0]]
    found = extents_by_value(label_map)
    specs = [spec for spec in sorted(label_map.labels, key=lambda s: s.value) if spec.value in found or not found]
    identity = identity_of(volume, headers, context).parts()

    agreement = agreement or _agreement(volume, headers)
    seg = _template(first, agreement, volume, specs, context, identity)
    numbers = {spec.value: number for number, spec in enumerate(specs, start=1)}
    if context.config.output.segmentation_type == "LABELMAP":
        keys = _add_labelmap_pixels(seg, label_map, numbers)
    else:
        middle = {label_map.geometry.shape[0] // 2: Extent(slice(0, 0), slice(0, 0))}
        keys = _add_binary_pixels(seg, label_map, numbers, found or dict.fromkeys(numbers, middle))
    seg[PER_FRAME_GROUPS] = functional_groups(keys, slices)
    seg.NumberOfFrames = len(keys)
    add_references(seg, volume, headers)

    return seg


def _agreement(volume: Volume, headers: Mapping[str, Dataset]) -> Agreement:
    return agree([headers[uid] for uid in dict.fromkeys(volume.sop_instance_uids)])


def identity_of(volume: Volume, headers: Mapping[str, Dataset], context: SegContext) -> ResultIdentity:
    frames = [str(frame) for frame in volume.frame_numbers]
    others = sorted(headers.keys() - set(volume.sop_instance_uids))
    # Two volumes of one multi-frame image have its UIDs in common.
    parts = volume.volume_names if any(volume.volume_names) else ()
    return ResultIdentity(
        study_uid=str(next(iter(headers.values())).StudyInstanceUID),
        inputs=(*volume.series_uids, *volume.sop_instance_uids, *frames, *others, *parts),
        package_sha256=context.model_sha256,
        config=context.config,
        options=context.options,
        program_version=context.software_version,
        revision=context.revision,
    )


def _template(
    header: Dataset,
    agreement: Agreement,
    volume: Volume,
    specs: Sequence[LabelSpec],
    context: SegContext,
    identity: Sequence[str | int],
) -> "Segmentation":
    """Build the object with everything but its frames and references."""
    import highdicom
    from pydicom.sr.codedict import codes

    config = context.config
    labelmap = config.output.segmentation_type == "LABELMAP"
    rows, columns = volume.geometry.shape[1:]
    image = _source_image(header, volume)
    seg = highdicom.seg.Segmentation(
        source_images=[image],
        pixel_array=np.zeros((1, rows, columns), dtype=np.uint8),
        segmentation_type=config.output.segmentation_type,
        segment_descriptions=describe(
            specs, config, context.inference, context.backend, context.model_sha256, identity
        ),
        series_instance_uid=derive_uid("series", identity),
        series_number=series_number_of(header, config),
        sop_instance_uid=derive_uid("instance", identity),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=context.software_version,
        device_serial_number="0",  # software has none, and type 1 allows no empty value; dcmqi writes the same
        content_label="SEGMENTATION",
        content_description=config.content_description or None,
        series_description=_series_description(config, context.inference.profile, volume),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=False,
        specific_character_set=None,
        contributing_equipment=[
            highdicom.ContributingEquipment(
                manufacturer=MANUFACTURER,
                purpose_of_reference=codes.DCM.ProcessingEquipment,
                manufacturer_model_name=config.name,
                software_versions=(config.version, f"{MANUFACTURER} {context.software_version}"),
                contribution_description=(
                    f"Segmentation by the nnU-Net model {config.name}, profile {context.inference.profile}"
                    + (f", of {said}" if (said := _parts(volume)) else "")
                ),
            )
        ],
    )
    seg.update(agreement.inherited.dataset)
    seg.ContentCreatorName = ""
    set_times(seg, agreement.speaker)
    keep = config.output.character_set == "source"
    seg.SpecificCharacterSet = choose_character_set(agreement.speaker, keep, texts_of(seg))
    _settle_dimensions(seg, derive_uid("dimensions", identity), labelmap, volume.geometry)
    return seg


def _settle_dimensions(seg: Dataset, uid: UID, labelmap: bool, geometry: Geometry) -> None:
    seg.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for dimension in seg.DimensionIndexSequence:
        dimension.DimensionOrganizationUID = uid
    shared = seg.SharedFunctionalGroupsSequence[0]
    if not geometry.is_regular:
        # each frame lies where its source does; nothing may tell a reader that frames are evenly spaced
        seg.pop("DimensionOrganizationType", None)
        shared.PixelMeasuresSequence[0].pop("SpacingBetweenSlices", None)
    elif labelmap:
        seg.DimensionOrganizationType = "3D"
    if "SegmentIdentificationSequence" in shared:
        del shared.SegmentIdentificationSequence  # every frame has its own: viewers look there


def _source_image(header: Dataset, volume: Volume) -> Dataset:
    """Build a valid single-frame header of what highdicom takes over from a source; patient and study come later."""
    image = equipment_of(header)
    for keyword in (*REQUIRED, "PositionReferenceIndicator"):
        setattr(image, keyword, "")
    indicator = text(header, "PositionReferenceIndicator")
    image.PositionReferenceIndicator = indicator if len(indicator) <= LONGEST else ""
    image.SOPClassUID = CTImageStorage  # for highdicom's table of modules; the references are written elsewhere
    image.SOPInstanceUID = header.SOPInstanceUID
    image.StudyInstanceUID = header.StudyInstanceUID
    image.SeriesInstanceUID = header.SeriesInstanceUID
    image.FrameOfReferenceUID = volume.frame_of_reference_uid
    image.Modality = header.get("Modality") or "OT"
    image.Rows, image.Columns = volume.geometry.shape[1:]
    spacing, frame = volume.geometry.spacing, volume.frame_numbers[0]
    orientation = frame_numbers(header, frame, "PlaneOrientationSequence", "ImageOrientationPatient", 6)
    pixel_spacing = frame_numbers(header, frame, "PixelMeasuresSequence", "PixelSpacing", 2)
    if orientation is None or pixel_spacing is None:
        raise ValueError("a source image has no orientation or pixel spacing")
    thickness = frame_numbers(header, frame, "PixelMeasuresSequence", "SliceThickness", 1) or spacing[:1]
    image.ImagePositionPatient = decimal_strings(volume.geometry.origin)
    image.ImageOrientationPatient = decimal_strings(orientation)
    image.PixelSpacing = decimal_strings(pixel_spacing)
    image.SliceThickness, image.SpacingBetweenSlices = decimal_strings([thickness[0], spacing[0]])
    return image


def _series_description(config: ModelConfig, profile: Profile, volume: Volume) -> str:
    """Return the Series Description, which names the volumes of a series that holds several.

    Results that are not exactly nnU-Net's own name their profile in it too, and those of an irregular stack say so.
    """
    text = config.output.series_description or config.name
    if parts := _parts(volume):
        text = f"{text}, {parts}"
    notes = [*([] if profile == "exact" else [profile]), *_irregular(volume.geometry)]
    suffix = f" ({', '.join(notes)})" if notes else ""
    return text[: LONGEST - len(suffix)].rstrip() + suffix if len(text) + len(suffix) > LONGEST else text + suffix


def _irregular(geometry: Geometry) -> list[str]:
    stack = geometry.stack
    if stack is None:
        return []
    return [*(["tilt corrected"] if stack.is_shifted else []), *([] if stack.is_even else ["uneven spacing"])]


def _parts(volume: Volume) -> str:
    """Say which volumes of their series feed the channels, in the letters that every character set has."""
    return "; ".join(dict.fromkeys(name for name in volume.volume_names if name)).translate(
        {ord("²"): "2", ord("\\"): "/"}
    )


def series_number_of(header: Dataset, config: ModelConfig) -> int:
    if config.output.series_number is not None:
        return config.output.series_number
    source = integer(header, "SeriesNumber") or 0
    return FIRST_SERIES_NUMBER + source if 0 <= source < 2**31 - FIRST_SERIES_NUMBER else FIRST_SERIES_NUMBER


def _add_binary_pixels(
    seg: Dataset, label_map: LabelMap, numbers: dict[int, int], slices: dict[int, dict[int, Extent]]
) -> list[FrameKey]:
    frames = sum(len(slices[value]) for value in numbers)
    if frames * seg.Rows * seg.Columns / 8 > LARGEST_PIXEL_DATA:
        raise StudyRejected(
            ReasonCode.SEG_TOO_LARGE,
            f"{frames} frames of {seg.Rows} x {seg.Columns} do not fit into one object; "
            "set output.segmentation_type to LABELMAP in model.yaml.",
        )
    keys, seg.PixelData = binary_frames(label_map, numbers, slices)
    return keys


def _add_labelmap_pixels(seg: Dataset, label_map: LabelMap, numbers: dict[int, int]) -> list[FrameKey]:
    dtype: type[np.uint8] | type[np.uint16] = np.uint8 if seg.BitsAllocated == 8 else np.uint16
    encoded = [
        RLELosslessEncoder.encode(
            plane,
            encoding_plugin="pydicom",  # GDCM's encoder aborts the process on odd numbers of columns
            rows=seg.Rows,
            columns=seg.Columns,
            samples_per_pixel=1,
            number_of_frames=1,
            bits_allocated=seg.BitsAllocated,
            bits_stored=seg.BitsStored,
            pixel_representation=0,
            photometric_interpretation="MONOCHROME2",
        )
        for plane in labelmap_planes(label_map, numbers, dtype)
    ]
    seg.file_meta.TransferSyntaxUID = RLELossless
    seg.PixelData = encapsulate(encoded)
    return [FrameKey(index, None) for index in range(len(encoded))]
