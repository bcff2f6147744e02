"""Series whose values are not what their form promises: maps, and images that lost their meaning."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from phantom.series import make_series
from phantom.tags import Encoding, SeriesTags, StudyTags, made_uid
from tests.support.series_helpers import phantom

Change = Callable[[Dataset], None]


def ct(description: str = "Abdomen", **attributes: object) -> list[Dataset]:
    """A small CT; attributes are set in every image."""
    series = SeriesTags(description=description, number=3)
    return changed(make_series(phantom(), study=StudyTags(), series=series, encoding=Encoding()), **attributes)


def mr(description: str = "t1 vibe", *, enhanced: bool = False, **attributes: object) -> list[Dataset]:
    """A small MR; attributes are set in every image."""
    made = make_series(
        phantom(modality="MR"),
        study=StudyTags(),
        series=SeriesTags(description=description, number=4),
        encoding=Encoding(enhanced=enhanced),
    )
    return changed(made, **attributes)


def enhanced_ct(description: str = "Abdomen", **attributes: object) -> list[Dataset]:
    """A small enhanced CT; attributes are set in its one object."""
    made = make_series(
        phantom(),
        study=StudyTags(),
        series=SeriesTags(description=description, number=3),
        encoding=Encoding(enhanced=True),
    )
    return changed(made, **attributes)


def changed(series: list[Dataset], **attributes: object) -> list[Dataset]:
    """Set attributes in every image; one that is None is deleted."""
    for dataset in series:
        for keyword, value in attributes.items():
            if value is None:
                if keyword in dataset:
                    delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
    return series


def another(series: list[Dataset], seed: str, number: int, **attributes: object) -> list[Dataset]:
    """The same images as another series of the study, under UIDs of its own."""
    copies = deepcopy(series)
    for index, dataset in enumerate(copies):
        dataset.SeriesInstanceUID, dataset.SeriesNumber = made_uid(f"series {seed}"), number
        dataset.SOPInstanceUID = made_uid(f"image {seed} {index}")
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return changed(copies, **attributes)


def iodine_map_beside_ct() -> tuple[list[Dataset], list[Dataset]]:
    """A mono-energetic CT, and the map of iodine that was computed with it, in mg/ml."""
    conventional = ct("Mono 70 keV")
    iodine = another(conventional, "iodine", 2, SeriesDescription="Iodine no Water")
    for dataset in iodine:
        values = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        dataset.PixelRepresentation = 0
        dataset.PixelData = np.clip(values / 25 * 10, 0, 65535).astype(np.uint16).tobytes()
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "0.1", "MGML"
        dataset.ImageType = ["DERIVED", "PRIMARY", "AXIAL", "MAT_SPECIFIC"]
    return conventional, iodine


def mapping(unit: str, quantity: str = "") -> Sequence:
    """A Real World Value Mapping to a UCUM unit, and to a quantity of scheme DCM or SCT."""
    item = Dataset()
    item.LUTLabel, item.LUTExplanation = "MAP", "made"
    item.RealWorldValueFirstValueMapped, item.RealWorldValueLastValueMapped = 0, 4095
    item["RealWorldValueFirstValueMapped"].VR = item["RealWorldValueLastValueMapped"].VR = "US"
    item.RealWorldValueSlope, item.RealWorldValueIntercept = 0.1, 0.0
    item.MeasurementUnitsCodeSequence = Sequence([code(unit, "UCUM")])
    if quantity:
        definition = Dataset()
        definition.ValueType = "CODE"
        definition.ConceptNameCodeSequence = Sequence([code("246205007", "SCT")])
        definition.ConceptCodeSequence = Sequence([code(quantity, "DCM")])
        item.QuantityDefinitionSequence = Sequence([definition])
    return Sequence([item])


def code(value: str, scheme: str) -> Dataset:
    """A coded concept."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "made"
    return item
