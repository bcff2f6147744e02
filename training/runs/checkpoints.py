"""Checkpoints of a fold, in nnU-Net's format and under its names: written aside and renamed, the newest two deep.

``torch.save`` is not atomic, so a process that dies in it would leave half a checkpoint in the place of a whole one.
"""

from collections.abc import Callable
from pathlib import Path

from core.errors import PackageInvalid
from core.files import sync_file, sync_folder
from segmentation.importing.checkpoints import read_checkpoint

FINAL, LATEST, PREVIOUS, BEST = (f"checkpoint_{name}.pth" for name in ("final", "latest", "latest_previous", "best"))
"""Names of checkpoints; stock nnU-Net knows all but the third."""


def write_checkpoint(path: Path, save: Callable[[Path], None]) -> None:
    """Let a checkpoint be written aside, then take its place; the latest one before it is kept.

    Parameters
    ----------
    path
        Its place.
    save
        Writes the file it is given, or nothing where checkpoints are turned off.

    Raises
    ------
    OSError, RuntimeError
        If it cannot be written, as on a full disk; all that was there is still there.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        save(aside)
        if not aside.exists():
            return
        sync_file(aside)
        if path.name == LATEST and path.exists():
            path.replace(path.with_name(PREVIOUS))
        aside.replace(path)
        sync_folder(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def forget_latest(folder: Path) -> None:
    """Remove what the final checkpoint makes superfluous."""
    for name in (LATEST, PREVIOUS):
        (folder / name).unlink(missing_ok=True)


def candidates(folder: Path) -> list[Path]:
    """Return the checkpoints that training may go on from, the best choice first: the final one, then the newest."""
    final = folder / FINAL
    others = [folder / name for name in (LATEST, PREVIOUS, BEST) if (folder / name).exists()]
    newest = sorted(others, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [final, *newest] if final.exists() else newest


def choose(folder: Path, say: Callable[[str], None]) -> Path | None:
    """Return the first checkpoint that can be read, and say of each that cannot; None where there is none.

    Each is read with torch's unpickler of plain weights, so that nnU-Net's own, which runs what a file names, meets
    no file that names more.
    """
    for path in candidates(folder):
        try:
            read_checkpoint(path)
        except PackageInvalid as error:
            say(f"{path.name} cannot be read, so an older checkpoint is taken: {error}")
        else:
            return path
    return None
