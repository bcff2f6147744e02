"""The models that callers can ask for: what each takes and gives, as its package says, and nothing of where it lies."""

from pydantic import BaseModel, Field

from core.errors import ConfigInvalid, PackageInvalid
from core.model_config import Phase, parse_model_config
from segmentation.package.open_decisions import is_undecided
from segmentation.package.package import MODEL_YAML
from services.aliases import Aliases
from services.jobs.requests import PHASE_OF_FIELD, image_fields
from services.tasks import TASKS


class OfferedChannel(BaseModel):
    """One image that a model takes."""

    name: str
    field: str = Field(description="of the request: a field, or images.CHANNEL", examples=["image_path"])
    modality: list[str] = Field(examples=[["CT"]])
    phase: list[Phase] = Field(default=[], description="contrast phases that it may be of; empty: any")


class OfferedLabel(BaseModel):
    """One label of a model's masks."""

    value: int
    name: str


class OfferedModel(BaseModel):
    """One alias and the model behind it."""

    alias: str = Field(examples=["liver"])
    endpoint: str = Field(examples=["/v1/inference/liver"])
    model: str = ""
    version: str = ""
    channels: list[OfferedChannel] = []
    labels: list[OfferedLabel] = []
    usable: bool = Field(description="false: its package is missing, damaged or undecided; the service's log says why")


class OfferedModels(BaseModel):
    """All aliases, by name."""

    models: list[OfferedModel]


def offered_models(aliases: Aliases) -> OfferedModels:
    """List the aliases that are set now.

    Raises
    ------
    ConfigInvalid
        If the file of aliases is damaged.
    """
    return OfferedModels(models=[_offered(aliases, name, one.model) for name, one in sorted(aliases.read().items())])


def _offered(aliases: Aliases, alias: str, model: str) -> OfferedModel:
    endpoint = f"/v1/inference/{alias}"
    try:
        path = aliases.package(alias) / MODEL_YAML
        content = path.read_bytes()
        config = parse_model_config(content, path)
        is_usable = not is_undecided(path.parent, content.decode(), config)
    except (ConfigInvalid, PackageInvalid, OSError):  # their texts name folders
        return OfferedModel(alias=alias, endpoint=endpoint, model=model, usable=False)
    fields = list(image_fields(alias)) if alias in TASKS else [f"images.{c.name}" for c in config.channels]
    if len(fields) != len(config.channels):
        return OfferedModel(alias=alias, endpoint=endpoint, model=model, usable=False)
    if len(fields) == 1 and alias not in TASKS:
        fields = ["image_path"]
    channels = []
    for field, channel in zip(fields, config.channels, strict=True):
        told = PHASE_OF_FIELD.get(field) if alias in TASKS else None
        phases = [told] if told is not None else list(channel.series.phase)
        modality = list(channel.series.modality)
        channels.append(OfferedChannel(name=channel.name, field=field, modality=modality, phase=phases))
    return OfferedModel(
        alias=alias,
        endpoint=endpoint,
        model=config.name,
        version=config.version,
        channels=channels,
        labels=[OfferedLabel(value=label.value, name=label.name) for label in config.labels],
        usable=is_usable,
    )
