"""The description of each segment of a SEG: codes, colour, and the algorithm that made it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.backend import Backend
from core.model_config import Code, Inference, LabelSpec, ModelConfig
from dicom_io.uids import derive_uid

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept


def describe(
    specs: Sequence[LabelSpec],
    config: ModelConfig,
    inference: Inference,
    backend: Backend | None,
    model_sha256: str,
    identity: Sequence[str | int],
) -> list["SegmentDescription"]:
    """Describe each label, numbered from 1 in the order given.

    The tracking UID, by which a measurement report names a segment, follows from the object's identity and the label.
    """
    import highdicom
    from pydicom.sr.codedict import codes

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=config.name,
        family=codes.cid7162.ArtificialIntelligence,
        version=config.version,
        source="nnU-Net v2",
        parameters={"model_sha256": model_sha256, **_how_it_ran(inference, backend)},
    )
    result = []
    for number, spec in enumerate(specs, start=1):
        segment = highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=spec.name,
            segmented_property_category=_concept(spec.category),
            segmented_property_type=_concept(spec.type),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            tracking_id=spec.name,
            tracking_uid=derive_uid("segment", [*identity, spec.value]),
            display_color=highdicom.color.CIELabColor.from_rgb(*spec.colour),
        )
        if spec.laterality is not None:
            type_item = segment.SegmentedPropertyTypeCodeSequence[0]
            type_item.SegmentedPropertyTypeModifierCodeSequence = [_concept(spec.laterality)]
        result.append(segment)
    return result


def _how_it_ran(inference: Inference, backend: Backend | None) -> dict[str, str]:
    """Return the profile, the settings in which it differs from another, and what computed it."""
    settings = inference.active
    parameters = {
        "profile": inference.profile,
        "step_size": f"{settings.step_size:g}",
        "mirroring": str(settings.mirroring).lower(),
    }
    if inference.profile == "fast":
        finest = settings.finest_useful_spacing
        parameters |= {
            "bf16": str(settings.bf16).lower(),
            "crop_to_body": str(settings.crop_to_body).lower(),
            "finest_useful_spacing": "none" if finest is None else f"{finest:g} mm",
        }
    if backend is not None:
        parameters["backend"] = str(backend)
    return parameters


def _concept(code: Code) -> "CodedConcept":
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)
