"""The result of a job."""

from pydantic import Field

from core.frozen import Frozen
from services.masks.mask_paths import MaskPlace, MaskRecord


class MaskResult(Frozen):
    """One mask, named as its caller sees the volume."""

    mask_path: str = Field(examples=["/mnt/cases/0001/mask/total_A.nii.gz"])
    seg_path: str = Field(default="", description="empty where none was asked for")
    volumes_ml: dict[str, float] = Field(default={}, description="by label", examples=[{"kidney": 151.3}])
    model: str = Field(default="", description="empty for work on a mask alone")
    model_sha256: str = ""
    existing: bool = Field(default=False, description="it was there, made of the very same")
    timings_s: dict[str, float] = Field(default={}, description="by stage")
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, place: MaskPlace, record: MaskRecord, *, existing: bool = False, timings_s: dict[str, float] | None = None
    ) -> "MaskResult":
        """Build the result of a mask and its record."""
        return cls(
            mask_path=place.source.name_of(place.path),
            seg_path=place.source.name_of(place.seg_path) if record.seg_sha256 else "",
            volumes_ml=record.volumes_ml,
            model=record.model,
            model_sha256=record.model_sha256,
            existing=existing,
            timings_s={} if timings_s is None else {stage: round(value, 3) for stage, value in timings_s.items()},
            warnings=record.warnings,
        )
