"""What a folder of DICOM may hold."""

from pathlib import Path

import pytest

from core.errors import RequestCode, RequestRefused
from services.images import ImageReader
from tests.services.cases import shared


def test_a_folder_with_a_link_that_leaves_its_root_is_refused(tmp_path: Path) -> None:
    folder, outside = tmp_path / "volume" / "0001", tmp_path / "outside.dcm"
    folder.mkdir(parents=True)
    outside.write_bytes(b"another patient's")
    (folder / "1.dcm").write_bytes(b"own")
    (folder / "2.dcm").symlink_to("1.dcm")
    ImageReader().digest(shared(folder, tmp_path / "volume"))
    (folder / "3.dcm").symlink_to(outside)
    with pytest.raises(RequestRefused) as caught:
        ImageReader().digest(shared(folder, tmp_path / "volume"))
    assert caught.value.code == RequestCode.PATH_OUTSIDE_ROOTS
