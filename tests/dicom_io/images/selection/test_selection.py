"""The series chosen for each channel, and the explanation of every series."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import ReasonCode
from core.model_config import Range, SeriesRule
from dicom_io.images.selection.selection import Selection, select_series
from phantom.series import make_series, save_series, write_series
from phantom.tags import Encoding, SeriesTags, StudyTags
from tests.support.series_helpers import config, one_study, phantom

CT = ("CT",)


def write(folder: Path, number: int, **kwargs: object) -> str:
    """Write series ``number`` of the study; gives its UID."""
    made = phantom(**{k: kwargs.pop(k) for k in ("plane", "modality", "phase", "spacing") if k in kwargs})  # type: ignore[arg-type]
    tags = SeriesTags(number=number, **kwargs)  # type: ignore[arg-type]
    return write_series(made, folder / str(number), study=StudyTags(), series=tags).series_uid


def select(folder: Path, *rules: SeriesRule, on_other_grid: str = "refuse") -> Selection:
    """Select from a folder, and check that every series has its say."""
    study = one_study(folder)
    selection = select_series(study, config(*rules, on_other_grid=on_other_grid))
    assert {d.series_uid for d in selection.decisions} == {s.uid for s in study.series}
    assert all(d.reason.endswith(".") and len(d.reason) > 5 for d in selection.decisions)
    assert (selection.rejection is None) == bool(selection.channels)
    return selection


def taken(selection: Selection) -> list[str]:
    return [series.uid for series in selection.channels]


def reason(selection: Selection, uid: str) -> str:
    return next(d.reason[0].lower() + d.reason[1:] for d in selection.decisions if d.series_uid == uid)


@pytest.mark.parametrize(
    ("rule", "good", "bad", "why"),
    [
        (SeriesRule(modality=CT), {}, {"modality": "MR"}, "modality is MR, not CT"),
        (SeriesRule(modality=CT, body_part=("abd",)), {}, {"body_part": "HEAD"}, "body part matches none of /abd/"),
        (SeriesRule(modality=CT, body_part=("abd",)), {"body_part": ""}, {"body_part": "HEAD"}, "body part"),
        (
            SeriesRule(modality=CT, description=("^liver",)),
            {"description": "LIVER 3mm"},
            {"description": "lung"},
            "description matches none",
        ),
        (
            SeriesRule(modality=CT, exclude_description=("mip",)),
            {"description": "thin"},
            {"description": "Thick MIP"},
            "excluded /mip/",
        ),
        (
            SeriesRule(modality=CT, image_type=("ORIGINAL",)),
            {},
            {"image_type": ("DERIVED", "PRIMARY", "AXIAL")},
            "lacks ORIGINAL",
        ),
        (
            SeriesRule(modality=CT, exclude_image_type=("DERIVED",)),
            {},
            {"image_type": ("DERIVED", "PRIMARY", "AXIAL")},
            "excluded DERIVED",
        ),
        (SeriesRule(modality=CT, orientation=("axial",)), {}, {"plane": "coronal"}, "plane is coronal, not axial"),
        (SeriesRule(modality=CT, orientation=("oblique",)), {"plane": "oblique"}, {}, "plane is axial, not oblique"),
        (SeriesRule(modality=CT, orientation=("sagittal",)), {"plane": "sagittal"}, {}, "plane is axial"),
        (
            SeriesRule(modality=CT, slice_thickness=Range(max=5)),
            {"slice_thickness": 5.0},
            {"slice_thickness": 5.5},
            "slice thickness 5.5 mm is not within 0 to 5 mm",
        ),
        (
            SeriesRule(modality=CT, slice_spacing=Range(min=25, max=35)),
            {},
            {"spacing": (20.0, 6.0, 9.0)},
            "slice spacing 20 mm is not within 25 to 35 mm",
        ),
        (
            SeriesRule(modality=CT, pixel_spacing=Range(max=9)),
            {},
            {"spacing": (30.0, 6.0, 12.0)},
            "pixel spacing 12 mm is not within 0 to 9 mm",
        ),
        (SeriesRule(modality=CT, min_slices=8), {}, {"spacing": (40.0, 6.0, 9.0)}, "6 slices, at least 8 are needed"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_every_condition_keeps_out_and_says_so(
    rule: SeriesRule, good: dict[str, object], bad: dict[str, object], why: str, tmp_path: Path
) -> None:
    # what does not fit has the lower number: order of preference alone would take it
    left, fits = write(tmp_path, 1, **bad), write(tmp_path, 2, **good)
    selection = select(tmp_path, rule)
    assert taken(selection) == [fits]
    assert why in reason(selection, left)


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        ("thinnest", 2),
        ("thickest", 1),
        ("most_slices", 3),
        ("earliest", 3),
        ("latest", 1),
        ("finest_pixels", 4),
        ("lowest_series_number", 1),
    ],
)
def test_order_of_preference_decides_among_those_that_fit(prefer: str, expected: int, tmp_path: Path) -> None:
    uids = {
        1: write(tmp_path, 1, slice_thickness=8.0, acquisition_time="120000"),
        2: write(tmp_path, 2, slice_thickness=1.0, acquisition_time="110000"),
        3: write(tmp_path, 3, slice_thickness=5.0, acquisition_time="100000.5", spacing=(20.0, 6.0, 9.0)),
        4: write(tmp_path, 4, slice_thickness=5.0, acquisition_time="113000", spacing=(30.0, 4.0, 5.0)),
    }
    selection = select(tmp_path, SeriesRule(modality=CT, prefer=(prefer,)))  # type: ignore[arg-type]
    assert taken(selection) == [uids[expected]]
    assert f"by {prefer}" in reason(selection, uids[expected])
    for number in set(uids) - {expected}:
        assert f"series {uids[expected]} comes first by {prefer}" in reason(selection, uids[number])


def test_a_tie_is_settled_the_same_way_every_time(tmp_path: Path) -> None:
    uids = [write(tmp_path, number, description=str(number)) for number in range(1, 5)]
    selection = select(tmp_path, SeriesRule(modality=CT, prefer=("thinnest",)))
    assert taken(selection) == [min(uids)]
    assert "by lowest UID" in reason(selection, max(uids))


def test_phases_by_description_feed_their_channels(tmp_path: Path) -> None:
    uids = {phase: write(tmp_path, n, phase=phase) for n, phase in enumerate(("D", "A", None, "P"), start=1)}
    rules = [SeriesRule(modality=CT, phase=(p,)) for p in ("native", "arterial", "portal", "delayed")]  # type: ignore[arg-type]
    selection = select(tmp_path, *rules)
    assert taken(selection) == [uids[None], uids["A"], uids["P"], uids["D"]]
    assert [d.channel for d in sorted(selection.decisions, key=lambda d: taken(selection).index(d.series_uid))] == [
        "c0",
        "c1",
        "c2",
        "c3",
    ]
    assert "arterial by its description" in reason(selection, uids["A"])


@pytest.mark.parametrize(
    ("description", "phase"),
    [
        ("Abd late-arterial 1.0 B30f", "arterial"),
        ("ABD_PORTALVENOUS_3mm", "portal"),
        ("venöse Phase", "portal"),
        ("Spätphase", "delayed"),
        ("CT w/o contrast", "native"),
        ("Non-Contrast", "native"),
        ("excretory", "delayed"),
        ("arterial and portal", None),
        ("post contrast", None),
        ("Abdomen", None),
        ("CHEST PARTIAL", None),
    ],
)
def test_words_of_one_phase_decide_and_no_others(description: str, phase: str | None, tmp_path: Path) -> None:
    write(tmp_path, 1, description=description)
    for wanted in ("native", "arterial", "portal", "delayed"):
        selection = select(tmp_path, SeriesRule(modality=CT, phase=(wanted,)))  # type: ignore[arg-type]
        assert bool(selection.channels) == (wanted == phase)
    assert phase is not None or "phase unknown" in selection.decisions[0].reason.lower()


def test_refusal_for_want_of_a_phase_names_the_phase_and_what_each_series_is(tmp_path: Path) -> None:
    write(tmp_path, 3, phase="P")
    write(tmp_path, 4, phase="A", description="Abdomen")
    write(tmp_path, 5, modality="MR")
    selection = select(tmp_path, SeriesRule(modality=CT, phase=("native", "delayed")))
    assert selection.rejection is not None
    assert selection.rejection.detail == (
        "No series of phase native or delayed: series 3 is portal by its description; series 4 is arterial by the "
        "order of acquisition times: number 1 of 2 with contrast agent."
    )


def test_order_of_acquisition_times_decides_where_it_leaves_one_possibility_and_says_so(tmp_path: Path) -> None:
    uids = {
        phase: write(tmp_path, n, phase=phase, description="Abdomen")
        for n, phase in enumerate(("P", None, "D", "A"), 1)
    }
    thick = write(tmp_path, 9, phase="A", description="Abdomen thick", slice_thickness=90.0)
    for name, phase, number in (("arterial", "A", 1), ("portal", "P", 2), ("delayed", "D", 3)):
        selection = select(tmp_path, SeriesRule(modality=CT, phase=(name,)))  # type: ignore[arg-type]
        assert taken(selection) == [uids[phase]]
        assert f"order of acquisition times: number {number} of 3" in reason(selection, uids[phase])
    selection = select(tmp_path, SeriesRule(modality=CT, phase=("native",)))
    assert taken(selection) == [uids[None]]
    assert "before the series that name one" in reason(selection, uids[None])
    assert "arterial by the order" in reason(selection, thick)  # one acquisition, reconstructed twice


def test_order_of_acquisition_times_never_guesses(tmp_path: Path) -> None:
    first = write(tmp_path, 1, phase="A", description="Abdomen")
    write(tmp_path, 2, phase="D", description="Abdomen")
    for name in ("native", "arterial", "portal", "delayed"):
        selection = select(tmp_path, SeriesRule(modality=CT, phase=(name,)))  # type: ignore[arg-type]
        assert not selection.channels
        assert "phase unknown" in reason(selection, first)


def test_known_phases_narrow_the_order(tmp_path: Path) -> None:
    early, late = write(tmp_path, 1, phase="A", description="Abdomen"), write(tmp_path, 3, phase="D", description="x")
    write(tmp_path, 2, phase="P")
    assert taken(select(tmp_path, SeriesRule(modality=CT, phase=("arterial",)))) == [early]
    assert taken(select(tmp_path, SeriesRule(modality=CT, phase=("delayed",)))) == [late]


def test_an_enhanced_series_without_time_leaves_the_order_open(tmp_path: Path) -> None:
    for number, phase in enumerate(("A", "P", "D"), start=1):
        time = "" if phase == "P" else None
        made = phantom(phase=phase)  # type: ignore[arg-type]
        files = write_series(made, tmp_path / phase, series=SeriesTags(number=number, description="Abdomen")).files
        if time is not None:
            _strip_times(files)
    assert not select(tmp_path, SeriesRule(modality=CT, phase=("arterial",))).channels


def _strip_times(files: tuple[Path, ...]) -> None:
    from pydicom import dcmread

    for path in files:
        dataset = dcmread(path)
        del dataset.AcquisitionTime
        dataset.save_as(path)


def test_two_channels_never_share_a_series(tmp_path: Path) -> None:
    only = write(tmp_path, 1)
    selection = select(tmp_path, SeriesRule(modality=CT), SeriesRule(modality=CT))
    assert selection.rejection is not None
    assert selection.rejection.code is ReasonCode.NO_MATCHING_SERIES
    assert "series of its own" in selection.rejection.detail
    assert "the study is refused" in reason(selection, only)


def test_a_channel_gives_way_where_another_can_take_nothing_else(tmp_path: Path) -> None:
    thin = write(tmp_path, 1, description="thin", slice_thickness=1.0)
    thick = write(tmp_path, 2, description="thick", slice_thickness=5.0)
    selection = select(tmp_path, SeriesRule(modality=CT), SeriesRule(modality=CT, description=("^thin",)))
    assert taken(selection) == [thick, thin]


def test_channels_go_together_on_one_grid_before_preference(tmp_path: Path) -> None:
    first = write(tmp_path, 1, phase="A")
    write(tmp_path, 2, phase="P", spacing=(24.0, 6.0, 9.0), slice_thickness=1.0)
    same = write(tmp_path, 3, phase="P")
    rules = (SeriesRule(modality=CT, phase=("arterial",)), SeriesRule(modality=CT, phase=("portal",)))
    assert taken(select(tmp_path, *rules)) == [first, same]
    assert taken(select(tmp_path, *rules, on_other_grid="resample"))[1] != same


def test_a_channel_that_is_resampled_covers_the_grid(tmp_path: Path) -> None:
    first = write(tmp_path, 1, phase="A")
    half = make_series(phantom(phase="P"), series=SeriesTags(number=2, slice_thickness=1.0))
    for dataset in half:
        dataset.ImagePositionPatient[2] += 120
    save_series(half, tmp_path / "2")
    rules = (SeriesRule(modality=CT, phase=("arterial",)), SeriesRule(modality=CT, phase=("portal",)))
    rejection = select(tmp_path, *rules, on_other_grid="resample").rejection
    assert rejection is not None
    assert rejection.code is ReasonCode.GRIDS_DIFFER
    whole = write(tmp_path, 3, phase="P", spacing=(24.0, 6.0, 9.0), slice_thickness=5.0)
    assert taken(select(tmp_path, *rules, on_other_grid="resample")) == [first, whole]


def test_channels_lie_in_one_frame_of_reference(tmp_path: Path) -> None:
    write(tmp_path, 1, phase="A")
    write(tmp_path, 2, phase="P", frame_of_reference_uid="1.2.3")
    rules = (SeriesRule(modality=CT, phase=("arterial",)), SeriesRule(modality=CT, phase=("portal",)))
    selection = select(tmp_path, *rules, on_other_grid="resample")
    assert selection.rejection is not None
    assert selection.rejection.code is ReasonCode.GRIDS_DIFFER


def test_enhanced_series_answer_the_same_rules(tmp_path: Path) -> None:
    made = phantom(phase="A")
    write_series(made, tmp_path, encoding=Encoding(enhanced=True), series=SeriesTags(slice_thickness=4.0))
    rule = SeriesRule(
        modality=CT,
        min_slices=8,
        slice_thickness=Range(min=3.5, max=4.5),
        slice_spacing=Range(min=29, max=31),
        orientation=("axial",),
        phase=("arterial",),
    )
    assert select(tmp_path, rule).channels
    assert not select(tmp_path, rule.model_copy(update={"min_slices": 9})).channels


def test_the_real_series_is_taken(real_data: Callable[[str], Path]) -> None:
    selection = select(
        real_data("crlm-ct-1006"), SeriesRule(modality=CT, orientation=("axial",), body_part=("abdomen",))
    )
    assert taken(selection)
