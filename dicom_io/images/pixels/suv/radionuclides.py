"""The half-lives of the radionuclides of PET, by the codes of PS3.16 CID 4020."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Radionuclide:
    """A radionuclide.

    Attributes
    ----------
    name
        Element and mass number.
    half_life
        In seconds; ICRP Publication 107.
    code
        Of SNOMED CT, or of DICOM where that has none.
    snomed_rt_code
        The same in SNOMED RT, which most scanners write; empty where there is none.
    """

    name: str
    half_life: float
    code: str
    snomed_rt_code: str

    SCHEMES: ClassVar = ("SCT", "DCM")
    SNOMED_RT_SCHEMES: ClassVar = ("SRT", "SNM3", "99SDM")
    """The designators that PS3.16 section 8.2 names as equal."""


RADIONUCLIDES = (
    Radionuclide("C-11", 1223.4, "40565003", "C-105A1"),
    Radionuclide("N-13", 597.9, "21576001", "C-107A1"),
    Radionuclide("O-14", 70.6, "424875009", "C-1018C"),
    Radionuclide("O-15", 122.2, "129504001", "C-B1038"),
    Radionuclide("F-18", 6586.2, "77004003", "C-111A1"),
    Radionuclide("Na-22", 82107966, "71633006", "C-155A1"),
    Radionuclide("K-38", 458.2, "423764008", "C-135A4"),
    Radionuclide("Sc-43", 14007.6, "126605", ""),
    Radionuclide("Sc-44", 14292, "126600", ""),
    Radionuclide("Ti-45", 11088, "75696008", "C-166A2"),
    Radionuclide("Mn-51", 2772, "126601", ""),
    Radionuclide("Mn-52", 483062.4, "37225000", "C-149A1"),
    Radionuclide("Mn-52m", 1266, "126607", ""),
    Radionuclide("Fe-52", 29790, "69089000", "C-130A1"),
    Radionuclide("Cu-60", 1422, "425364008", "C-127A4"),
    Radionuclide("Cu-61", 11998.8, "71425003", "C-127A1"),
    Radionuclide("Cu-62", 580.4, "422934004", "C-127A5"),
    Radionuclide("Cu-64", 45720, "3932008", "C-127A2"),
    Radionuclide("Zn-62", 33069.6, "65054007", "C-141A1"),
    Radionuclide("Ga-66", 34164, "79477007", "C-131A1"),
    Radionuclide("Ga-68", 4062.6, "35337001", "C-131A3"),
    Radionuclide("Ge-68", 23410080, "53315004", "C-128A2"),
    Radionuclide("As-70", 3156, "126602", ""),
    Radionuclide("As-72", 93600, "2705002", "C-115A2"),
    Radionuclide("Se-73", 25740, "87437000", "C-116A2"),
    Radionuclide("Br-75", 5802, "17910003", "C-113A1"),
    Radionuclide("Br-76", 58320, "79523006", "C-113A2"),
    Radionuclide("Br-77", 205329.6, "86521004", "C-113A3"),
    Radionuclide("Rb-82", 76.4, "79197006", "C-159A2"),
    Radionuclide("Y-86", 53064, "10738001", "C-162A3"),
    Radionuclide("Y-90", 230760, "14691008", "C-162A7"),
    Radionuclide("Zr-89", 282276, "63360001", "C-168A4"),
    Radionuclide("Nb-90", 52560, "126603", ""),
    Radionuclide("Tc-94m", 3120, "424079002", "C-163AA"),
    Radionuclide("I-124", 360806.4, "40937006", "C-114A5"),
    Radionuclide("Tb-152", 63000, "126606", ""),
)


def radionuclide_of(scheme: str, code: str) -> Radionuclide | None:
    """Return the radionuclide of a coded concept, or ``None`` for an unknown one.

    Parameters
    ----------
    scheme, code
        Coding Scheme Designator and Code Value.
    """
    return _BY_CODE.get((scheme, code))


_BY_CODE = {
    (scheme, code): nuclide
    for nuclide in RADIONUCLIDES
    for schemes, code in (
        (Radionuclide.SCHEMES, nuclide.code),
        (Radionuclide.SNOMED_RT_SCHEMES, nuclide.snomed_rt_code),
    )
    if code
    for scheme in schemes
}
