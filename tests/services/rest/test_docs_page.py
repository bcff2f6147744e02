"""The page at /docs comes from the service itself, with all that it refers to."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import pytest
from starlette.testclient import TestClient

from services.rest.app import make_rest_app
from services.rest.docs_page import docs_page
from services.tokens import Tokens


class Page(HTMLParser):
    """References, elements and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.elements: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


@pytest.fixture
def caller() -> TestClient:
    nothing: Any = None
    return TestClient(make_rest_app(nothing, nothing, nothing, Tokens(None), 5))


def read(caller: TestClient, path: str = "/docs") -> Page:
    page = Page()
    page.feed(caller.get(path).text)
    return page


def test_the_page_and_all_it_refers_to_come_from_the_service(caller: TestClient) -> None:
    answer = caller.get("/docs")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    page = read(caller)
    assert page.references
    for reference in page.references:
        whole = urljoin("http://testserver/docs", reference)
        assert whole.startswith("http://testserver/"), reference
        assert caller.get(whole).status_code == 200
    assert not {"script", "img", "link", "iframe", "object", "embed"} & set(page.elements)
    assert "url(" not in answer.text
    assert "@import" not in answer.text


def test_its_policy_lets_a_browser_load_nothing_for_it(caller: TestClient) -> None:
    policy = dict(
        part.strip().split(" ", 1) for part in caller.get("/docs").headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert set(policy) == {"default-src", "style-src", "base-uri", "form-action", "frame-ancestors"}
    assert policy["style-src"] == "'unsafe-inline'"


def test_every_endpoint_and_field_is_on_it(caller: TestClient) -> None:
    described, page = caller.get("/openapi.json").json(), read(caller)
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in page.text
            assert operation["summary"] in page.text
    for name in ("TotalsegRequest", "VesselRequest", "AliasImages", "BatchRequest", "PostprocessRequest"):
        for field in described["components"]["schemas"][name]["properties"]:
            assert field in page.text, (name, field)


def test_text_of_a_description_is_no_markup() -> None:
    described = {
        "info": {"title": "<script>", "version": "1", "description": "a & b"},
        "paths": {"/<x>": {"get": {"summary": "<img src=//elsewhere>"}}},
    }
    page = Page()
    page.feed(docs_page(described))
    assert not {"script", "img"} & set(page.elements)
    assert page.references == ["openapi.json"]


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect"])
def test_no_page_of_the_framework_is_left(caller: TestClient, path: str) -> None:
    assert (caller.get(path).status_code, caller.get(path).json()["code"]) == (404, "unknown_path")
