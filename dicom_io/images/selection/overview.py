"""An overview of a study from headers alone: its series, their volumes, geometry, unit and phase."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import StudyRejected
from core.units import PT_UNITS
from dicom_io.images.grid.geometry import Layout, layout_of
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.candidates import Candidates
from dicom_io.images.selection.phases import PhaseFinding, find_phases
from dicom_io.images.selection.selection import Selection
from dicom_io.images.selection.traits import Traits
from dicom_io.images.splitting.naming import plane_of
from dicom_io.images.study import Study

_NOTHING_REFUSED: Mapping[str, StudyRejected] = {}


@dataclass(frozen=True, eq=False)
class VolumeOverview:
    """One volume of a series, or a series that is one.

    Attributes
    ----------
    traits
        As the rules of models see it.
    layout
        Its geometry, regular or not; ``None`` where it is no volume.
    refusal
        The reason for which it is no volume, or no volume that every model takes; ``None`` for a regular grid.
    """

    traits: Traits
    layout: Layout | None
    refusal: StudyRejected | None

    @property
    def unit(self) -> str:
        """Unit of its values; that of PET is found where its images are read."""
        return f"to {' or '.join(PT_UNITS)}" if self.traits.modality == "PT" else self.traits.quantity.shown_unit

    def to_json(self) -> dict[str, Any]:
        """Return what ``segnode series --json`` says of it."""
        part, layout = self.traits.series.part, self.layout
        return {
            "volume": part.words if part is not None else None,
            "volume_rule": _plain(part.named) if part is not None else None,
            "slices": self.traits.slices,
            "geometry": None if layout is None else _geometry(layout),
            "unit": self.unit,
            "map": self.traits.quantity.sign or None,
            "refusal": _refusal(self.refusal),
            "warnings": [] if layout is None else [str(one.code) for one in layout.warnings],
        }


@dataclass(frozen=True, eq=False)
class SeriesOverview:
    """One series.

    Attributes
    ----------
    series
        As read.
    volumes
        Its volumes, whole or not.
    phase
        Its contrast phase.
    """

    series: Series
    volumes: tuple[VolumeOverview, ...]
    phase: PhaseFinding

    def to_json(self) -> dict[str, Any]:
        """Return what ``segnode series --json`` says of it."""
        traits = self.volumes[0].traits
        return {
            "series": self.series.uid,
            "number": traits.number,
            "modality": traits.modality,
            "images": len(self.series.instances),
            "phase": self.phase.phase,
            "phase_why": self.phase.why,
            "strays": [{"image": one.name, "why": one.why} for one in traits.series.strays],
            "volumes": [volume.to_json() for volume in self.volumes],
        }


def overview_of(study: Study) -> list[SeriesOverview]:
    """Look at every series of a study, in order of their numbers."""
    candidates = [Candidates(series, _NOTHING_REFUSED, None, alone=True) for series in study.series]
    phases = find_phases([one.as_series for one in candidates])
    found = [
        SeriesOverview(series, tuple(map(_volume, one.volumes)), phases[series.uid])
        for series, one in zip(study.series, candidates, strict=True)
    ]
    return sorted(found, key=lambda one: (one.volumes[0].traits.number or 0, one.series.uid))


def study_json(study: Study, overview: Sequence[SeriesOverview], selection: Selection | None, model: str) -> Any:
    """Return what ``segnode series --json`` says of a study, and of what a model would take of it."""
    found: dict[str, Any] = {
        "study": study.uid,
        "series": [one.to_json() for one in overview],
        "set_aside": [{"series": a.series_uid, "reason": a.reason, "files": a.count} for a in study.set_aside],
    }
    if selection is None:
        return found
    decisions = [
        {
            "series": one.series_uid,
            "volume": one.part.words if one.part is not None else None,
            "decision": one.decision,
            "channel": one.channel,
            "reason": one.reason,
        }
        for one in selection.decisions
    ]
    return found | {"model": {"name": model, "refusal": _refusal(selection.rejection), "decisions": decisions}}


def _volume(traits: Traits) -> VolumeOverview:
    try:
        return VolumeOverview(traits, layout_of(traits.series, "any"), traits.refusal)
    except StudyRejected as error:
        return VolumeOverview(traits, None, error)


def _geometry(layout: Layout) -> dict[str, Any]:
    grid = layout.geometry
    return {
        "slices": grid.shape[0],
        "rows": grid.shape[1],
        "columns": grid.shape[2],
        "spacing_mm": [round(one, 4) for one in grid.spacing],
        "plane": plane_of(grid.direction[:, 2]),
        "is_regular": layout.irregularity is None,
    }


def _refusal(refusal: StudyRejected | None) -> dict[str, str] | None:
    return None if refusal is None else {"code": str(refusal.code), "message": refusal.message}


def _plain(named: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in named.items()}
