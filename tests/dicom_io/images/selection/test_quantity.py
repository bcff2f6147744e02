"""The values that feed a channel: a table of kinds, each as a site's headers tell it, and the rules that name a map."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from core.errors import ReasonCode, StudyRejected
from core.model_config import Channel, ModelConfig, SeriesRule
from core.study_warning import WarningCode
from dicom_io.images.selection.selection import Selection, select_series
from phantom.series import save_series
from tests.support.series_helpers import config, one_study, run
from tests.support.value_cases import another, changed, code, ct, enhanced_ct, iodine_map_beside_ct, mapping, mr

DERIVED = ["DERIVED", "PRIMARY", "AXIAL"]


def model(modality: str = "CT", unit: str | None = None, **rule: object) -> ModelConfig:
    channel = Channel(name="image", unit=unit, series=SeriesRule(modality=(modality,), **rule))  # type: ignore[arg-type]
    return config().model_copy(update={"channels": (channel,)})


def selection_of(folder: Path, series: list[Dataset], wanted: ModelConfig) -> Selection:
    save_series(series, folder)
    return select_series(one_study(folder), wanted)


def taken(selection: Selection) -> list[str]:
    return [series.uid for series in selection.channels]


def why_left(selection: Selection) -> str:
    (decision,) = selection.decisions
    assert decision.decision == "left"
    return decision.reason


def in_frame_type(series: list[Dataset], **attributes: object) -> list[Dataset]:
    """Set attributes in the frame type of enhanced images."""
    for dataset in series:
        shared = dataset.SharedFunctionalGroupsSequence[0]
        name = "CTImageFrameTypeSequence" if "CTImageFrameTypeSequence" in shared else "MRImageFrameTypeSequence"
        changed([shared[name][0]], **attributes)
    return series


def in_transformation(series: list[Dataset], **attributes: object) -> list[Dataset]:
    """Set attributes in the rescaling of enhanced images."""
    for dataset in series:
        changed(
            [dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]],
            **attributes,
        )
    return series


def in_frames(series: list[Dataset], sequence: str, first: dict[str, object], rest: dict[str, object]) -> list[Dataset]:
    """Give each frame of enhanced images a frame type of its own: the first one, and all others."""
    for dataset in series:
        del dataset.SharedFunctionalGroupsSequence[0][sequence]
        for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            (item,) = changed([Dataset()], **(rest if number else first))
            setattr(frame, sequence, Sequence([item]))
    return series


def other_scheme() -> Sequence:
    """A mapping to a quantity whose code is that of attenuation in a scheme of somebody else."""
    made = mapping("1", quantity="112031")
    made[0].QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodingSchemeDesignator = "99MADE"
    return made


def derivation(value: str, scheme: str = "DCM") -> Sequence:
    return Sequence([code(value, scheme)])


def in_rest(series: list[Dataset], **attributes: object) -> list[Dataset]:
    """Set attributes in all images but the first."""
    changed(series[1:], **attributes)
    return series


SECONDARY = ["DERIVED", "SECONDARY", "AXIAL"]
CT_MAPS_BY_WORDS = (
    *("Blood Flow", "Cerebral Blood Volume", "Mean Transit Time", "Time to Peak", "Time to drain", "Blutvolumen"),
    *("Lung PBV", "LiverIodineMap", "Iodkarte Abdomen", "Carte d'iode", "Abdomen virtuell nativ", "GSI VUE"),
    *("HAP(Water)", "Water(HAP)", "Fat(Blood) GSI", "Iodine(Water)", "CaSupp 50", "Bone Marrow DE", "VNCa"),
    *("Maximum Intensity Projection", "Maximumintensitätsprojektion", "Thorax MIP10", "corMIP 8/2", "CORMIP"),
    *("AC mu map", "Thorax map", "Perfusionskarte", "CTA minus native", "Fusion PET/CT", "Screen Save"),
)
MR_MAPS_BY_WORDS = (
    *("FatFrac: IDEAL IQ", "R2*: IDEAL IQ", "LiverLab_R2*", "Average DC", "Fractional Ansio.", "SWAN phase"),
    *("ep2d_diffADC", "t1_vibe_SUB", "ep2d_diff_FA", "Pha_Images", "T2* map"),
    *("B1map", "Fieldmap phase", "QSM", "Stiffness (kPa)", "MRE wave", "Elastogram"),
)


@pytest.mark.parametrize("words", CT_MAPS_BY_WORDS)
def test_words_of_a_ct_map_count_where_the_image_is_derived(words: str, tmp_path: Path) -> None:
    assert "words of its description" in why_left(selection_of(tmp_path, ct(words, ImageType=SECONDARY), model()))


@pytest.mark.parametrize("words", MR_MAPS_BY_WORDS)
def test_words_of_an_mr_map_count_where_the_image_is_derived(words: str, tmp_path: Path) -> None:
    series = mr(words, ImageType=["DERIVED", "SECONDARY", "OTHER"])
    assert "words of its description" in why_left(selection_of(tmp_path, series, model("MR")))


@pytest.mark.parametrize(
    "words",
    [
        "GSI Iodine(Water)",
        "Iodine Removed",
        "Iodine no Water",
        "VNC 1.0",
        "Z Effective",
        "Water(Calcium)",
        "Iodkarte",
        "Virtual unenhanced",
        "TC virtuale senza mdc",
        "ヨードマップ",
        "K-edge Gadolinium 1mm",
        "DE Fat Map Liver",
        "Carte de graisse",
        "Kalziumkarte",
        "Xenon ventilation",
        "Iron quantification",
    ],
)
def test_a_material_is_believed_of_an_original_image_too(words: str, tmp_path: Path) -> None:
    original = ct(words, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    assert "a map (the words of its description)" in why_left(selection_of(tmp_path / "original", original, model()))
    one_energy = ct(words, ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "VMI"])
    selection = selection_of(tmp_path / "one", one_energy, model())
    assert {warning.code for warning in selection.warnings} == {WarningCode.MAP_SUSPECTED, WarningCode.MONO_ENERGETIC}


ORDINARY_WORDS = (
    ("Abdomen + iodine", ()),
    ("Abd. Iodine 370 80ml", ()),
    ("MAP protocol trauma", ()),
    ("Lumbar fusion follow-up", ()),
    ("Spine fusion CT", ()),
    ("Calcium score", ()),
    ("Bone density", ()),
    ("Water phantom", ()),
    ("Thorax sub-mm", ()),
    ("Thorax MPR subacute", ()),
    ("CTA Lung Perfusion 1.0", (WarningCode.MAP_SUSPECTED,)),
    ("Abdomen SUB", (WarningCode.MAP_SUSPECTED,)),
    ("Vue axiale", ()),
    ("ヨード造影剤", ()),
    ("Virtual sinus endoscopy", ()),
)


@pytest.mark.parametrize(("words", "warned"), ORDINARY_WORDS)
def test_words_that_ordinary_images_have_too_refuse_no_derived_one(
    words: str, warned: tuple[WarningCode, ...], tmp_path: Path
) -> None:
    selection = selection_of(tmp_path, ct(words, ImageType=["DERIVED", "SECONDARY", "MPR"]), model())
    assert tuple(warning.code for warning in selection.warnings) == warned
    assert len(selection.channels) == 1


MIXED: dict[str, tuple[str, Callable[[], list[Dataset]]]] = {
    "phase in later frames": (
        "MR",
        lambda: in_frames(
            mr(enhanced=True),
            "MRImageFrameTypeSequence",
            {"FrameType": ["ORIGINAL", "PRIMARY", "FLOW_ENCODED", "NONE"], "ComplexImageComponent": "MAGNITUDE"},
            {"FrameType": ["ORIGINAL", "PRIMARY", "FLOW_ENCODED", "NONE"], "ComplexImageComponent": "PHASE"},
        ),
    ),
    "a material in later frames": (
        "CT",
        lambda: in_frames(
            enhanced_ct(),
            "CTImageFrameTypeSequence",
            {"FrameType": ["DERIVED", "PRIMARY", "VOLUME", "ENERGY_PROP_WT"]},
            {"FrameType": ["DERIVED", "PRIMARY", "VOLUME", "MAT_SPECIFIC"]},
        ),
    ),
    "a projection in later images": ("CT", lambda: in_rest(ct(), VolumeBasedCalculationTechnique="MAX_IP")),
    "a subtraction in later images": (
        "MR",
        lambda: in_rest(mr(), DerivationCodeSequence=Sequence([code("113062", "DCM")])),
    ),
    "ADC in later images": ("MR", lambda: in_rest(mr(), ImageType=[*mr()[0].ImageType[:3], "ADC"])),
}


@pytest.mark.parametrize("name", MIXED)
def test_a_series_of_several_kinds_is_left_whatever_names_it(name: str, tmp_path: Path) -> None:
    modality, make = MIXED[name]
    changed(series := make(), SeriesDescription="ADC MIP")
    for rule in ({}, {"description": ("adc|mip",)}):
        left = selection_of(tmp_path / str(len(rule)), series, model(modality, **rule))  # type: ignore[arg-type]
        assert left.channels == ()
        assert "a series of several kinds of image, among them" in left.decisions[0].reason


LEFT: dict[str, tuple[Callable[[], list[Dataset]], str]] = {
    "iodine in mg/ml": (lambda: ct(RescaleType="MGML"), "unit is MGML, not HU"),
    "effective Z": (lambda: ct(RescaleType="Z_EFF"), "unit is Z_EFF, not HU"),
    "electron density": (lambda: ct(RescaleType="ED"), "unit is ED, not HU"),
    "electron density to water": (lambda: ct(RescaleType="EDW"), "unit is EDW, not HU"),
    "percent": (lambda: ct(RescaleType="PCT"), "unit is PCT, not HU"),
    "virtual non-contrast": (lambda: ct(RescaleType="HU_MOD"), "unit is HU_MOD, not HU"),
    "unit in a vendor's words": (lambda: ct(RescaleType="mg Iodine per ml"), "a unit in the device's own words"),
    "map of HU, mapped to mg/ml": (lambda: ct(RealWorldValueMappingSequence=mapping("mg/mL")), "unit is mg/mL, not HU"),
    "map of US, mapped to ml/100ml/min": (
        lambda: ct(RescaleType="US", RealWorldValueMappingSequence=mapping("ml/(100.ml.min)")),
        "unit is ml/(100.ml.min), not HU",
    ),
    "mapped quantity without unit": (
        lambda: ct(RealWorldValueMappingSequence=mapping("1", quantity="113055")),
        "not HU",
    ),
    "effective Z by type, as HU": (lambda: ct(ImageType=[*DERIVED, "EFF_ATOMIC_NUM"]), "unit is Z_EFF, not HU"),
    "electron density by type": (lambda: ct(ImageType=[*DERIVED, "ELECTRON_DENSITY"]), "unit is ED, not HU"),
    "virtual non-contrast by type": (
        lambda: ct(ImageType=[*DERIVED, "MAT_REMOVED"], MultienergyCTAcquisition="YES"),
        "unit is HU_MOD, not HU",
    ),
    "material modified": (lambda: ct(ImageType=[*DERIVED, "MAT_MODIFIED"]), "unit is HU_MOD, not HU"),
    "material as HU": (lambda: ct(ImageType=[*DERIVED, "MAT_SPECIFIC"]), "a map of a material (Image Type)"),
    "material fraction": (lambda: ct(ImageType=[*DERIVED, "MAT_FRACTIONAL"]), "a map of a material (Image Type)"),
    "value-based map": (lambda: ct(ImageType=[*DERIVED, "MAT_VALUE_BASED"]), "a map of a material (Image Type)"),
    "older iodine map of HU": (lambda: ct("Iodine no Water", ImageType=DERIVED), "words of its description"),
    "older VNC of US": (lambda: ct("VNC 120 kV", ImageType=DERIVED, RescaleType="US"), "words of its description"),
    "perfusion by type": (lambda: ct(ImageType=[*DERIVED, "PERFUSION"], RescaleType="US"), "a map of perfusion"),
    "blood flow by type": (lambda: ct(ImageType=[*DERIVED, "CBF"], RescaleType="US"), "a map (Image Type)"),
    "blood volume by its words": (lambda: ct("Head CBV", ImageType=DERIVED), "words of its description"),
    "unit of the PET module": (lambda: ct(Units="BQML"), "unit is BQML, not HU"),
    "unit of the PET module, enhanced": (lambda: enhanced_ct(Units="MGML"), "unit is MGML, not HU"),
    "map by the end of a vendor's word": (lambda: ct(ImageType=[*DERIVED, "DE_FATMAP"]), "a map (Image Type)"),
    "screen": (lambda: ct(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), "a picture of a screen (Image Type)"),
    "MIP by value 3": (lambda: ct(ImageType=["DERIVED", "SECONDARY", "MIP"]), "a projection (Image Type)"),
    "MIP of a vendor": (lambda: ct(ImageType=[*DERIVED, "CT_SOM7 SPI MIP"]), "a projection (Image Type)"),
    "MinIP": (lambda: ct(ImageType=["DERIVED", "SECONDARY", "AXIAL", "MINIP"]), "a projection (Image Type)"),
    "MIP by its words": (lambda: ct("Thorax MIP 10 mm", ImageType=DERIVED), "words of its description"),
    "MIP by derivation": (
        lambda: ct(ImageType=DERIVED, DerivationCodeSequence=Sequence([code("113078", "DCM")])),
        "a projection (Derivation Code)",
    ),
    "subtraction by type": (lambda: ct(ImageType=[*DERIVED, "SUBTRACTION"]), "a subtraction (Image Type)"),
    "subtraction by derivation": (
        lambda: ct(ImageType=DERIVED, DerivationCodeSequence=Sequence([code("113062", "DCM")])),
        "a subtraction (Derivation Code)",
    ),
    "map by the words of its derivation": (
        lambda: ct(ImageType=DERIVED, DerivationDescription="Iodine map of two energies"),
        "words of its description",
    ),
    "curved reformat": (lambda: ct(VolumeBasedCalculationTechnique="CURVED_MPR"), "a curved reformat"),
    "MAX IP": (lambda: ct(ImageType=["DERIVED", "SECONDARY", "REFORMATTED", "MAX IP"]), "a projection (Image Type)"),
    "MIN IP": (lambda: ct(ImageType=["DERIVED", "SECONDARY", "REFORMATTED", "MIN IP"]), "a projection (Image Type)"),
    "REFORMATTED MAX": (lambda: ct(ImageType=["DERIVED", "SECONDARY", "REFORMATTED", "MAX"]), "a projection"),
    "mapped MR signal in a CT": (lambda: ct(RealWorldValueMappingSequence=mapping("1", "110852")), "not HU"),
    "mapped effective Z as annotation": (lambda: ct(RealWorldValueMappingSequence=mapping("{Zeff}")), "unit is {Zeff}"),
    "attenuation of another scheme": (lambda: ct(RealWorldValueMappingSequence=other_scheme()), "not HU"),
    "enhanced iodine map": (lambda: in_transformation(enhanced_ct(), RescaleType="MGML"), "unit is MGML, not HU"),
    "enhanced VNC": (
        lambda: in_frame_type(enhanced_ct(), FrameType=["DERIVED", "PRIMARY", "VOLUME", "MAT_REMOVED"]),
        "unit is HU_MOD, not HU",
    ),
    "enhanced mapping": (
        lambda: [
            changed([dataset.SharedFunctionalGroupsSequence[0]], RealWorldValueMappingSequence=mapping("mg/mL"))
            and dataset
            for dataset in enhanced_ct()
        ],
        "unit is mg/mL, not HU",
    ),
    "enhanced MIP": (
        lambda: in_frame_type(enhanced_ct(), VolumeBasedCalculationTechnique="MAX_IP"),
        "a projection (Volume Based Calculation Technique)",
    ),
    "enhanced subtraction": (
        lambda: in_frame_type(enhanced_ct(), FrameType=["DERIVED", "PRIMARY", "VOLUME", "SUBTRACTION"]),
        "a subtraction (Image Type)",
    ),
    "enhanced distorted": (
        lambda: in_frame_type(enhanced_ct(), VolumetricProperties="DISTORTED"),
        "a distorted volume",
    ),
}


@pytest.mark.parametrize("name", LEFT)
def test_a_map_in_the_form_of_a_ct_is_left(name: str, tmp_path: Path) -> None:
    make, why = LEFT[name]
    selection = selection_of(tmp_path, make(), model())
    assert why.lower() in why_left(selection).lower()
    assert selection.rejection is not None
    assert selection.rejection.code is ReasonCode.NO_MATCHING_SERIES
    assert why in selection.rejection.detail


LEFT_MR: dict[str, tuple[Callable[[], list[Dataset]], str]] = {
    "ADC": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]), "a map (Image Type)"),
    "FA": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "FA"]), "a map (Image Type)"),
    "ADC of a vendor": (lambda: mr("ADC (10^-6 mm/s)", ImageType=["DERIVED", "SECONDARY"]), "words of its description"),
    "diffusion map": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "DIFFUSION MAP"]), "a map (Image Type)"),
    "T1 map": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "T1 MAP"]), "a map (Image Type)"),
    "T2 map": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "T2 MAP", "T2 MAP"]), "a map (Image Type)"),
    "T2* map": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "M", "T2_STAR MAP"]), "a map (Image Type)"),
    "T1 map by its unit": (lambda: mr(RescaleSlope="1", RescaleIntercept="0", RescaleType="ms"), "a map, by its"),
    "ADC by its mapping": (lambda: mr(RealWorldValueMappingSequence=mapping("um2/s")), "a map, by its"),
    "mapped quantity": (lambda: mr(RealWorldValueMappingSequence=mapping("1", quantity="113041")), "a map, by its"),
    "mapped ratio": (lambda: mr(RealWorldValueMappingSequence=mapping("%")), "a map, by its"),
    "phase": (lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "P", "ND"]), "a phase image (Image Type)"),
    "phase map": (lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]), "a phase image"),
    "velocity": (lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "VELOCITY MAP", "P", "PCA"]), "a phase image"),
    "subtraction": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "M", "SUB"]), "a subtraction (Image Type)"),
    "modulus subtraction": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "MODULUS SUBTRACT"]), "a subtraction"),
    "subtraction by its words": (lambda: mr("t1_vibe_SUB", ImageType=["DERIVED", "SECONDARY"]), "words of its"),
    "mosaic": (lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]), "a mosaic of slices"),
    "projection": (lambda: mr(ImageType=["DERIVED", "SECONDARY", "PROJECTION IMAGE"]), "a projection"),
    "R2*": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "DIXON", "R2_STAR"]), "a map (Image Type)"),
    "fat fraction": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "DIXON", "FAT_FRACTION"]), "a map (Image Type)"),
    "fat fraction with a blank": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "FAT FRACTION"]), "a map (Image Type)"),
    "classic T2*": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "T2_STAR"]), "a map of T2_STAR (Image Type)"),
    "classic T1": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "T1", "T1"]), "a map of T1 (Image Type)"),
    "imaginary part": (lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "I_FFE", "I", "FFE"]), "the imaginary part"),
    "real part": (lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "R_IR", "R", "IR"]), "the real or"),
    "phase after a word": (lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "OTHER", "P"]), "a phase image"),
    "velocity by derivation": (lambda: mr(DerivationCodeSequence=derivation("113070")), "a map (Derivation Code)"),
    "proton density by derivation": (
        lambda: mr(DerivationCodeSequence=derivation("113058")),
        "a map (Derivation Code)",
    ),
    "phase by its unit": (
        lambda: mr(RescaleSlope="2", RescaleIntercept="0", RescaleType="milliradials"),
        "a map, by its",
    ),
    "velocity by its unit": (lambda: mr(RescaleSlope="2", RescaleIntercept="0", RescaleType="cm/sec"), "a map, by its"),
    "relative blood flow": (lambda: mr(ImageType=["DERIVED", "PRIMARY", "PERFUSION", "RELCBF"]), "a map (Image Type)"),
    "enhanced phase": (
        lambda: in_frame_type(mr(enhanced=True), ComplexImageComponent="PHASE"),
        "a phase image (Complex Image Component)",
    ),
    "enhanced real part": (
        lambda: in_frame_type(mr(enhanced=True), ComplexImageComponent="REAL"),
        "the real or the imaginary part of an image (Complex Image Component)",
    ),
    "enhanced ADC": (
        lambda: in_frame_type(mr(enhanced=True), FrameType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]),
        "a map (Image Type)",
    ),
    "enhanced T1 map": (
        lambda: in_frame_type(mr(enhanced=True), FrameType=["DERIVED", "PRIMARY", "T1", "T1"]),
        "a map of T1",
    ),
    "enhanced subtraction": (
        lambda: in_frame_type(mr(enhanced=True), FrameType=["DERIVED", "PRIMARY", "VOLUME", "SUBTRACTION"]),
        "a subtraction",
    ),
}


@pytest.mark.parametrize("name", LEFT_MR)
def test_a_map_in_the_form_of_an_mr_is_left(name: str, tmp_path: Path) -> None:
    make, why = LEFT_MR[name]
    assert why in why_left(selection_of(tmp_path, make(), model("MR")))


TAKEN: dict[str, tuple[str, Callable[[], list[Dataset]]]] = {
    "no rescale type": ("CT", lambda: ct(RescaleType=None)),
    "HU": ("CT", lambda: ct(RescaleType="HU")),
    "unspecified": ("CT", lambda: ct(RescaleType="US")),
    "HU in a device's words": ("CT", lambda: ct(RescaleType="CT Number (HU)")),
    "HU in brackets": ("CT", lambda: ct(RescaleType="[hu]")),
    "mapped to HU": ("CT", lambda: ct(RealWorldValueMappingSequence=mapping("[hnsf'U]"))),
    "mapped to 1": ("CT", lambda: ct(RealWorldValueMappingSequence=mapping("1"))),
    "mapped to no units": ("CT", lambda: ct(RealWorldValueMappingSequence=mapping("{no units}"))),
    "mapped attenuation": ("CT", lambda: ct(RealWorldValueMappingSequence=mapping("1", quantity="112031"))),
    "derived and processed": ("CT", lambda: ct(ImageType=["DERIVED", "SECONDARY", "PROCESSED"])),
    "reformat": ("CT", lambda: ct(ImageType=["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"])),
    "reformat by derivation": (
        "CT",
        lambda: ct(ImageType=DERIVED, DerivationCodeSequence=Sequence([code("113072", "DCM")])),
    ),
    "two energies as one image": (
        "CT",
        lambda: ct(ImageType=[*DERIVED, "ENERGY_PROP_WT"], MultienergyCTAcquisition="YES"),
    ),
    "two energies of a vendor": ("CT", lambda: ct("Abd DE_120 M_0.6", ImageType=[*DERIVED, "CT_SOM7 SPI DUAL"])),
    "dynamic CT": ("CT", lambda: ct("Perfusion 4D", ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "PERFUSION"])),
    "mapped to arbitrary units": ("CT", lambda: ct(RealWorldValueMappingSequence=mapping("[arb'U]"))),
    "mapped to counts": ("CT", lambda: ct(RealWorldValueMappingSequence=mapping("{counts}"))),
    "derivation of another scheme": (
        "CT",
        lambda: ct(ImageType=DERIVED, DerivationCodeSequence=derivation("113078", "99MADE")),
    ),
    "contrast of iodine": ("CT", lambda: ct("with iodine contrast", ImageType=DERIVED)),
    "enhanced": ("CT", enhanced_ct),
    "mapped to 1 in MR": ("MR", lambda: mr(RealWorldValueMappingSequence=mapping("1"))),
    "mapped signal": ("MR", lambda: mr(RealWorldValueMappingSequence=mapping("1", quantity="110852"))),
    **{
        f"mapped to {unit}": ("MR", lambda unit=unit: mr(RealWorldValueMappingSequence=mapping(unit)))
        for unit in ("[arb'U]", "{counts}", "{arbitrary}", "{intensity}")
    },
    "corrected for motion": ("MR", lambda: mr("perf_moco", ImageType=["DERIVED", "PRIMARY", "PERFUSION", "MOCO"])),
    "magnitude before a vendor's P": ("MR", lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "M", "P"])),
    "magnitude of a vendor": ("MR", lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "M_FFE", "M", "P"])),
    "subacute": ("MR", lambda: mr("t1 sub-acute", ImageType=["DERIVED", "SECONDARY", "MPR"])),
    "MR": ("MR", mr),
    "magnitude": ("MR", lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"])),
    "diffusion": ("MR", lambda: mr("ep2d_diff", ImageType=["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "TRACEW"])),
    "in phase": ("MR", lambda: mr(ImageType=["DERIVED", "PRIMARY", "DIXON", "IN_PHASE"])),
    "opposed phase": ("MR", lambda: mr("t1 opp phase", ImageType=["ORIGINAL", "PRIMARY", "OPP_PHASE"])),
    "flip angle in the words": ("MR", lambda: mr("vibe FA 15", ImageType=["DERIVED", "SECONDARY"])),
    "vendor's own scale": ("MR", lambda: mr(RescaleSlope="2", RescaleIntercept="0", RescaleType="normalized")),
    "enhanced MR": ("MR", lambda: mr(enhanced=True)),
}


@pytest.mark.parametrize("name", TAKEN)
def test_an_ordinary_image_is_taken_without_a_sign(name: str, tmp_path: Path) -> None:
    modality, make = TAKEN[name]
    selection = selection_of(tmp_path, make(), model(modality))
    assert len(selection.channels) == 1, selection.decisions
    assert selection.warnings == ()


def adc() -> list[Dataset]:
    return mr("ep2d_diff_ADC", ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC"])


def iodine() -> list[Dataset]:
    return ct("Iodine portal venous", ImageType=[*DERIVED, "MAT_SPECIFIC"], RescaleType="MGML")


def iodine_by_words() -> list[Dataset]:
    return ct("Iodine portal venous", ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"])


NAMED: list[tuple[Callable[[], list[Dataset]], str, dict[str, object], bool]] = [
    (adc, "MR", {"description": ("adc",)}, True),
    (adc, "MR", {"description": ("diff.*adc",)}, True),
    (adc, "MR", {"description": ("ep2d_diff",)}, False),
    (adc, "MR", {"description": (".*",)}, False),
    (adc, "MR", {"image_type": ("ADC",)}, True),
    (adc, "MR", {"image_type": ("DIFFUSION",)}, False),
    (adc, "MR", {"image_type": ("DERIVED", "PRIMARY")}, False),
    (iodine, "CT", {"description": ("iodine",)}, True),
    (iodine, "CT", {"description": ("venous",)}, False),
    (iodine, "CT", {"image_type": ("MAT_SPECIFIC",)}, True),
    (iodine, "CT", {"image_type": ("AXIAL",)}, False),
    (iodine_by_words, "CT", {"image_type": ("CT_SOM5 SPI",)}, False),
    (iodine_by_words, "CT", {"image_type": ("CT_SOM5 SPI",), "description": ("iodine",)}, True),
    (lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "P", "SWI"]), "MR", {"image_type": ("P",)}, True),
    (lambda: mr(ImageType=["ORIGINAL", "PRIMARY", "P", "SWI"]), "MR", {"image_type": ("SWI",)}, False),
    (lambda: mr(ImageType=["DERIVED", "PRIMARY", "M", "T1"]), "MR", {"image_type": ("T1",)}, True),
    (lambda: ct(ImageType=[*DERIVED, "PERFUSION", "X"]), "CT", {"image_type": ("PERFUSION",)}, True),
    (iodine, "CT", {"unit": "MGML"}, True),
    (iodine, "CT", {"unit": "mgml"}, True),
    (iodine, "CT", {"unit": "Z_EFF"}, False),
    (iodine, "CT", {"unit": "HU", "description": ("iodine",)}, False),
    (lambda: ct("CBF", ImageType=DERIVED, RescaleType="US"), "CT", {"description": ("cbf",)}, True),
    (lambda: ct("Thorax MIP", ImageType=["DERIVED", "SECONDARY", "MIP"]), "CT", {"description": ("mip",)}, True),
    (lambda: ct("Thorax MIP", ImageType=["DERIVED", "SECONDARY", "MIP"]), "CT", {"description": ("thorax",)}, False),
    (lambda: ct("Thorax MIP", ImageType=["DERIVED", "SECONDARY", "MIP"]), "CT", {"unit": "HU"}, False),
    (lambda: ct("Thorax 10 mm", ImageType=["DERIVED", "SECONDARY", "MIP"]), "CT", {"description": ("thorax",)}, False),
    (
        lambda: ct("Abdomen portal", ImageType=[*DERIVED, "MAT_SPECIFIC"], RescaleType="MGML"),
        "CT",
        {"description": ("portal",)},
        False,
    ),
    (
        lambda: ct("Thorax MIP", ImageType=["DERIVED", "SECONDARY", "MIP"], ProtocolName="Thorax"),
        "CT",
        {"description": ("thorax",)},
        False,
    ),
    (
        lambda: mr("t2_swi", ImageType=["ORIGINAL", "PRIMARY", "P", "SWI"]),
        "MR",
        {"description": ("swi",)},
        False,
    ),
    (lambda: ct("corMIP", ImageType=DERIVED), "CT", {"description": ("cor",)}, False),
    (lambda: ct("Blood Flow", ImageType=DERIVED, RescaleType="US"), "CT", {"description": ("blood flow",)}, True),
    (lambda: ct("Perfusion", ImageType=[*DERIVED, "PERFUSION"]), "CT", {"description": ("perfusion",)}, True),
    (lambda: ct(RescaleType="HU_MOD"), "CT", {"unit": "HU_MOD"}, True),
    (ct, "CT", {"unit": "HU"}, True),
    (ct, "CT", {"unit": "MGML"}, False),
    (lambda: mr(RealWorldValueMappingSequence=mapping("um2/s")), "MR", {"unit": "um2/s"}, True),
    (mr, "MR", {"unit": "um2/s"}, False),
]


@pytest.mark.parametrize(("make", "modality", "rule", "fits"), NAMED)
def test_a_rule_takes_the_maps_that_it_names(
    make: Callable[[], list[Dataset]], modality: str, rule: dict[str, object], fits: bool, tmp_path: Path
) -> None:
    selection = selection_of(tmp_path, make(), model(modality, **rule))  # type: ignore[arg-type]
    assert bool(selection.channels) == fits, selection.decisions


def test_a_mosaic_is_no_volume_whatever_names_it(tmp_path: Path) -> None:
    series = mr("fmri mosaic", ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    rule = model("MR", image_type=("MOSAIC",), description=("mosaic",))
    assert "mosaic" in why_left(selection_of(tmp_path, series, rule))


def test_the_ct_beside_an_iodine_map_is_taken_and_the_map_is_not(tmp_path: Path) -> None:
    conventional, iodine_map = iodine_map_beside_ct()
    save_series(conventional, tmp_path / "study" / "ct")
    save_series(iodine_map, tmp_path / "study" / "map")
    volume, selection = run(tmp_path / "study", config())
    assert volume.series_uids == (conventional[0].SeriesInstanceUID,)
    reasons = {decision.series_uid: decision for decision in selection.decisions}
    left = reasons[iodine_map[0].SeriesInstanceUID]
    assert (left.decision, "Unit is MGML, not HU" in left.reason) == ("left", True)
    save_series(iodine_map, tmp_path / "alone")
    with pytest.raises(StudyRejected) as caught:
        run(tmp_path / "alone", config())
    assert caught.value.code is ReasonCode.NO_MATCHING_SERIES
    assert "MGML" in caught.value.detail


MONO: list[list[Dataset]] = [
    ct("Mono 70 keV"),
    ct("MonoE 70keV[HU]"),
    ct("MonoPlus_70 Br40"),
    ct("Monoenergetic Plus 70 keV", ImageType=[*DERIVED, "MONOE"]),
    ct("Abdomen", ImageType=[*DERIVED, "VMI"], MultienergyCTAcquisition="YES"),
]


@pytest.mark.parametrize("series", MONO, ids=["mono", "monoe", "monoplus", "plus", "vmi"])
def test_a_mono_energetic_image_comes_after_an_ordinary_one_and_warns(series: list[Dataset], tmp_path: Path) -> None:
    alone = selection_of(tmp_path / "alone", series, model())
    assert [warning.code for warning in alone.warnings] == [WarningCode.MONO_ENERGETIC]
    assert alone.warnings[0].series_uid == series[0].SeriesInstanceUID
    ordinary = another(ct(), "ordinary", 9)
    save_series(series, tmp_path / "both" / "mono")
    both = selection_of(tmp_path / "both", ordinary, model())
    assert taken(both) == [ordinary[0].SeriesInstanceUID]
    assert both.warnings == ()
    assert any("what its values are" in decision.reason for decision in both.decisions)


def test_a_rule_chooses_the_energy(tmp_path: Path) -> None:
    stated = another(ct("Abdomen", ImageType=[*DERIVED, "VMI"]), "stated", 5)
    characteristics = Dataset()
    characteristics.MonoenergeticEnergyEquivalent = 40.0
    changed(stated, MultienergyCTCharacteristicsSequence=Sequence([characteristics]))
    for name, series in {"stated": stated, "spoken": another(ct("Mono 70 keV"), "spoken", 6), "ordinary": ct()}.items():
        save_series(series, tmp_path / name)
    study = one_study(tmp_path)
    for energy, expected in ((40, 5), (70, 6), (55, None)):
        selection = select_series(study, model(energy_kev=energy))
        numbers = [int(series.instances[0].header.SeriesNumber) for series in selection.channels]
        assert numbers == ([expected] if expected else [])
        assert selection.warnings == ()
    reasons = [decision.reason for decision in select_series(study, model(energy_kev=55)).decisions]
    assert sorted(reasons) == [
        "It is not a mono-energetic image, of 55 keV.",
        "Its energy is 40 keV, not 55 keV.",
        "Its energy is 70 keV, not 55 keV.",
    ]


@pytest.mark.parametrize("words", ["Head CBV map", "Thorax MIP", "Abdomen SUB"])
def test_a_hint_warns_and_settles_ties_alone(words: str, tmp_path: Path) -> None:
    thin = ct(words, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], SliceThickness="1")
    alone = selection_of(tmp_path / "alone", thin, model())
    assert [warning.code for warning in alone.warnings] == [WarningCode.MAP_SUSPECTED]
    assert "it may be a map by the words of its description" in alone.decisions[0].reason
    thick = another(ct(), "thick", 9, SliceThickness="5")
    save_series(thin, tmp_path / "thin" / "map")
    assert taken(selection_of(tmp_path / "thin", thick, model(prefer=("thinnest",)))) == [thin[0].SeriesInstanceUID]
    alike = another(ct(), "alike", 9, SliceThickness="1")
    save_series(thin, tmp_path / "tie" / "map")
    tie = selection_of(tmp_path / "tie", alike, model(prefer=("thinnest",)))
    assert taken(tie) == [alike[0].SeriesInstanceUID]
    assert any("that nothing hints at a map" in decision.reason for decision in tie.decisions)


@pytest.mark.parametrize("value", ["113046", "113053"])
def test_arithmetic_of_images_is_a_hint(value: str, tmp_path: Path) -> None:
    selection = selection_of(tmp_path, mr(DerivationCodeSequence=derivation(value)), model("MR"))
    assert [warning.code for warning in selection.warnings] == [WarningCode.MAP_SUSPECTED]


@pytest.mark.parametrize("words", ["Abdomen monophasic 70 s", "Monophase 80 sec", "mono 80 s"])
def test_a_time_is_no_energy(words: str, tmp_path: Path) -> None:
    assert selection_of(tmp_path, ct(words), model()).warnings == ()


def test_a_map_named_by_words_that_the_model_takes_as_hu_warns(tmp_path: Path) -> None:
    selection = selection_of(tmp_path, iodine(), model(description=("iodine",)))
    assert [warning.code for warning in selection.warnings] == [WarningCode.UNIT_OF_MAP]
    assert "MGML" in selection.warnings[0].detail


def test_images_of_two_units_are_refused_whatever_the_first_is(tmp_path: Path) -> None:
    series = ct()
    series[0].RescaleType = "MGML"
    save_series(series, tmp_path)
    with pytest.raises(StudyRejected) as caught:
        run(tmp_path, config())
    assert caught.value.code is ReasonCode.MIXED_RESCALE_TYPE
