"""The JSON text of settings by which results and measurements are known, which a new key at its default leaves alone.

UIDs of results, and the hashes beside golden cases and measurements, are made of ``model.yaml``. A new key of it must
change none of them as long as nobody sets it: the same package gives the same results. So a key that is not in
`FIRST_KEYS` is left out while it holds its default. A key whose default changes what an unset key means needs another
name.
"""

from collections.abc import Mapping, Set
from typing import Any

from pydantic import BaseModel

FIRST_KEYS: Mapping[str, tuple[str, ...]] = {
    "Range": ("min", "max"),
    "SeriesRule": (
        *("modality", "body_part", "description", "exclude_description", "image_type", "exclude_image_type"),
        *("orientation", "slice_thickness", "slice_spacing", "pixel_spacing", "min_slices", "phase", "prefer"),
    ),
    "Channel": ("name", "series"),
    "Code": ("value", "scheme", "meaning"),
    "LabelSpec": ("value", "name", "category", "type", "laterality", "colour"),
    "KeepLargest": ("step", "labels", "together", "components"),
    "RemoveSmall": ("step", "labels", "min_volume_mm3"),
    "FillHoles": ("step", "labels", "max_volume_mm3"),
    "Open": ("step", "labels", "radius_mm"),
    "Smooth": ("step", "labels", "sigma_mm"),
    "ProfileSettings": ("mirroring", "step_size", "bf16", "crop_to_body", "finest_useful_spacing"),
    "Inference": ("profile", "mirroring", "step_size", "folds", "fast"),
    "Output": ("segmentation_type", "series_description", "series_number", "character_set", "when_empty"),
    "ModelConfig": (
        *("schema_version", "name", "version", "description", "orientation", "channels", "on_other_grid", "labels"),
        *("postprocessing", "inference", "output"),
    ),
}
"""The keys of each class of `core.model_config` that are always written, in the order of their first results."""


def settled_json(settings: BaseModel, exclude: Set[str] = frozenset()) -> str:
    """Write settings as JSON without the later keys that hold their defaults.

    Parameters
    ----------
    settings
        ``model.yaml`` or a part of it.
    exclude
        Keys of ``settings`` itself that are left out in any case.
    """
    left_out = {**_later_defaults(settings), **dict.fromkeys(exclude, True)}
    return settings.model_dump_json(by_alias=True, exclude=left_out or None)


def _later_defaults(settings: BaseModel) -> dict[str, Any]:
    """Return the keys to leave out, in pydantic's form: nested as the settings are."""
    kind = type(settings)
    first = FIRST_KEYS.get(kind.__name__, ())
    found: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        value = getattr(settings, name)
        if name not in first and not field.is_required() and value == field.get_default(call_default_factory=True):
            found[name] = True
        elif inner := _inside(value):
            found[name] = inner
    return found


def _inside(value: object) -> dict[Any, Any]:
    if isinstance(value, BaseModel):
        return _later_defaults(value)
    if isinstance(value, tuple | list):
        return {number: inner for number, one in enumerate(value) if (inner := _inside(one))}
    if isinstance(value, Mapping):
        return {key: inner for key, one in value.items() if (inner := _inside(one))}
    return {}
