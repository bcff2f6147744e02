"""Two studies overlap: one is read or written while the network works on the other; networks never do."""

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.graph_runner import Segmenter, timed_studies
from app.study_run import StudyRun
from app.workflow.study_places import GaveWay
from core.errors import RetryLater
from dicom_io.images.study import Study
from dicom_io.images.volume import VolumeReader
from dicom_io.results.outbox import StudyOutbox
from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import make_series, save_series
from phantom.tags import StudyTags
from segmentation.inference.available_memory import Memory
from segmentation.inference.engine import Engine
from segmentation.package.package import load_package
from tests.e2e.conftest import make_model

LONG_S = 120.0
NOTES = ("Images were still coming after 60 s.",)


@pytest.fixture
def segmenter(tmp_path: Path) -> Segmenter:
    make_model(tmp_path / "models", tmp_path / "nnunet", "tiny", {"modality": ["CT"]})
    return Segmenter({"tiny": load_package(tmp_path / "models" / "tiny")}, "cpu")


@pytest.fixture
def studies(tmp_path: Path) -> list[Study]:
    for number in range(2):
        geometry = trunk_geometry((12.0, 6.0, 6.0), extent=(180.0, 240.0, 300.0))
        series = make_series(make_phantom(geometry, phase="P"), study=StudyTags(patient_id=f"patient {number}"))
        save_series(series, tmp_path / "in" / str(number))
    return [study for study, _ in timed_studies(tmp_path / "in")]


def test_one_is_read_and_written_while_the_network_works_on_the_other(
    segmenter: Segmenter, studies: list[Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each end is held until the other study has come to the place where it would not be if they took turns."""
    both_read, second_network = threading.Semaphore(0), threading.Event()
    read, segment, put_seg = VolumeReader.read, Engine.segment, StudyOutbox.put_seg
    order: list[bool] = []
    networks: list[int] = []

    def note_read(self: VolumeReader, *arguments: Any) -> Any:
        found = read(self, *arguments)
        both_read.release()
        return found

    def hold_the_first_network(self: Engine, *arguments: Any, **more: Any) -> Any:
        networks.append(1)
        if len(networks) == 1:
            order.extend(both_read.acquire(timeout=LONG_S) for _ in range(2))
        else:
            second_network.set()
        return segment(self, *arguments, **more)

    def hold_the_first_object(self: StudyOutbox, *arguments: Any) -> Any:
        order.append(second_network.wait(LONG_S))
        return put_seg(self, *arguments)

    monkeypatch.setattr(VolumeReader, "read", note_read)
    monkeypatch.setattr(Engine, "segment", hold_the_first_network)
    monkeypatch.setattr(StudyOutbox, "put_seg", hold_the_first_object)
    reports: list[Any] = []
    run = StudyRun(tmp_path / "in", tmp_path / "out", ("tiny",), notes=NOTES)
    threads = [
        threading.Thread(target=lambda one=study: reports.append(segmenter.run_study(one, run))) for study in studies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == [True] * 4
    assert [report.outcome for report in reports] == ["segmented"] * 2
    # What was noted of a study before it was run is for the reader of its report.
    written = [json.loads((tmp_path / "out" / report.study / "report.json").read_text()) for report in reports]
    assert [content["notes"] for content in written] == [list(NOTES)] * 2


def test_an_error_of_the_network_ends_its_own_study_with_its_own_type(
    segmenter: Segmenter, studies: list[Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NetworkBrokeError(Exception):
        pass

    segment, calls = Engine.segment, []

    def fail_once(self: Engine, *arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise NetworkBrokeError
        return segment(self, *arguments, **more)

    monkeypatch.setattr(Engine, "segment", fail_once)
    ended: list[Any] = []
    run = StudyRun(tmp_path / "in", tmp_path / "out", ("tiny",))

    def work(study: Study) -> None:
        try:
            ended.append(segmenter.run_study(study, run).outcome)
        except NetworkBrokeError as error:
            ended.append(type(error))

    threads = [threading.Thread(target=work, args=(study,)) for study in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert set(ended) == {NetworkBrokeError, "segmented"}


class GivesWay:
    """Turns of a study that gives its place back when it comes to its network."""

    @contextmanager
    def network(self) -> Iterator[None]:
        raise GaveWay("an urgent study needs the memory")
        yield

    def waiting(self) -> AbstractContextManager[None]:
        return nullcontext()


def test_a_study_that_gives_way_leaves_the_graph_and_its_memory_before_its_network(
    segmenter: Segmenter, studies: list[Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = StudyRun(tmp_path / "in", tmp_path / "out", ("tiny",))
    with monkeypatch.context() as patched:
        patched.setattr(Engine, "segment", lambda *arguments, **more: pytest.fail("its network ran"))
        with pytest.raises(GaveWay, match="an urgent study needs the memory"):
            segmenter.run_study(studies[0], replace(run, turns=GivesWay()))
    # With no memory that is free, the second would wait for ever if the first one's were still reserved.
    monkeypatch.setattr(segmenter._models, "_host", lambda: Memory(0, 2**40))
    with pytest.raises(RetryLater, match="not enough memory now"):
        segmenter.run_study(studies[1], run)
    monkeypatch.undo()
    assert segmenter.run_study(studies[1], run).outcome == "segmented"
