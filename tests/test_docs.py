"""What the documentation claims and a machine can check."""

import re
from pathlib import Path

import pytest

from core.errors import ReasonCode

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def test_every_reason_code_is_documented_with_its_sentence() -> None:
    table = (ROOT / "docs" / "refusals.md").read_text(encoding="utf-8")
    for code in ReasonCode:
        assert f"| `{code}` | {code.sentence} |" in table


def test_the_readmes_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert "demo" in commands
    assert "test" in commands
    for target in commands:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
