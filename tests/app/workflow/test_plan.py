"""The plan of a run: made once from the routes, kept in the revision, and made anew for a further run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from pydicom.uid import generate_uid

from app.cli.spool import rebuild
from app.settings.route import Route
from app.workflow.routing import StudyPlan, is_possible, plan_study
from dicom_io.images.headers.facts import SeriesFacts
from dicom_io.spool.records import Plan, PlannedDelivery
from tests.support.node_process import NodeProcess, wait_until, write_study
from tests.support.peers import StorageServer, store

CT = SeriesFacts("CT", "ABDOMEN", "abdomen", "portal", "")
MR = SeriesFacts("MR", "ABDOMEN", "abdomen", "t2", "")


def route(modality: str, models: list[str], destinations: list[str], **more: object) -> Route:
    content = {"called_ae": "LIVER", "rules": {"modality": [modality]}, "models": models, "destinations": destinations}
    return Route.model_validate(content | more)


ROUTES = [
    route("CT", ["liver", "vessels"], ["pacs", "archive"], notices=["refused"]),
    route("CT", ["vessels", "tumor"], ["pacs"], notices=["failed"], priority="stat"),
    route("MR", ["prostate"], ["other"]),
]


def test_plan_joins_what_all_routes_say_of_a_destination() -> None:
    plan = plan_study(ROUTES, "LIVER", [CT]).for_run(2, {"archive": ("seg", "sr")})
    assert plan == Plan(
        2,
        {
            "pacs": PlannedDelivery(("liver", "vessels", "tumor"), ("failed", "refused"), ("seg",)),
            "archive": PlannedDelivery(("liver", "vessels"), ("refused",), ("seg", "sr")),
        },
    )
    assert plan.models == ["liver", "tumor", "vessels"]
    assert plan.outputs == {"liver": ("seg", "sr"), "tumor": ("seg",), "vessels": ("seg", "sr")}


def test_study_that_no_route_takes_has_an_empty_plan() -> None:
    assert plan_study(ROUTES, "OTHER", [CT]) == StudyPlan(())
    assert plan_study(ROUTES, "OTHER", [CT]).for_run(0, {}) == Plan(0, {})


def test_priority_is_that_of_the_routes_which_the_study_takes() -> None:
    assert plan_study(ROUTES, "LIVER", [MR, CT]).priority == "stat"
    assert plan_study(ROUTES, "LIVER", [MR]).priority == "routine"


def test_plan_can_be_followed_as_long_as_routes_know_its_models_and_destinations() -> None:
    plan = plan_study(ROUTES, "LIVER", [CT]).for_run(0, {})
    assert is_possible(plan, ROUTES)
    assert is_possible(plan, [route("US", ["liver", "vessels", "tumor"], ["archive", "pacs"])])
    assert not is_possible(plan, ROUTES[:1])
    assert not is_possible(plan, [route("CT", ["liver", "vessels", "tumor"], ["pacs"])])


@pytest.fixture
def servers(peer: Callable[[str], str], tmp_path: Path) -> Iterator[dict[str, StorageServer]]:
    started = {name: StorageServer(peer("storescp"), tmp_path / name).start() for name in ("first", "second")}
    yield started
    for server in started.values():
        server.stop()


@pytest.fixture
def node(tmp_path: Path, servers: dict[str, StorageServer]) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path / "node", {name: (server.port, "PACS") for name, server in servers.items()})
    send_to(node, "first")
    node.start()
    yield node
    node.stop()


def send_to(node: NodeProcess, *destinations: str) -> None:
    settings = yaml.safe_load(node.config.read_text())
    node.set(routes=[{**settings["routes"][0], "destinations": list(destinations)}])


def stop_once_planned(node: NodeProcess, storescu: str, folder: Path) -> str:
    """Send a study that its worker holds, stop the node as soon as the run has a plan, and return the study's UID."""
    study = str(generate_uid())
    content = write_study(folder / "study", study, description="held")
    assert store(storescu, node.port, "SEGNODE", content) == 0
    wait_until(lambda: (found := node.latest(study)) and found.read_state().get("plan"))
    node.stop()
    return study


def received(servers: dict[str, StorageServer]) -> dict[str, int]:
    return {name: len(server.received()) for name, server in servers.items()}


def test_run_that_has_begun_keeps_its_plan_and_a_further_run_makes_another(
    node: NodeProcess, servers: dict[str, StorageServer], peer: Callable[[str], str], tmp_path: Path
) -> None:
    study = stop_once_planned(node, peer("storescu"), tmp_path)
    send_to(node, "first", "second")
    (node.folder / "go").touch()
    node.start()
    assert node.wait_for_end(study)["plan"]["destinations"].keys() == {"first"}
    assert received(servers) == {"first": 1, "second": 0}
    latest = node.latest(study)
    assert latest is not None
    node.studies("retry", latest.key)
    assert node.wait_for_end(study, revision=1)["plan"]["destinations"].keys() == {"first", "second"}
    assert received(servers) == {"first": 2, "second": 1}


def test_run_whose_destination_is_gone_is_planned_anew(
    node: NodeProcess, servers: dict[str, StorageServer], peer: Callable[[str], str], tmp_path: Path
) -> None:
    study = stop_once_planned(node, peer("storescu"), tmp_path)
    send_to(node, "second")
    (node.folder / "go").touch()
    node.start()
    assert node.wait_for_end(study)["state"] == "delivered"
    assert received(servers) == {"first": 0, "second": 1}


def test_rebuilt_database_plans_anew(
    node: NodeProcess, servers: dict[str, StorageServer], peer: Callable[[str], str], tmp_path: Path
) -> None:
    study = stop_once_planned(node, peer("storescu"), tmp_path)
    send_to(node, "first", "second")
    rebuild(node.config)
    (node.folder / "go").touch()
    node.start()
    end = node.wait_for_end(study)
    assert (end["run"], end["plan"]["run"]) == (1, 1)
    assert received(servers) == {"first": 1, "second": 1}
