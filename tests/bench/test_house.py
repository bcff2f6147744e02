"""Figures of a source tree count every import, and a circle is found."""

from pathlib import Path

from bench.house import arrows, circles, main, sources


def write(checkout: Path, **files: str) -> Path:
    for name, text in files.items():
        path = checkout / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return checkout


def test_a_circle_between_files_and_one_between_rooms_are_found(tmp_path: Path) -> None:
    files = sources(
        write(
            tmp_path,
            app__one="from app.two import x\n",
            app__two="def f():\n    import app.one\n",
            core__low="from app.one import y\n",
            app__three="from core import low\n",
        )
    )
    assert [circle.split(":")[0] for circle in circles(files)] == ["top", "app"]
    assert arrows(files) == {("app", "core"): 1, ("core", "app"): 1}


def test_a_tree_in_order_has_none(tmp_path: Path) -> None:
    write(
        tmp_path, app__cli__run="from app.graph import x\nfrom core.errors import y\n", app__graph="", core__errors=""
    )
    write(tmp_path, tests__test_all="import app.graph\n", core__made_pb2="import app.graph\n")
    assert circles(sources(tmp_path)) == []
    assert "app -> core: 1 files" in main(tmp_path)
    assert "files 3," in main(tmp_path)
