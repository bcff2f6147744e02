"""Rules of the house that no other tool holds."""

import ast
import re
import subprocess
import sys
import tomllib
from email.message import Message
from importlib.metadata import distributions
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = tuple(PROJECT["tool"]["segnode"]["rooms"])
GRAPH_ROOMS = {"operators", "app/graph.py"}
GPL = re.compile(r"(?<!L)(?<!Lesser )(?<!Library )(AGPL|GPL|Affero General|General Public License)", re.IGNORECASE)
BUNDLED = {
    "matplotlib": "FreeType, which is under the FTL or the GPL, to choose",
    "scipy": "GCC's runtime libraries, with the exception that lets them be used under any licence",
}
"""Distributions whose licence text names the GPL for a part that they bundle, with why that is fine."""
QUESTION = re.compile(r"(Who|Whom|Whose|Whoever|What|How|Whether|Which|Where|When|Why)\b")

UNEDITED = {"test_changed_routes.py"}
"""It stays as it was before the plan of a run, to show that routes behave as they did."""
ODD_ENGLISH = {
    "headless who or what": re.compile(r"(?:^|(?<=[.;:] ))(?:Who|Whoever|What)\b(?![^.;]*\?)[^.;]*[.;]"),
    "is none": re.compile(r"(?<!there )(?<!There )\b(?:is|are|was|were|be) none\b(?! of)"),
    "is said": re.compile(r"\b(?:is|are|was|were|be) said\b"),
    "by now": re.compile(r"\bby now\b"),
    "so many": re.compile(r"\bso many\b"),
}
"""Phrases that a reader stumbles over; a sentence has a subject that names the thing, and the verb of the field."""


def sources() -> list[Path]:
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def modules_of_tests() -> list[Path]:
    return sorted((ROOT / "tests").rglob("*.py"))


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_every_tool_knows_the_same_rooms() -> None:
    """A room is a folder at the top that holds the program's sources; the measurements are not installed."""
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    tools = PROJECT["tool"]
    assert set(ROOMS) == folders
    assert set(tools["importlinter"]["root_packages"]) == folders
    in_wheel = set(tools["hatch"]["build"]["targets"]["wheel"]["only-include"])
    assert in_wheel - {"docker", "manifests", "models/demo"} == folders - {"bench"}
    assert set(tools["segnode"]["image_rooms"]) < folders


def test_every_folder_of_a_room_is_a_package() -> None:
    """A folder without ``__init__.py`` is passed over by import-linter and by the check of circles."""
    folders = {path.parent for path in sources()}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_only_operators_and_graph_import_the_sdk() -> None:
    offenders = []
    for path in (path for path in sources() if path.relative_to(ROOT).parts[0] != "bench"):
        name = path.relative_to(ROOT).as_posix()
        if name in GRAPH_ROOMS or name.split("/")[0] in GRAPH_ROOMS:
            continue
        if any(module.split(".")[0] in ("monai", "holoscan") for module in imported_modules(path)):
            offenders.append(name)
    assert offenders == []


def test_the_scan_sees_the_sdk_where_it_is() -> None:
    assert "monai.deploy.core" in imported_modules(ROOT / "app" / "graph.py")


def is_free_of_the_gpl(claim: str) -> bool:
    """Return whether a claim leaves a licence to take that is not the GPL."""
    # AND binds more tightly than OR; within brackets no choice is looked for, which errs on the safe side.
    choices = [claim] if "(" in claim else claim.split(" OR ")
    return any(not GPL.search(choice) for choice in choices)


def licence_claims(meta: Message) -> list[str]:
    """Licence expression, the whole licence field, which may be a text of many lines, and classifiers."""
    claims = [meta.get("License-Expression") or "", meta.get("License") or ""]
    return claims + [c for c in meta.get_all("Classifier") or [] if c.startswith("License")]


def test_no_dependency_is_under_the_gpl() -> None:
    """LGPL is fine; GPL and AGPL are not, by licence expression, licence field or classifier."""
    offenders = {}
    for distribution in distributions():
        meta = distribution.metadata
        bad = [claim for claim in licence_claims(meta) if not is_free_of_the_gpl(claim)]
        if meta["Name"] in BUNDLED:
            bad = [claim for claim in bad if "\n" not in claim]
        if bad:
            offenders[meta["Name"]] = [claim[:200] for claim in bad]
    assert offenders == {}


@pytest.mark.parametrize(
    ("claim", "free"),
    [
        ("Apache-2.0", True),
        ("LGPL-3.0-only", True),
        ("GPL-3.0-only", False),
        ("BSD-3-Clause OR GPL-2.0-only", True),
        ("GPL-2.0-only OR AGPL-3.0-only", False),
        ("MIT AND GPL-2.0-only", False),
        ("MIT OR Apache-2.0 AND GPL-2.0-only", True),
        ("(MIT OR GPL-2.0-only) AND GPL-3.0-only", False),
        ("GNU GENERAL PUBLIC LICENSE\nVersion 3", False),
        ("GNU LESSER GENERAL PUBLIC LICENSE", True),
    ],
)
def test_a_choice_counts_only_where_one_is_left(claim: str, free: bool) -> None:
    assert is_free_of_the_gpl(claim) == free


def test_the_whole_licence_field_is_read() -> None:
    meta = Message()
    meta["License"] = "Copyright the authors\n        This program is under the GNU General Public License."
    assert not all(is_free_of_the_gpl(claim) for claim in licence_claims(meta))


@pytest.mark.parametrize("claim", ["GPL-3.0-only", "AGPL-3.0", "GNU General Public License v3 (GPLv3)"])
def test_the_licence_pattern_finds_the_gpl(claim: str) -> None:
    assert GPL.search(claim)


@pytest.mark.parametrize("claim", ["LGPL-3.0-or-later", "GNU Lesser General Public License v3 (LGPLv3)"])
def test_the_licence_pattern_lets_the_lgpl_pass(claim: str) -> None:
    assert not GPL.search(claim)


def docstring_openings(path: Path) -> list[str]:
    """Return the first line of each docstring of a module, its classes, functions and named values."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(ast.get_docstring(node))
            for before, after in pairwise(node.body):
                if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr):
                    found.append(after.value.value if isinstance(after.value, ast.Constant) else None)
    return [text.splitlines()[0] for text in found if isinstance(text, str) and text]


def test_no_docstring_opens_with_a_question_word() -> None:
    """A function's docstring says what to do, and that of a class or module what it is; neither asks."""
    questions = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in (*sources(), *(path for path in modules_of_tests() if path.name not in UNEDITED))
        for line in docstring_openings(path)
        if QUESTION.match(line)
    ]
    assert questions == []


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("Whether a study is open.", True),
        ("What one object is; its bytes are in a file.", True),
        ("How far it has come.", True),
        ("Return whether a study is open.", False),
        ("Whatever is left.", False),
    ],
)
def test_the_pattern_finds_a_docstring_that_asks(tmp_path: Path, line: str, asks: bool) -> None:
    source = tmp_path / "example.py"
    source.write_text(f'def example():\n    """{line}"""\n\nvalue = 1\n"""{line}"""\n', encoding="utf-8")
    assert [bool(QUESTION.match(found)) for found in docstring_openings(source)] == [asks, asks]


def odd_phrases(text: str) -> list[str]:
    """Return the names of the odd phrases in a text, in which a line break is a space."""
    return [name for name, pattern in ODD_ENGLISH.items() if pattern.search(" ".join(text.split()))]


def paragraphs(page: Path) -> list[str]:
    """Return the paragraphs, list items and table cells of a Markdown page, without its examples."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [part.lstrip("-* ") for part in re.split(r"\n\s*\n|\n(?=[-|*] )|\|", prose)]


def literals(source: Path) -> list[str]:
    """Return the texts of three words or more in a module: messages, help and docstrings."""
    nodes = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text for text in texts if len(text.split()) > 2]


def sentences_of_tests(source: Path) -> list[str]:
    """Return the names of a module's tests as sentences."""
    nodes = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    names = [node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return [f"{name[5:].replace('_', ' ').capitalize()}." for name in names]


def test_prose_and_names_have_no_odd_phrases() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    others = [path for path in modules_of_tests() if path not in (ROOT / "tests" / "test_house.py",)]
    texts = [(path, text) for path in pages for text in paragraphs(path)]
    texts += [(path, text) for path in (*sources(), *others) for text in literals(path)]
    texts += [(path, text) for path in modules_of_tests() for text in sentences_of_tests(path)]
    odd = [f"{path.relative_to(ROOT)}: {found}: {text[:200]}" for path, text in texts for found in odd_phrases(text)]
    assert odd == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What was sent is kept.", ["headless who or what"]),
        ("It is kept. Whoever asks\nwaits.", ["headless who or what"]),
        ("What was sent?", []),
        ("the image is none", ["is none"]),
        ("None where there is none", []),
        ("an object that is cut short is said", ["is said"]),
        ("as it is by now, after so many tries", ["by now", "so many"]),
    ],
)
def test_patterns_find_odd_phrases(text: str, found: list[str]) -> None:
    assert odd_phrases(text) == found


def test_help_loads_nothing_heavy() -> None:
    """``segnode --help`` answers at once: no network, no graph, no image library."""
    heavy = ("torch", "holoscan", "monai", "nnunetv2", "SimpleITK", "highdicom", "scipy", "dbos")
    program = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from app.cli.main import cli\n"
        "result = CliRunner().invoke(cli, ['--help'])\n"
        "assert result.exit_code == 0, result.output\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter and program text
    assert done.returncode == 0, done.stderr


def test_the_constraints_pin_torch_without_a_local_suffix() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert "torch==2.13.0" in pins
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[^+@ ]+", pin) for pin in pins)
