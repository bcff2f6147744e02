"""The memory that a study of many images takes while its headers are looked at."""

import json
from pathlib import Path

from tests.support.many_headers import IN_A_SERIES, measure, write_images

FEW, MANY = 500, 5000
MOST_BYTES_A_FILE = 14_000
"""Of what 50,000 images may take (1 GB), less what the program takes without any: 200 MB, and some."""


def test_each_image_takes_a_few_kilobytes(tmp_path: Path) -> None:
    write_images(tmp_path / "few", FEW)
    write_images(tmp_path / "many", MANY)
    few, many = measure(tmp_path / "few"), measure(tmp_path / "many")
    assert (few.code, many.code) == (0, 0)
    (study,) = json.loads(many.output)["studies"]
    assert [one["images"] for one in study["series"]] == [IN_A_SERIES] * (MANY // IN_A_SERIES)
    assert all(volume["geometry"]["is_regular"] for one in study["series"] for volume in one["volumes"])
    assert (many.peak_bytes - few.peak_bytes) / (MANY - FEW) < MOST_BYTES_A_FILE
