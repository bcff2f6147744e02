"""The traits of a series that selection needs, from headers alone."""

from dataclasses import dataclass

import numpy as np

from core.errors import StudyRejected
from core.model_config import GeometryRule, Plane
from dicom_io.images.grid.frame_unit import image_type_of
from dicom_io.images.grid.geometry import Layout, layout_of
from dicom_io.images.headers.acquired import acquired_at
from dicom_io.images.headers.attributes import integer, items, number, text, texts
from dicom_io.images.headers.instance import Instance
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.phase_reading import says_no_agent
from dicom_io.images.selection.quantity import Quantity, quantity_of
from dicom_io.images.splitting.naming import plane_of


@dataclass(frozen=True, eq=False)
class Traits:
    """One series as the rules see it; a value that its headers do not state is ``None``.

    Attributes
    ----------
    series
        The series.
    layout
        Its grid, or
    refusal
        the reason why it has none.
    modality, body_part
        Of its first image.
    description, protocol, study
        Series Description, Protocol Name and Study Description; the last two are most often those of all series.
    image_type
        Values of Image Type, in capitals.
    quantity
        What its values are.
    number
        Series Number.
    slices
        Number of frames.
    thickness
        Slice Thickness in mm, the median.
    agent
        Whether a contrast agent is named, or denied; ``None`` where neither is.
    acquired
        Start of the first acquisition in seconds on a clock that all series share.
    """

    series: Series
    layout: Layout | None
    refusal: StudyRejected | None
    modality: str
    body_part: str
    description: str
    protocol: str
    study: str
    image_type: tuple[str, ...]
    quantity: Quantity
    number: int | None
    slices: int
    thickness: float | None
    agent: bool | None
    acquired: float | None

    @property
    def has_agent(self) -> bool:
        """True where a contrast agent is named."""
        return self.agent is True

    @property
    def descriptions(self) -> tuple[str, ...]:
        """Series Description and Protocol Name, as far as they are given."""
        return tuple(text for text in (self.description, self.protocol) if text)

    @property
    def shared(self) -> tuple[str, ...]:
        """The texts that series of a study share, as far as they are given."""
        return tuple(text for text in (self.protocol, self.study) if text)

    @property
    def slice_spacing(self) -> float | None:
        """Distance of slices in mm."""
        return None if self.layout is None else self.layout.geometry.spacing[0]

    @property
    def pixel_spacing(self) -> float | None:
        """The coarser of the distances of rows and of columns, in mm."""
        return None if self.layout is None else max(self.layout.geometry.spacing[1:])

    @property
    def plane(self) -> Plane | None:
        """Plane of the slices."""
        if self.layout is None:
            return None
        return plane_of(self.layout.geometry.direction[:, 2])


def traits_of(series: Series, refusal: StudyRejected | None = None, geometry: GeometryRule = "regular") -> Traits:
    """Gather the traits of a series; a refusal that is known already saves finding the grid.

    ``geometry`` is the model's: whether an irregular stack is refused.
    """
    layout = None
    if refusal is None:
        try:
            layout = layout_of(series, geometry)
        except StudyRejected as error:
            refusal = error
    first = series.instances[0].header
    body_part = text(first, "BodyPartExamined")
    thickness = number(first, "SliceThickness")
    if layout is not None and not np.isnan(layout.frames.thicknesses).any():
        thickness = float(np.median(layout.frames.thicknesses))
    return Traits(
        series=series,
        layout=layout,
        refusal=refusal,
        modality=text(first, "Modality"),
        body_part=body_part,
        description=text(first, "SeriesDescription"),
        protocol=text(first, "ProtocolName"),
        study=text(first, "StudyDescription"),
        image_type=_image_type(series),
        quantity=series.once(quantity_of),
        number=integer(first, "SeriesNumber"),
        slices=_slices(series),
        thickness=thickness,
        agent=_agent(series.instances[0]),
        acquired=_acquired(series),
    )


def _image_type(series: Series) -> tuple[str, ...]:
    """Return the values of Image Type; of a volume within a multi-frame image those of its frames."""
    _, header, _, places = next(series.frame_places())
    values = image_type_of(header, places) if series.frames is not None else texts(header, "ImageType")
    return tuple(part.upper() for part in values)


def _slices(series: Series) -> int:
    if series.frames is not None:
        return sum(map(len, series.frames))
    return sum(max(1, integer(i.header, "NumberOfFrames") or 1) for i in series.instances)


def _acquired(series: Series) -> float | None:
    """Return the time of the first acquisition; of a multi-frame image its first frame's counts."""
    times: dict[int, float | None] = {}
    for instance, header, _, places in series.frame_places():
        if id(instance) not in times:
            times[id(instance)] = acquired_at(header, places)
    return min((found for found in times.values() if found is not None), default=None)


def _agent(instance: Instance) -> bool | None:
    name = text(instance.header, "ContrastBolusAgent")
    none_given = says_no_agent(name) if name else None
    if none_given is False or items(instance.header, "ContrastBolusAgentSequence"):
        return True
    return None if none_given is None else False
