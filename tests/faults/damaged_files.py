"""Damaged image files in great number, by seed: ``python -m tests.faults.damaged_files --tries 1000``.

A file is cut at any place, or one to three of its bits are flipped, and is then read as the service reads it. It gives
a refusal, or the very image that was written: the bit meant nothing (a comment, a gzip file's time).
Any other image counts as a mask from a damaged file, since a model would make one of it. The exit code is then 1.

Bits that no reader can check are left alone: voxels that are not compressed, the slope and intercept of an uncompressed
NIfTI, and the numbers in the text of NRRD and MetaImage that place the image: nothing else in the file says the same.
"""

import argparse
import logging
import random
import re
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.errors import UnreadableImage
from core.image_files.reader import read_array, read_grid
from tests.support.image_files import FORMS, SIZE, voxels, write_form

KINDS = (np.int16, np.uint8, np.float32)
PLACES = re.compile(
    rb"(?:space directions|space origin|TransformMatrix|Offset|CenterOfRotation|ElementSpacing)(?:: | = )([^\n]*)\n"
)
SCALE = range(112, 120)
"""Slope and intercept in a NIfTI header."""
HALF_A_VOXEL = 0.5
"""mm; a bit of a position within it moves nothing, and the two forms of a NIfTI may differ by as much."""


def unchecked(content: bytes, name: str) -> set[int]:
    """Places of bytes that no reader can check."""
    if name.endswith(".nii"):
        return {*SCALE, *range(int(struct.unpack_from("<f", content, 108)[0]), len(content))}
    if name.endswith(".gz"):
        return set()
    numbers = {at for found in PLACES.finditer(content) for at in range(*found.span(1))}
    if name.startswith("raw"):
        size = int(np.prod(SIZE)) * KINDS_OF[content_kind(content)]
        numbers |= set(range(len(content) - size, len(content)))
    return numbers


KINDS_OF = {"short": 2, "unsigned char": 1, "float": 4, "MET_SHORT": 2, "MET_UCHAR": 1, "MET_FLOAT": 4}


def content_kind(content: bytes) -> str:
    """The type of the voxels, as the text in front of them names it."""
    found = re.search(rb"^(?:type: |ElementType = )([^\n]*)$", content, re.MULTILINE)
    assert found is not None
    return found[1].decode()


def damaged(content: bytes, name: str, chance: random.Random) -> tuple[str, bytes]:
    """Damage a file, and say how."""
    if chance.random() < 0.4:
        return "cut", content[: chance.randrange(len(content))]
    changed, spared = bytearray(content), unchecked(content, name)
    places = [at for at in range(len(content)) if at not in spared]
    for _ in range(chance.randrange(1, 4)):
        changed[chance.choice(places)] ^= 1 << chance.randrange(8)
    return "flipped", bytes(changed)


def outcomes(folder: Path, tries: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield the damage done to each file, and its outcome: ``refused``, ``unchanged`` or ``another image``."""
    chance = random.Random(seed)  # noqa: S311 - test data
    whole = {}
    for name in FORMS:
        for number, kind in enumerate(KINDS):
            array = voxels(seed + number, kind)
            path = write_form(folder / name, array)
            whole[name, number] = path.read_bytes(), array, read_grid(path)
    for number in range(tries):
        name = FORMS[number % len(FORMS)]
        content, array, grid = whole[name, chance.randrange(len(KINDS))]
        how, changed = damaged(content, name, chance)
        path = folder / f"damaged-{name}"
        path.write_bytes(changed)
        try:
            found, at = read_array(path)
        except UnreadableImage:
            came = "refused"
        else:
            same = found.shape == array.shape and np.array_equal(found, array) and at.same_grid(grid, HALF_A_VOXEL)
            came = "unchanged" if same and (how == "flipped" or changed == content) else "another image"
        yield f"{how} {name}", came


def main() -> None:
    """Damage files, and print the figures."""
    parser = argparse.ArgumentParser(description="Read damaged image files.")
    parser.add_argument("--tries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as folder:
        seen = Counter(outcomes(Path(folder), arguments.tries, arguments.seed))
    by_outcome = Counter(dict.fromkeys(("refused", "unchanged", "another image"), 0))
    for (how, came), count in sorted(seen.items()):
        by_outcome[came] += count
        logging.info("%-44s%10d", f"{how}: {came}", count)
    logging.info("%-44s%10d", "files", arguments.tries)
    logging.info("%-44s%10d", "refused", by_outcome["refused"])
    logging.info("%-44s%10d", "read as written", by_outcome["unchanged"])
    logging.info("%-44s%10d", "damaged files that gave a mask", by_outcome["another image"])
    sys.exit(1 if by_outcome["another image"] else 0)


if __name__ == "__main__":
    main()
