"""Figures of the source tree itself: its rooms, the length of its files, the imports between rooms.

    python -m bench.house [CHECKOUT]

Only the text of the files is read, so that any checkout can be measured, an older one too.
"""

import ast
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

BESIDE = {"build", "demo", "docs", "tests"}
"""Folders at the top that are not rooms of the program."""


def sources(checkout: Path) -> dict[str, Path]:
    """Find the files by the dotted name of their module, generated ones left out."""
    rooms = [path for path in sorted(checkout.iterdir()) if path.is_dir() and path.name[0] != "."]
    files = [file for room in rooms if room.name not in BESIDE for file in sorted(room.rglob("*.py"))]
    named = {".".join(file.relative_to(checkout).with_suffix("").parts): file for file in files}
    return {name.removesuffix(".__init__"): file for name, file in named.items() if "_pb2" not in name}


def imports(file: Path) -> Iterator[str]:
    """Yield the dotted names that a module imports, anywhere in the file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: str, files: dict[str, Path]) -> str:
    """Return the folder of a module, dotted; a module at the top of a room is in the room itself."""
    return module if files[module].name == "__init__.py" else module.rpartition(".")[0]


def arrows(files: dict[str, Path]) -> Counter[tuple[str, str]]:
    """Count the imports between each two folders, by the number of files that make them."""
    found: Counter[tuple[str, str]] = Counter()
    for module, file in files.items():
        here = room_of(module, files)
        there = {room_of(name, files) for name in imports(file) if name in files}
        found.update((here, room) for room in there - {here})
    return found


def circles(files: dict[str, Path]) -> list[str]:
    """Find, for each folder that has one, a circle of imports among the items that lie side by side in it."""
    asked: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for module, file in files.items():
        for name in imports(file):
            if name in files and name != module:
                shared, ours, theirs = _parting(module, name)
                if ours and theirs:
                    asked[shared][ours].add(theirs)
    found = []
    for folder, graph in sorted(asked.items()):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            found.append(f"{folder or 'top'}: {' -> '.join(error.args[1])}")
    return found


def _parting(first: str, second: str) -> tuple[str, str, str]:
    """Find the folder that two modules share, and the next part of each one's name below it."""
    ours, theirs = first.split("."), second.split(".")
    shared = next(
        (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
    )
    return ".".join(ours[:shared]), ".".join(ours[shared : shared + 1]), ".".join(theirs[shared : shared + 1])


def main(checkout: Path) -> str:
    """Write the figures of a checkout as a table."""
    files = sources(checkout)
    lines = {name: len(file.read_text(encoding="utf-8").splitlines()) for name, file in files.items()}
    code = {name: count for name, count in lines.items() if files[name].name != "__init__.py"}
    loose: Counter[str] = Counter(room_of(name, files) for name in code)
    found = arrows(files)
    tops = Counter((a.split(".")[0], b.split(".")[0]) for a, b in found.elements())
    between = {pair: count for pair, count in tops.items() if pair[0] != pair[1]}
    longest = max(code, key=code.__getitem__)
    rows = [
        f"files {len(code)}, lines {sum(code.values())}, median {statistics.median(code.values()):.0f}, "
        f"longest {code[longest]} ({longest})",
        f"folders {len(loose)}, files in the fullest: "
        + ", ".join(f"{room} {count}" for room, count in loose.most_common(5)),
        f"arrows between folders {len(found)}",
        *(f"circle in {circle}" for circle in circles(files)),
        f"arrows between rooms {len(between)}",
    ]
    for pair, count in sorted(between.items()):
        rows.append(f"  {pair[0]} -> {pair[1]}: {count} files")
    rows += [f"{room:32}{count:4} files" for room, count in sorted(loose.items())]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")) + "\n")
