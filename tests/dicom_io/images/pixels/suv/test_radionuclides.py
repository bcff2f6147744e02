"""The table of radionuclides against pydicom's copy of the standard."""

import pytest
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._snomed_dict import mapping
from pydicom.sr.codedict import codes

from dicom_io.images.pixels.suv.radionuclides import RADIONUCLIDES, Radionuclide, radionuclide_of


def test_every_code_of_the_context_group_is_known() -> None:
    group = codes.cid4020
    names = {name for found in cid_concepts[4020].values() for name in found}
    for name in names:
        code = getattr(group, name)
        nuclide = radionuclide_of(code.scheme_designator, code.value)
        assert nuclide is not None
        mass = nuclide.name.partition("-")[2]
        assert code.meaning.startswith(f"^{mass}^")
    assert len(RADIONUCLIDES) == len(names)


@pytest.mark.parametrize("nuclide", [n for n in RADIONUCLIDES if n.snomed_rt_code], ids=lambda n: n.name)
def test_snomed_rt_codes_are_the_same_nuclides(nuclide: Radionuclide) -> None:
    assert mapping["SRT"][nuclide.snomed_rt_code] == nuclide.code
    for scheme in ("SRT", "SNM3", "99SDM"):
        assert radionuclide_of(scheme, nuclide.snomed_rt_code) is nuclide


def test_other_codes_are_unknown() -> None:
    assert radionuclide_of("", "") is None
    assert radionuclide_of("SRT", "") is None
    assert radionuclide_of("DCM", "C-111A1") is None
