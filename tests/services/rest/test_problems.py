"""Answers of REST to calls that are wrong before any work: each has a code and names what is missing."""

from collections.abc import Iterator

import pytest
from fastapi import Body, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from services.rest.problems import add_problem_handlers


class Wanted(BaseModel):
    """A body."""

    image_path: str


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    add_problem_handlers(app, 5)

    @app.post("/work")
    async def work(wanted: Wanted = Body()) -> str:  # noqa: B008 - FastAPI's way to say so
        return wanted.image_path

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "The header Content-Type is missing; it must be application/json."),
        ({"Content-Type": "text/plain"}, "The header Content-Type must be application/json."),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "The header Content-Type must be application/json."),
    ],
)
def test_a_missing_content_type_is_named(client: TestClient, headers: dict[str, str], detail: str) -> None:
    answer = client.post("/work", content=b'{"image_path": "x"}', headers=headers)
    assert answer.status_code == 422
    assert (answer.json()["code"], answer.json()["detail"]) == ("invalid_request", detail)


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8"])
def test_a_body_that_is_wrong_is_told_by_its_field(client: TestClient, media_type: str) -> None:
    answer = client.post("/work", content=b"{}", headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "Content-Type" not in answer.json()["detail"]
    assert "image_path" in answer.json()["detail"]


def test_unknown_path_and_method_have_codes_of_their_own(client: TestClient) -> None:
    answer = client.post("/nowhere", json={})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_path")
    answer = client.put("/work", json={})
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"
    assert answer.headers["Content-Type"] == "application/problem+json"
