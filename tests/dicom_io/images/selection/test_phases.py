"""Phases by words, agent and the other series of a study: what decides, and what is left unknown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.model_config import SeriesRule
from dicom_io.images.selection.phases import phase_in_words
from dicom_io.images.selection.selection import select_series
from tests.faults.table import FAULT
from tests.support.phase_studies import Named, findings_of, phases_of, write_protocol_with_and_without
from tests.support.series_helpers import config, one_study

AGENT = "IOHEXOL"


@pytest.mark.parametrize(
    ("phase", "expected"),
    [("native", "WITHOUT"), ("arterial", "ARTERIAL"), ("portal", "PORTAL VENOUS"), ("delayed", "")],
)
def test_a_protocol_of_all_series_that_says_with_and_without_names_no_phase(
    phase: str, expected: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, f"a protocol with and without contrast, for a model of phase {phase}")
    uids = write_protocol_with_and_without(tmp_path)
    rule = SeriesRule(modality=("CT",), phase=(phase,))  # type: ignore[arg-type]
    chosen = select_series(one_study(tmp_path), config(rule)).channels
    assert [series.uid for series in chosen] == ([uids[expected]] if expected else [])


@pytest.mark.parametrize(
    "words",
    [
        "W/WO CONTRAST",
        "wo/w contrast",
        "with & without contrast",
        "mit und ohne KM",
        "vor und nach KM",
        "sans puis avec injection",
        "avant et après injection",
        "sin y con contraste",
        "antes y después del contraste",
        "senza e con mdc",
        "prima e dopo mdc",
        "met en zonder contrast",
        "sem e com contraste",
        "pré e pós contraste",
        "C-/C+ abdomen",
        "C+/- abdomen",
        "± contrast",
        "造影前後",
        "単純+造影",
        "조영 전후",
        "Non-enhanced and enhanced",
        "non-contrast / contrast",
        "Non-enhanced & enhanced",
        "Leber ohne KM und KM",
        "non contrast then contrast",
        "sin contraste y contrastado",
    ],
)
def test_with_and_without_names_no_phase_in_any_language(words: str) -> None:
    assert phases_of(Named(words)) == phases_of(Named(words, agent=AGENT)) == [None]
    assert phases_of(Named("arterial phase", protocol=words)) == ["arterial"]


@pytest.mark.parametrize("words", ["noncon/con", "native / post", "Nativ und KM", "unenhanced/enhanced"])
def test_a_native_phase_beside_another_series_in_one_is_unknown(words: str) -> None:
    assert phases_of(Named(words)) == [None]


@pytest.mark.parametrize("words", ["sans injection de produit de contraste", "ohne KM, Weichteil", "CT w/o, contrast"])
def test_one_negation_of_two_words_for_the_agent_is_native(words: str) -> None:
    assert phases_of(Named(words)) == ["native"]


@pytest.mark.parametrize(
    ("words", "agent"),
    [
        ("Native", AGENT),
        ("ohne KM", "Imeron 350"),
        ("sans injection", "Xenetix"),
        ("非造影", "イオパミロン"),
        ("Arterial phase", "NONE"),
        ("portalvenös", "ohne KM"),
        ("delayed 10 min", "no contrast"),
        ("動脈相", "なし"),
    ],
)
def test_words_against_the_agent_are_unknown_to_the_order_of_times_too(
    words: str, agent: str, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, f"a series of phase '{words}' with the contrast agent '{agent}'")
    odd = Named(words, agent=agent, seconds=0)
    first, *_ = phases_of(odd, Named("a", agent=AGENT, seconds=30), Named("b", agent=AGENT, seconds=70))
    assert first is None
    assert "agent" in findings_of(odd)[0].why


@pytest.mark.parametrize("words", ["arterial 70s", "portal 30 s", "delayed 70 sec", "native 35s", "動脈相 180秒"])
def test_words_against_their_own_time_are_unknown(words: str, record_property: Callable[[str, object], None]) -> None:
    record_property(FAULT, f"a series of phase and time '{words}'")
    assert phases_of(Named(words, agent="" if "native" in words else AGENT)) == [None]


@pytest.mark.parametrize(
    ("words", "phase"),
    [
        ("spätarteriell", "arterial"),
        ("SPAETARTERIELL 3mm", "arterial"),
        ("früharterielle Phase", "arterial"),
        ("late hepatic arterial", "arterial"),
        ("artériel tardif", "arterial"),
        ("arterial tardía", "arterial"),
        ("laat-arterieel", "arterial"),
        ("後期動脈相", "arterial"),
        ("후기 동맥기", "arterial"),
        ("late portal", "portal"),
        ("spätportal", "portal"),
        ("late venous", None),
        ("spätvenös 3 min", "delayed"),
        ("Spätphase", "delayed"),
    ],
)
def test_late_qualifies_the_phase_beside_it_in_compound_words_too(words: str, phase: str | None) -> None:
    assert phases_of(Named(words)) == [phase]


@pytest.mark.parametrize(
    ("words", "phase"),
    [("PV", "portal"), ("DEL", "delayed"), ("ART", "arterial"), ("VEN", "portal"), ("late", "delayed")],
)
def test_a_short_word_decides_only_beside_a_second_sign(words: str, phase: str) -> None:
    second = {"arterial": "35s", "portal": "70s", "delayed": "5 min"}[phase]
    other = "portal venous" if phase != "portal" else "arterial phase"
    assert phases_of(Named(words)) == [None]
    assert phases_of(Named(f"{words} phase")) == [phase]
    assert phases_of(Named(f"Abd {words} {second}")) == [phase]
    assert phases_of(Named(f"Abd {words}", agent=AGENT)) == [phase]
    assert phases_of(Named(f"Abd {words}"), Named(other))[0] == phase
    assert phases_of(Named(f"Abd {words}", protocol=phase))[0] == phase
    assert phases_of(Named(f"Abd {words}"), Named(f"{words} 2"))[0] is None


def test_native_in_short_needs_a_second_sign_as_well() -> None:
    assert phases_of(Named("NC")) == phases_of(Named("NC", agent=AGENT)) == [None]
    assert phases_of(Named("NC", agent="NONE")) == phases_of(Named("NC phase")) == ["native"]
    assert phases_of(Named("NC"), Named("portal venous", agent=AGENT)) == ["native", "portal"]


@pytest.mark.parametrize(
    "words",
    [
        "TC del abdomen",
        "Studio del fegato",
        "Art der Untersuchung",
        "ART rodilla",
        "CT PV map",
        "PV ablation",
        "CHEST PV",
        "late gadolinium",
        "delayed enhancement",
        "late follow up abdomen",
        "intravenous contrast",
        "intra-venous contrast",
        "hepatic arterial infusion pump",
        "portal hypertension",
        "portal vein embolization",
        "deep venous thrombosis",
        "venous phase brain",
        "pulmonary arterial phase",
        "arterial spin labeling",
        "Bolus tracking arterial",
        "virtual non contrast",
        "virtuell nativ",
        "native kidneys",
        "native T1 mapping",
        "developmental delay",
        "basal ganglia",
        "単純ヘルペス脳炎",
        "脳動脈瘤",
        "肺動脈相",
        "門脈血栓",
        "膵実質相",
        "뇌동맥류",
        "발달지연",
        "lateral",
        "CHEST PARTIAL",
        "arterial + portal",
        "no arterial phase",
        "post contrast",
        "造影後",
    ],
)
def test_words_that_mean_something_else_say_no_phase_whether_or_not_an_agent_is_named(
    words: str, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, f"a series described as '{words}', for a model of a phase")
    assert phases_of(Named(words)) == phases_of(Named(words, agent=AGENT)) == [None]


@pytest.mark.parametrize(
    "words", ["ＡＲＴＥＲＩＡＬ　ＰＨＡＳＥ", "ArterialPhase", "arte\u0301rielle", "ﾌﾟﾚｰﾝ", "造影 動脈相"]
)
def test_forms_of_one_word_are_one_word(words: str) -> None:
    assert phases_of(Named(words)) == ["native" if words == "ﾌﾟﾚｰﾝ" else "arterial"]


@pytest.mark.parametrize("shared", [{"protocol": "Leber arteriell"}, {"study": "CT LIVER ARTERIAL"}])
def test_shared_words_decide_only_where_agent_and_other_series_agree(shared: dict[str, str]) -> None:
    assert phases_of(Named("Ax 5", agent=AGENT, **shared)) == ["arterial"]
    assert phases_of(Named("Ax 5", **shared)) == phases_of(Named("Ax 5", agent="NONE", **shared)) == [None]
    own = Named("portal venous", agent=AGENT, seconds=70, **shared)
    assert phases_of(Named("Ax 5", agent=AGENT, seconds=600, **shared), own)[1] == "portal"
    assert phases_of(Named("Ax 5", agent=AGENT, **shared), own)[0] is None
    assert phases_of(Named("Ax 5", agent=AGENT, **shared), Named("portal venous", **shared))[0] is None
    assert phases_of(Named("Topogram", agent=AGENT, **shared)) == [None]


@pytest.mark.parametrize("words", ["LIVER ART", "PV", "hepatic arterial infusion pump"])
def test_a_description_that_is_copied_into_the_protocol_is_no_second_sign(words: str) -> None:
    assert phases_of(Named(words, protocol=words, study=words)) == [None]


@pytest.mark.parametrize("words", ["hepatic arterial infusion pump", "PV ablation", "portal hypertension"])
def test_doubtful_words_that_series_share_stay_doubtful_beside_an_agent(words: str) -> None:
    assert phases_of(Named("Ax 5", protocol=words, study=words, agent=AGENT)) == [None]


def test_two_acquisitions_cannot_both_be_of_the_phase_that_they_share() -> None:
    first, second = (Named("Ax", protocol="arterial", agent=AGENT, seconds=seconds) for seconds in (30, 70))
    assert phases_of(first, second) == [None, None]
    assert phases_of(first, Named("Cor", protocol="arterial", agent=AGENT, seconds=31)) == ["arterial", "arterial"]


def test_a_shared_absence_of_contrast_is_believed_until_a_series_names_an_agent() -> None:
    shared = Named("Ax 5", study="CT HEAD WITHOUT CONTRAST", seconds=0)
    assert phases_of(shared) == ["native"]
    assert phases_of(shared, Named("Ax 5", study=shared.study, agent=AGENT)) == [None, None]


def test_a_protocol_that_one_acquisition_has_for_itself_is_its_own_word() -> None:
    series = [
        Named("Ax 5", protocol=words, agent=AGENT, seconds=seconds)
        for words, seconds in (("Portal venous", 0), ("Arterial", 60), ("Delayed", 300))
    ]
    assert phases_of(*series) == ["portal", "arterial", "delayed"]


def test_an_image_of_no_phase_is_left_out_of_the_order_of_times() -> None:
    monitoring = Named("Premonitoring", agent=AGENT, seconds=0)
    scans = [Named("Abdomen", agent=AGENT, seconds=seconds) for seconds in (30, 70, 300)]
    assert phases_of(monitoring, *scans) == [None, "arterial", "portal", "delayed"]
    assert phases_of(monitoring, *scans[:2]) == [None, None, None]


def test_the_order_of_times_gives_no_phase_that_words_exclude() -> None:
    post = [Named("post contrast", agent=AGENT, seconds=seconds) for seconds in (30, 70, 300)]
    assert phases_of(*post) == ["arterial", "portal", "delayed"]
    early = Named("post contrast", seconds=0)
    assert phases_of(early, *post)[0] is None  # before all that name an agent, but not native by its words
    assert phases_of(Named("Chest PV", agent=AGENT, seconds=0), *post[1:]) == [None, None, None]


@pytest.mark.parametrize(
    ("own", "shared", "phase"),
    [
        ("smith_arterial", "", "arterial"),
        ("smith_art", "", None),
        ("smith_portal_hypertension", "", None),
        ("smith_arterial_portal", "", None),
        ("TC del abdomen", "", None),
        ("ARTERIAL", "LIVER W/WO CONTRAST", "arterial"),
        ("Ax 5", "portal venous", None),
        ("Abd ART", "arterial", "arterial"),
    ],
)
def test_the_words_of_one_image_contradict_a_person_where_they_name_one_phase(
    own: str, shared: str, phase: str | None
) -> None:
    assert phase_in_words(own, shared).phase == phase
