"""The profile that ``--use`` writes into ``model.yaml``: on its line, and nothing else changes."""

from pathlib import Path

import pytest

from core.errors import ConfigInvalid
from core.model_config import parse_model_config
from segmentation.package.used_profile import MARK, used_profile, with_profile

HEAD = """\
schema: 1
name: liver  # a name
orientation: RAS
channels:
  - {name: CT, series: {modality: [CT]}}
labels:
  - {value: 1, name: "a # in a name"}
"""
PATH = Path("model.yaml")

FORMS = {
    "block": "inference:\n  mirroring: false\n  profile: exact  # nnU-Net's\n  step_size: 0.75\n",
    "block, first": "inference:\n  profile: exact\n  mirroring: false\n",
    "quoted": 'inference:\n  profile: "exact"\n  mirroring: false\n',
    "no profile": "inference:\n  # said before\n  mirroring: false\n",
    "flow": "inference: {profile: exact, mirroring: false}  # both\n",
    "flow, no profile": "inference: {mirroring: false}\n",
    "no inference": "description: the end\n",
    "no new line at the end": "inference:\n  profile: exact",
    "more behind it": "inference:\n  profile: fast\n  fast:\n    step_size: 0.7\noutput: {when_empty: none}\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_only_the_profile_changes(form: str) -> None:
    text = HEAD + FORMS[form]
    assert used_profile(text) is None
    changed = with_profile(text, "equal", " --dice 0.998", PATH)
    before, after = (parse_model_config(one.encode(), PATH) for one in (text, changed))
    assert after.inference.profile == "equal"
    assert after.model_copy(update={"inference": before.inference}) == before
    assert after.inference.model_copy(update={"profile": before.inference.profile}) == before.inference
    assert used_profile(changed) == "equal"
    (line,) = [one for one in changed.splitlines() if MARK in one]
    assert "profile: equal" in line
    assert line.endswith(f"# {MARK} --dice 0.998: equal")
    lost = set(text.splitlines()) - set(changed.splitlines())
    assert len(lost) <= 1
    again = with_profile(changed, "fast", "", PATH)
    assert used_profile(again) == "fast"
    assert again.count(MARK) == 1


def test_the_mark_counts_for_the_profile_that_it_names() -> None:
    changed = with_profile(HEAD + FORMS["block"], "equal", "", PATH)
    assert used_profile(changed.replace("profile: equal", "profile: fast")) is None
    assert used_profile(changed.replace(f"# {MARK}", "#")) is None
    assert used_profile(HEAD + FORMS["block"] + f"# {MARK}: exact\n") is None
    assert used_profile(HEAD + f'description: "# {MARK}: fast"\ninference: {{profile: fast}}\n') is None


def test_a_file_whose_place_is_not_found_is_left_to_a_person() -> None:
    with pytest.raises(ConfigInvalid, match=r"model\.yaml: the place of inference\.profile was not found"):
        with_profile(HEAD.replace("\n", "\r"), "equal", "", PATH)
