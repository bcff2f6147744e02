"""Studies whose series differ in their words, contrast agent and times."""

from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from dicom_io.images.headers.instance import Instance
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.phases import PhaseFinding, find_phases
from dicom_io.images.selection.traits import traits_of
from phantom.series import make_series, save_series
from phantom.tags import SeriesTags
from tests.support.series_helpers import phantom


@dataclass(frozen=True)
class Named:
    """The words and times of one series' headers; ``seconds`` after the first one, ``None`` where no time is given."""

    description: str = ""
    protocol: str = ""
    study: str = ""
    agent: str = ""
    seconds: int | None = None
    modality: str = "CT"


def findings_of(*series: Named) -> list[PhaseFinding]:
    """Find the phases of a study's series by their headers, in their order."""
    found = find_phases([traits_of(_series(str(number), named)) for number, named in enumerate(series)])
    return [found[str(number)] for number in range(len(series))]


def phases_of(*series: Named) -> list[str | None]:
    """Find the phases of a study's series, in their order."""
    return [finding.phase for finding in findings_of(*series)]


def _series(uid: str, named: Named) -> Series:
    header = Dataset()
    header.Modality = named.modality
    header.SeriesDescription, header.ProtocolName = named.description, named.protocol
    header.StudyDescription, header.ContrastBolusAgent = named.study, named.agent
    if named.seconds is not None:
        minutes, seconds = divmod(named.seconds, 60)
        header.AcquisitionDate, header.AcquisitionTime = "20260102", f"10{minutes:02}{seconds:02}"
    return Series(uid, (Instance(Path(), header, None),))


def write_protocol_with_and_without(folder: Path) -> dict[str, str]:
    """Write series 2 to 4 of one study, whose shared protocol says *W/WO*; gives their UIDs by description."""
    uids: dict[str, str] = {}
    rows = (("WITHOUT", "", "100000"), ("ARTERIAL", "IOHEXOL", "101000"), ("PORTAL VENOUS", "IOHEXOL", "101035"))
    for number, (description, agent, time) in enumerate(rows, start=2):
        tags = SeriesTags(number=number, description=description, contrast_agent=agent, acquisition_time=time)
        images = make_series(phantom(), series=tags)
        for image in images:
            image.ProtocolName = "LIVER W/WO CONTRAST"
        save_series(images, folder / str(number))
        uids[description] = images[0].SeriesInstanceUID
    return uids
