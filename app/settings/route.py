"""A route's settings in ``node.yaml``: the studies it takes, when they are complete, what runs, who gets results."""

from typing import Literal

from pydantic import Field

from core.frozen import Frozen
from core.model_config import ModelName
from core.yaml_text import Pattern
from dicom_io.images.headers.image_count import CountKeyword
from runtime.setting_types import AETitle, Name

NoticeKind = Literal["refused", "nothing_found", "failed"]


class Rules(Frozen):
    """Conditions on a route's studies; each one given must hold, and one series must fit all that are about series.

    Patterns are regular expressions, searched, ignoring case.
    """

    modality: tuple[str, ...] = ()
    body_part: tuple[Pattern, ...] = Field(default=(), description="any of; a series without one fits")
    study_description: tuple[Pattern, ...] = ()
    series_description: tuple[Pattern, ...] = ()
    requested_priority: tuple[str, ...] = Field(
        default=(), description="any of; RequestedProcedurePriority: STAT, HIGH, ROUTINE, MEDIUM, LOW"
    )


class CompleteWhen(Frozen):
    """Conditions, beside silence, that tell when a study has all its images."""

    images_in: CountKeyword | None = Field(
        default=None, description="attribute of the images that says how many there are: complete at once with them"
    )
    counted_by: Name | None = Field(
        default=None,
        description="a dicom destination that is asked by C-FIND; what it has and the node has not is awaited",
    )
    series: Literal["all", "received"] = Field(
        default="all", description="which series of the archive are awaited: all, or those of which an image has come"
    )


class Route(Frozen):
    """The handling of studies that are sent to one called AE title."""

    called_ae: AETitle
    rules: Rules = Rules()
    quiet_seconds: float | None = Field(default=None, gt=0, description="left out: the node's")
    complete_when: CompleteWhen = CompleteWhen()
    longest_wait_seconds: float = Field(
        default=3600.0, gt=0, description="from a revision's first image; then it is run with what is there"
    )
    priority: Literal["routine", "stat"] = Field(
        default="routine", description="stat: overtakes every study that is not at work yet, and every delivery"
    )
    models: tuple[ModelName, ...] = Field(min_length=1)
    destinations: tuple[Name, ...] = Field(min_length=1)
    notices: frozenset[NoticeKind] = Field(
        default=frozenset(), description="of which ends the destinations get a picture that says so"
    )
