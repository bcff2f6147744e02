"""STAT by rule: an urgent study overtakes those that wait, to the models and to the destinations."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pydicom.uid import generate_uid

from app.settings.route import Route, Rules
from app.workflow.routing import matching_routes
from dicom_io.images.headers.facts import SeriesFacts
from dicom_io.spool.records import State
from tests.support.node_process import NodeProcess, make_image, wait_until
from tests.support.peers import StorageServer, store
from tests.support.stub_worker import GO


def test_an_urgent_study_overtakes_those_that_wait(peer: Callable[[str], str], tmp_path: Path) -> None:
    pacs = StorageServer(peer("storescp"), tmp_path / "pacs").start()
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS")}, quiet_seconds=0.5)
    content = yaml.safe_load(node.config.read_text())
    (route,) = content["routes"]
    urgent = {"rules": {"requested_priority": ["STAT", "HIGH"]}, "priority": "stat"}
    node.set(routes=[route, route | urgent, route | {"called_ae": "URGENT", "priority": "stat"}])
    node.start()

    def send(called_ae: str, requested: str = "", wish: str = "") -> str:
        study = str(generate_uid())
        folder = tmp_path / study
        folder.mkdir()
        image = make_image(study, description=wish)
        image.RequestedProcedurePriority = requested
        image.save_as(folder / "1.dcm", enforce_file_format=True)
        assert store(peer("storescu"), node.port, called_ae, folder) == 0
        return study

    def is_queued(study: str) -> bool:
        latest = node.latest(study)
        return latest is not None and latest.state is State.WAITING and not node.spool.is_open(latest.key)

    def networks() -> list[str]:
        stages = node.folder / "stages.txt"
        lines = [line.split() for line in stages.read_text().splitlines()] if stages.exists() else []
        return [study for study, stage in lines if stage == "network"]

    try:
        routine = [send("SEGNODE", wish="held")]
        wait_until(lambda: networks() == routine[:1])
        routine += [send("SEGNODE", requested) for requested in ("ROUTINE", "")]
        wait_until(lambda: is_queued(routine[2]))
        by_attribute, by_title = send("SEGNODE", "STAT"), send("URGENT")
        # The second routine study, which waited for its turn, has made room for one of them.
        wait_until(lambda: is_queued(routine[1]) and is_queued(by_attribute) != is_queued(by_title))
        (node.folder / GO).touch()
        for study in (*routine, by_attribute, by_title):
            assert node.wait_for_end(study)["state"] == "delivered"
        order = networks()
        assert order[0] == routine[0]
        assert set(order[1:3]) == {by_attribute, by_title}
        assert set(order[3:]) == set(routine[1:])
        priorities = {row["id"]: row["priority"] for row in node.studies("list")}
        latest = {study: node.latest(study) for study in (routine[0], by_attribute, by_title)}
        assert [priorities[one.key] for one in latest.values() if one] == ["routine", "stat", "stat"]
    finally:
        node.stop()
        pacs.stop()


@pytest.mark.parametrize(("requested", "fits"), [("STAT", True), ("HIGH", False), ("", False)])
def test_a_route_can_ask_for_the_requested_priority(requested: str, fits: bool) -> None:
    route = Route(called_ae="SEGNODE", rules=Rules(requested_priority=("STAT",)), models=("m",), destinations=("pacs",))
    facts = SeriesFacts("CT", "", "", "", requested)
    assert bool(matching_routes([route], "SEGNODE", [facts])) == fits
