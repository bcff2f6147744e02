"""Claims of the documentation that a machine can check."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import CaseCode, ReasonCode
from core.study_warning import WarningCode
from training.datasets.case import CaseNote

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
ROOMS = ("app", "core", "dicom_io", "operators", "phantom", "runtime", "segmentation", "segnode_client", "services")
SOURCES = (*ROOMS, "training", "bench", "tests", "manifests", "docker", "models")
LONGEST_LINE = 120
OUTER_LINK = re.compile(r"[a-z][a-z0-9+.-]*:")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def prose_of(page: Path) -> Iterator[str]:
    """Lines of a page outside of blocks of code."""
    is_code = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield line


def links_of(page: Path) -> Iterator[tuple[str, str]]:
    """Each link to this repository, as its path and its anchor."""
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(prose_of(page))):
        if not OUTER_LINK.match(target):
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors_of(page: Path) -> set[str]:
    """Return the targets that a link may have behind ``#``: the headings, as GitHub names them."""
    headings = [line.lstrip("#").strip() for line in prose_of(page) if re.match(r"#+ ", line)]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    missing = []
    for path, anchor in links_of(page):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            missing.append(f"{path}#{anchor}")
    assert missing == []


def test_every_page_is_reached_from_the_index() -> None:
    reached, to_read = {INDEX}, [INDEX]
    while to_read:
        page = to_read.pop()
        found = {(page.parent / path).resolve() for path, _ in links_of(page) if path.endswith(".md")}
        found = {path for path in found if path.is_relative_to(DOCS) and path.exists()} - reached
        reached |= found
        to_read += sorted(found)
    assert set(DOCS.rglob("*.md")) - reached == set()


def test_the_readme_leads_to_the_index() -> None:
    assert ("docs/README.md", "") in links_of(ROOT / "README.md")


@each_page
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(SOURCES)})/[\w./-]*)`", "\n".join(prose_of(page)))
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_lines_fit_on_a_screen(page: Path) -> None:
    rows = ("|", "#", "![")
    assert [line for line in prose_of(page) if len(line) > LONGEST_LINE and not line.lstrip().startswith(rows)] == []


def test_every_room_is_in_the_architecture() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    folders = {init.parent for room in ROOMS for init in (ROOT / room).rglob("__init__.py")}
    rooms = {folder.relative_to(ROOT).as_posix() for folder in folders} - {"segnode_client/v1"}
    assert [room for room in sorted(rooms) if not re.search(rf"^\| .*`{room}/`.* \| ", text, re.MULTILINE)] == []


def test_the_picture_of_the_graph_is_the_graph() -> None:
    boxes = re.findall(r'\bname="(\w+)"', (ROOT / "app" / "graph.py").read_text(encoding="utf-8"))
    assert len(boxes) > 1
    assert " --> ".join(boxes) in (DOCS / "architecture.md").read_text(encoding="utf-8")


def test_every_reason_code_is_documented_with_its_sentence() -> None:
    table = (DOCS / "refusals.md").read_text(encoding="utf-8")
    for code in ReasonCode:
        assert f"| `{code}` | {code.sentence} |" in table


def test_every_code_of_a_case_is_documented_with_its_sentence() -> None:
    table = (DOCS / "refusals.md").read_text(encoding="utf-8")
    for code in CaseCode:
        assert f"| `{code}` | {code.sentence} |" in table


def test_every_note_on_a_case_is_documented_with_its_sentence() -> None:
    table = (DOCS / "datasets.md").read_text(encoding="utf-8")
    for note in CaseNote:
        assert f"| `{note}` | {note.sentence} |" in table


def test_every_warning_is_documented_with_its_sentence() -> None:
    table = (DOCS / "warnings.md").read_text(encoding="utf-8")
    for code in WarningCode:
        assert f"| `{code}` | {code.sentence} |" in table


def test_the_readmes_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert "demo" in commands
    assert "test" in commands
    for target in commands:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
