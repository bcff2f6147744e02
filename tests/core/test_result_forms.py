"""Forms of results: which exist, in which order, and the sentence for others."""

import pytest
from pydantic import TypeAdapter, ValidationError

from core.result_forms import FORMS, MADE, Outputs, form_of, parse_outputs, union


def test_forms_come_in_their_order_and_once() -> None:
    assert parse_outputs(" seg, seg ,") == ("seg",)
    assert union([["pdf", "seg"], ["seg", "sr"], []]) == ("seg", "sr", "pdf")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pdf", "'pdf' is not made by this version; give one or more of seg"),
        ("seg,stl", "'stl' is no form of a result; give one or more of seg"),
        (" , ", "names no form of a result; give one or more of seg"),
    ],
)
def test_other_forms_are_refused_with_a_sentence(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_outputs(text)
    with pytest.raises(ValidationError, match=says):
        TypeAdapter(Outputs).validate_python([part for part in text.split(",") if part.strip()])


def test_the_form_is_read_from_a_files_name() -> None:
    assert [form_of(f"1.2/liver.v2.{form}.dcm") for form in FORMS] == list(FORMS)
    assert form_of("notice-0-pacs.dcm") is form_of("seg.dcm") is None
    assert set(MADE) <= set(FORMS)
