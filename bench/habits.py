"""Figures of how a checkout is written: docstrings that ask, records taken by key, signatures that repeat.

    python -m bench.habits [CHECKOUT]

Only the text of the files is read, so that any checkout can be measured, an older one too.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from bench.house import imports, sources
from dicom_io.spool.records import Delivery, Outcome, RecordedClaim, RecordedReason, RevisionState

QUESTION = re.compile(r"(Who|Whom|Whose|Whoever|What|How|Whether|Which|Where|When|Why)\b")
KEYS = {
    field.name for kind in (RevisionState, Outcome, Delivery, RecordedReason, RecordedClaim) for field in fields(kind)
}
WORK = {"key", "number", "run"}
"""Arguments that together say which run of which revision a function works on."""
NAMED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(tree: ast.AST) -> Iterator[str]:
    """Yield the docstrings of a module, its classes and its functions."""
    found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, NAMED))
    return (text for text in found if text)


def accesses_by_key(tree: ast.AST) -> int:
    """Count subscripts and ``get`` calls by a constant that is a key of the spool's records."""
    count = 0
    for node in ast.walk(tree):
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript):
            key = node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            key = node.args[0] if node.args else None
        count += isinstance(key, ast.Constant) and key.value in KEYS
    return count


def repeated_signatures(tree: ast.AST) -> int:
    """Count functions that take key, number and run one by one."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return sum({one.arg for one in node.args.args} >= WORK for node in functions)


def main(checkout: Path) -> str:
    """Write the figures of a checkout, a line each."""
    files = sources(checkout)
    trees = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in files.items()}
    texts = [text for tree in trees.values() for text in docstrings(tree)]
    asking = sum(bool(QUESTION.match(text)) for text in texts)
    of_the_spool = [
        name
        for name, file in files.items()
        if not name.endswith("spool.records")
        and (".spool" in name or any(one.startswith("dicom_io.spool") for one in imports(file)))
    ]
    by_key = {name: count for name in of_the_spool if (count := accesses_by_key(trees[name]))}
    rows = (
        f"docstrings {len(texts)}, opening with a question word {asking} ({100 * asking / len(texts):.1f} %)",
        f"accesses to records by key {sum(by_key.values())}, in files {len(by_key)}",
        f"functions that take key, number and run {sum(repeated_signatures(tree) for tree in trees.values())}",
    )
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")) + "\n")
