"""Converted networks: what is damaged or foreign is made again, and several processes make one."""

import json
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from segmentation.backends.converted import GRAPH, NUMBERS, RECORD, Conversion, ConversionFailed, conversions_of
from segmentation.importing.add import add_package
from segmentation.package.package import Package
from segmentation.package.store import list_packages
from tests.support.tiny_models import make_results_folder

pytestmark = pytest.mark.usefixtures("openvino")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A package with its converted network."""
    folder = tmp_path_factory.mktemp("models")
    package = add_package(make_results_folder(folder / "source"), "tiny", folder / "models")
    next(conversions_of(package)).make()
    return package


@pytest.fixture
def conversion(made: Package, tmp_path: Path) -> Conversion:
    """The network in a cache of the test's own."""
    shutil.copytree(made.folder.parent / ".converted", tmp_path / ".converted")
    return next(conversions_of(made, tmp_path / ".converted"))


def _cut(place: Path) -> None:
    (place / NUMBERS).write_bytes((place / NUMBERS).read_bytes()[:-8])


def _turn_a_bit(place: Path) -> None:
    content = bytearray((place / NUMBERS).read_bytes())
    content[len(content) // 2] ^= 1
    (place / NUMBERS).write_bytes(content)


def _change_the_graph(place: Path) -> None:
    (place / GRAPH).write_text((place / GRAPH).read_text().replace("<net", "<net "))


def _change_the_record(**changes: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        record = json.loads((place / RECORD).read_text())
        (place / RECORD).write_text(json.dumps(record | changes))

    return change


def _remove(name: str) -> Callable[[Path], None]:
    return lambda place: (place / name).unlink()


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _turn_a_bit,
        _change_the_graph,
        _change_the_record(weights="0" * 64),
        _change_the_record(network="0" * 64),
        _change_the_record(version="2020.1"),
        _change_the_record(backend="another"),
        lambda place: (place / RECORD).write_text("{"),
        _remove(RECORD),
        _remove(GRAPH),
        _remove(NUMBERS),
    ],
)
def test_damaged_and_foreign_files_are_made_again(
    conversion: Conversion, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    sound = conversion.read()
    assert sound is not None
    damage(conversion.place)
    with caplog.at_level(logging.INFO, "segnode"):
        assert conversion.read() is None
        assert caplog.messages == ["converted_network_refused"]
        again = conversion.make()
    assert again[1] == sound[1]
    assert conversion.read() == again
    assert "network_converted" in caplog.messages
    assert sorted(path.name for path in conversion.place.parent.iterdir()) == [conversion.place.name]


def test_another_network_with_the_same_weights_has_another_place(conversion: Conversion) -> None:
    configuration = conversion.configuration
    spec = configuration.network.model_copy(
        update={"operations": {**configuration.network.operations, "nonlin": "ReLU"}}
    )
    other = Conversion(
        conversion.package, configuration.model_copy(update={"network": spec}), conversion.fold, conversion.cache
    )
    assert other.place != conversion.place
    assert other.read() is None
    shutil.copytree(conversion.place, other.place)
    assert other.read() is None


def test_several_at_once_make_one(made: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    conversion = next(conversions_of(made, tmp_path / ".converted"))
    found: list[tuple[bytes, bytes]] = []
    threads = [threading.Thread(target=lambda: found.append(conversion.make())) for _ in range(3)]
    with caplog.at_level(logging.INFO, "segnode"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]
    assert caplog.messages == ["network_converted"]


def test_a_network_that_computes_something_else_is_not_kept(
    made: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversion = next(conversions_of(made, tmp_path / ".converted"))
    monkeypatch.setattr("segmentation.backends.converted.AGREEMENT", -1.0)
    with pytest.raises(ConversionFailed, match="differ by"):
        conversion.make()
    assert not conversion.place.exists()


def test_the_cache_is_no_package_and_outside_of_the_seal(made: Package) -> None:
    assert list_packages([made.folder.parent]) == [made.folder]
    assert not any("converted" in name for name in made.sums)
    assert not list(made.folder.rglob("*.xml"))


def test_a_place_that_cannot_be_written_is_an_error_of_the_disk(made: Package, tmp_path: Path) -> None:
    (tmp_path / ".converted").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="directory"):
        next(conversions_of(made, tmp_path / ".converted")).make()
