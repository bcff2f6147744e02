"""A rule and the volumes of one series: the one that it means, or the list of what it could have named."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pydicom.dataset import Dataset

from core.errors import PackageInvalid, ReasonCode
from core.model_config import ModelConfig, Range, SeriesRule, VolumeRule, parse_model_config
from core.settled_json import settled_json
from core.study_warning import WarningCode
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.selection import Selection, select_series
from dicom_io.images.study import Study
from tests.support.series_helpers import config
from tests.support.several_volumes import of_plane, series_of, stack
from tests.support.volume_kinds import (
    HEIGHTS,
    KINDS,
    Stacks,
    angiography_with_projections,
    diffusion_with_directions_and_adc,
    dixon,
    two_echoes,
    two_planes,
    two_thicknesses,
)

ANY = ("CT", "MR")


def select(rule: SeriesRule, *stacks: list[Dataset], beside: tuple[Series, ...] = ()) -> Selection:
    return select_series(Study("1.2", (series_of(*stacks), *beside)), config(rule))


def taken(selection: Selection) -> list[str]:
    return [d.part.words if d.part else d.series_uid for d in selection.decisions if d.decision == "taken"]


def rules_in(message: str) -> list[dict[str, object]]:
    """Read the lines that a refusal lists, as a person copies them."""
    return [yaml.safe_load(found)["volume"] for found in re.findall(r"volume: \{.*?\}", message)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_model_that_names_none_is_told_of_all(kind: Callable[[], Stacks]) -> None:
    selection = select(SeriesRule(modality=ANY), *kind())
    assert selection.rejection is not None
    assert selection.rejection.code is ReasonCode.SEVERAL_VOLUMES
    ordinary = [name for name in KINDS[kind] if "ADC" not in name and name not in ("image type P",)]
    listed = rules_in(selection.rejection.message)
    assert len(listed) == len([name for name in ordinary if not name.endswith("image type P")])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_listed_line_chooses_its_volume(kind: Callable[[], Stacks]) -> None:
    stacks = kind()
    refusal = select(SeriesRule(modality=ANY), *stacks).rejection
    assert refusal is not None
    chosen = [
        taken(select(SeriesRule(modality=ANY, volume=VolumeRule.model_validate(listed)), *stacks))
        for listed in rules_in(refusal.message)
    ]
    assert all(len(one) == 1 for one in chosen)
    assert [one for (one,) in chosen] == [n for n in KINDS[kind] if n in {one for (one,) in chosen}]


@pytest.mark.parametrize(
    ("stacks", "rule", "expected"),
    [
        (dixon(), SeriesRule(modality=ANY, image_type=("WATER",)), "image type WATER"),
        (dixon(), SeriesRule(modality=ANY, exclude_image_type=("WATER", "IN_PHASE", "OPP_PHASE")), "image type FAT"),
        (two_planes(), SeriesRule(modality=ANY, orientation=("coronal",)), "orientation coronal"),
        (two_thicknesses(), SeriesRule(modality=ANY, slice_thickness=Range(max=3)), "slice thickness 2 mm"),
        (two_thicknesses(), SeriesRule(modality=ANY, min_slices=10), "slice thickness 2 mm"),
        (
            diffusion_with_directions_and_adc(),
            SeriesRule(modality=ANY, image_type=("ADC",)),
            "image type ADC",
        ),
    ],
    ids=["image type", "excluded image type", "plane", "thickness", "slices", "map"],
)
def test_rules_choose_among_volumes_as_among_series(stacks: Stacks, rule: SeriesRule, expected: str) -> None:
    assert taken(select(rule, *stacks)) == [expected]


def test_preferences_never_decide_between_volumes_of_one_series() -> None:
    selection = select(SeriesRule(modality=ANY, prefer=("thinnest",)), *two_thicknesses())
    assert selection.rejection is not None
    assert selection.rejection.code is ReasonCode.SEVERAL_VOLUMES


def test_a_series_that_is_one_volume_comes_before_one_that_holds_several() -> None:
    whole = Series("1.9", series_of(stack("whole", HEIGHTS)).instances)
    selection = select(SeriesRule(modality=ANY), *two_echoes(), beside=(whole,))
    assert taken(selection) == ["1.9"]
    assert [d.decision for d in selection.decisions] == ["refused", "refused", "taken"]


def test_a_rule_that_still_leaves_several_is_told_of_them() -> None:
    stacks = [
        stack((echo, time), HEIGHTS, EchoNumbers=echo, TemporalPositionIdentifier=time)
        for echo in (1, 2)
        for time in (1, 2)
    ]
    refusal = select(SeriesRule(modality=ANY, volume=VolumeRule(echo=2)), *stacks).rejection
    assert refusal is not None
    assert refusal.code is ReasonCode.SEVERAL_VOLUMES
    assert rules_in(refusal.message) == [{"echo": 2, "time": 1}, {"echo": 2, "time": 2}]


def damaged(place: int = 3) -> Stacks:
    first, second = two_echoes()
    del second[place]
    return first, second


def test_a_damaged_volume_beside_a_whole_one_is_no_choice() -> None:
    refusal = select(SeriesRule(modality=ANY), *damaged()).rejection
    assert refusal is not None
    assert refusal.code is ReasonCode.MIXED_ACQUISITION
    assert rules_in(refusal.message) == [{"echo": 1}]


@pytest.mark.parametrize(("echo", "code"), [(1, None), (2, ReasonCode.MISSING_SLICE)])
def test_a_rule_that_names_one_is_judged_by_that_one(echo: int, code: ReasonCode | None) -> None:
    rejection = select(SeriesRule(modality=ANY, volume=VolumeRule(echo=echo)), *damaged()).rejection
    assert (rejection and rejection.code) is code


def test_two_slices_of_a_damaged_volume_are_not_passed_over() -> None:
    first, second = two_echoes()
    refusal = select(SeriesRule(modality=ANY), first, [second[0], second[2], second[3]]).rejection
    assert refusal is not None
    assert refusal.code is ReasonCode.MIXED_ACQUISITION


@pytest.mark.parametrize("last", [1, 2, 4])
def test_half_a_patient_is_never_taken_for_all_of_it(last: int) -> None:
    """The voltage changes for the last slices, of which two are fewer than the rule asks for."""
    images = stack("scan", HEIGHTS, modality="CT", KVP=lambda number: 120 if number < 8 - last else 80)
    refusal = select(SeriesRule(modality=ANY), images).rejection
    assert refusal is not None
    assert refusal.code is ReasonCode.MIXED_ACQUISITION
    named = select(SeriesRule(modality=ANY, volume=VolumeRule(kvp=120)), images)
    assert taken(named) == ["voltage 120 kV"]


def test_stations_with_a_gap_stay_refused_until_one_is_named() -> None:
    heights = [*HEIGHTS, *(100 + height for height in HEIGHTS[:2])]
    images = stack("stations", heights, modality="CT", AcquisitionNumber=lambda number: 1 + number // 8)
    refusal = select(SeriesRule(modality=ANY), images).rejection
    assert refusal is not None
    assert refusal.code is ReasonCode.MISSING_SLICE
    assert taken(select(SeriesRule(modality=ANY, volume=VolumeRule(acquisition=1)), images)) == ["acquisition 1"]


def test_values_of_image_type_alone_come_before_those_with_others() -> None:
    kinds = (("M", "FFE"), ("M", "FFE", "NORM"))
    stacks = [stack(kind, HEIGHTS, ImageType=["ORIGINAL", "PRIMARY", *kind]) for kind in kinds]
    selection = select(SeriesRule(modality=ANY, volume=VolumeRule(image_type=("M", "FFE"))), *stacks)
    assert [d.decision for d in selection.decisions] == ["taken", "left"]


def test_a_series_that_is_one_volume_has_to_state_what_is_named() -> None:
    images = stack("b", HEIGHTS, DiffusionBValue=800.0)
    for value, decision in ((800, "taken"), (801, "taken"), (0, "left"), (1000, "left")):
        selection = select(SeriesRule(modality=ANY, volume=VolumeRule(b_value=value)), images)
        assert [d.decision for d in selection.decisions] == [decision]
    unstated = select(SeriesRule(modality=ANY, volume=VolumeRule(b_value=800)), stack("t2", HEIGHTS))
    assert "b-value is not stated, not 800 s/mm²" in unstated.decisions[0].reason.lower()


def test_the_strays_are_a_decision_of_their_own() -> None:
    scout = of_plane(stack("scout", [14.0]), (0, 1, 0, 0, 0, -1))
    selection = select(SeriesRule(modality=ANY), stack("t", HEIGHTS), scout)
    assert [d.decision for d in selection.decisions] == ["taken", "set_aside"]
    assert str(scout[0].SOPInstanceUID) in selection.decisions[1].reason


def test_an_angiography_is_taken_and_its_projections_are_left() -> None:
    selection = select(SeriesRule(modality=ANY), *angiography_with_projections())
    assert [d.decision for d in selection.decisions] == ["taken", "left", "left", "left"]


def test_a_mosaic_is_refused_as_one() -> None:
    kind = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    stacks = [stack(b, [0.0], DiffusionBValue=float(b), ImageType=kind) for b in (0, 500, 1000)]
    rejection = select(SeriesRule(modality=ANY), *stacks).rejection
    assert rejection is not None
    assert "mosaic" in rejection.message


def without_reference(*stacks: list[Dataset]) -> Stacks:
    for image in (image for images in stacks for image in images):
        del image.FrameOfReferenceUID
    return stacks


def test_a_frame_of_reference_is_derived_for_one_channel() -> None:
    selection = select(SeriesRule(modality=ANY), *without_reference(stack("t", HEIGHTS)))
    assert taken(selection) == ["1.2.3"]


def test_series_without_a_frame_of_reference_feed_no_two_channels() -> None:
    (images,) = without_reference(stack("t", HEIGHTS))
    study = Study("1.2", (series_of(images), Series("1.9", series_of(images).instances)))
    rejection = select_series(study, config(SeriesRule(modality=ANY), SeriesRule(modality=ANY))).rejection
    assert rejection is not None
    assert rejection.code is ReasonCode.EMPTY_UID


def test_no_two_series_share_a_derived_frame_of_reference() -> None:
    from dicom_io.images.grid.geometry import layout_of

    (images,) = without_reference(stack("t", HEIGHTS))
    layouts = [layout_of(Series(uid, series_of(images).instances)) for uid in ("1.2.3", "1.2.4")]
    assert layouts[0].frame_of_reference_uid != layouts[1].frame_of_reference_uid
    for layout in layouts:
        assert [one.code for one in layout.warnings] == [WarningCode.FRAME_OF_REFERENCE_DERIVED]


def test_the_order_of_series_gives_no_volume_a_phase() -> None:
    early, late = (stack(t, HEIGHTS, modality="CT", AcquisitionNumber=t, AcquisitionTime=f"1000{t}0") for t in (1, 2))
    for image in early + late:
        image.SeriesDescription, image.ContrastBolusAgent = "LIVER", "IOHEXOL"
    for words, decision in (("LIVER", "left"), ("LIVER ARTERIAL", "taken")):
        for image in early + late:
            image.SeriesDescription = words
        rule = SeriesRule(modality=ANY, phase=("arterial",), volume=VolumeRule(acquisition=2))
        assert select(rule, early, late).decisions[1].decision == decision


def model_with(volume: str) -> bytes:
    return f"""schema: 1
name: test
orientation: acquired
channels:
  - name: MR
    series:
      modality: [MR]
      volume: {volume}
labels: [{{value: 1, name: organ}}]
""".encode()


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        ("{b_valu: 800}", "there is no such key; did you mean b_value?"),
        ("{echos: 1}", "there is no such key; did you mean echo?"),
        ("{b_value: high}", "is not a number; write it like this: b_value: 800  # s/mm²"),
        ("{orientation: axal}", "did you mean axial?"),
        ("{}", "names nothing"),
    ],
)
def test_a_rule_that_is_wrong_is_refused_with_the_remedy(volume: str, words: str) -> None:
    with pytest.raises(PackageInvalid, match=re.escape(words)):
        parse_model_config(model_with(volume), Path("model.yaml"))


def test_the_key_changes_nothing_while_it_is_not_given() -> None:
    plain = parse_model_config(model_with("null"), Path("model.yaml"))
    assert "volume" not in settled_json(plain)
    named = parse_model_config(model_with("{echo: 1}"), Path("model.yaml"))
    assert settled_json(named) != settled_json(plain)
    assert ModelConfig.model_validate_json(settled_json(named)) == named


def test_dixon_feeds_two_channels_of_one_model() -> None:
    rules = [SeriesRule(modality=ANY, volume=VolumeRule(image_type=(kind,))) for kind in ("FAT", "WATER")]
    selection = select_series(Study("1.2", (series_of(*dixon()),)), config(*rules))
    parts = [series.part for series in selection.channels]
    assert [part.named for part in parts if part] == [{"image_type": ("FAT",)}, {"image_type": ("WATER",)}]


def test_refusals_quote_no_free_text() -> None:
    stacks = [stack(k, HEIGHTS, modality="CT", ConvolutionKernel=k) for k in ("Smith^John", "Doe^Jane")]
    rejection = select(SeriesRule(modality=ANY), *stacks).rejection
    assert rejection is not None
    assert "No key of volume tells them apart." in rejection.message
    assert "Smith" not in rejection.message


def test_long_lists_are_cut() -> None:
    stacks = [stack(t, HEIGHTS[:3], TemporalPositionIdentifier=t) for t in range(1, 31)]
    rejection = select(SeriesRule(modality=ANY), *stacks).rejection
    assert rejection is not None
    assert len(rules_in(rejection.message)) == 12
    assert "and 18 more, see segnode series" in rejection.message
