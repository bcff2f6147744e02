"""The reading of YAML files: as PyYAML reads them, but for keys that are given twice."""

import pytest
import yaml

from core.yaml_problems import not_yaml
from core.yaml_text import load_yaml

TEXT = """\
base: &base {a: 1, b: [2, x: 3]}
merged:
  <<: *base
  a: 4
again: *base
1: whole
"1": text
"""


@pytest.mark.parametrize("text", [TEXT, "", "- a: 1\n- a: 2\n", "a: {k: 1}\nb: {k: 2}\n"])
def test_text_is_read_as_pyyaml_reads_it(text: str) -> None:
    assert load_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "line", "first"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1),
        ("whole:\n  - {k: 1, k: 2}\n", 2, 2),
        ("x:\n  y:\n    k: 1\n    'k': 1\n", 4, 3),
        ("x:\n  <<: {k: 1, k: 2}\n", 2, 2),
    ],
)
def test_key_given_twice_is_an_error_with_both_lines(text: str, line: int, first: int) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        load_yaml(text)
    told = not_yaml(caught.value)
    assert told.startswith(f"{line}: not YAML: the key ")
    assert f"is given twice, first on line {first};" in told
