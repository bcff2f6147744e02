"""The page at ``/docs``: every endpoint with its fields and a call to copy, of the OpenAPI description.

It is whole in itself, without script or any file beside it, since hospitals' networks do not reach the internet.
"""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy under which a browser loads nothing for this page."""

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; }
section { border-top: 1px solid #bbb; margin-top: 2rem; }
h2 { font: 600 1.1rem ui-monospace, monospace; overflow-wrap: anywhere; }
h2 b { color: #0a5; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid #ddd; }
pre { background: #f3f3f3; padding: 0.7rem; overflow-x: auto; }
"""

_Schema = Mapping[str, Any]


def add_docs_page(app: FastAPI) -> None:
    """Serve the page at ``/docs``."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()), headers={"Content-Security-Policy": POLICY})


def docs_page(openapi: _Schema) -> str:
    """Write the page of an OpenAPI description."""
    title = f"{openapi['info']['title']} {openapi['info']['version']}"
    sections = "".join(
        _section(method, path, operation, openapi)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p>{escape(openapi['info'].get('description', ''))}</p>"
        '<p>For programs: <a href="openapi.json">openapi.json</a>. A service with a tokens_file wants the header '
        f"<code>Authorization: Bearer TOKEN</code> under /v1/.</p>{sections}</body></html>"
    )


def _section(method: str, path: str, operation: _Schema, openapi: _Schema) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    kinds = list(_kinds(body, openapi)) if body else []
    parameters = [
        (p["name"], p["in"], p.get("required", False), p["schema"], p) for p in operation.get("parameters", ())
    ]
    tables = _table(
        "Parameter", [(f"{name} ({place})", must, schema, told) for name, place, must, schema, told in parameters]
    )
    for kind in kinds:
        required = kind.get("required", ())
        rows = [(name, name in required, schema, schema) for name, schema in kind.get("properties", {}).items()]
        tables += f"<p>{escape(kind.get('description', ''))}</p>" + _table("Field", rows)
    call = escape(_call(method, path, kinds[0] if kinds else None))
    summary = escape(operation.get("summary", ""))
    return (
        f"<section><h2><b>{method.upper()}</b> {escape(path)}</h2><p>{summary}</p>{tables}<pre>{call}</pre></section>"
    )


def _table(head: str, rows: list[tuple[str, bool, _Schema, _Schema]]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{'yes' if must else 'no'}</td>"
        f"<td>{escape(_type(schema))}</td><td>{escape(str(told.get('description', '')))}</td></tr>"
        for name, must, schema, told in rows
    )
    return f"<table><tr><th>{head}</th><th>Needed</th><th>Type</th><th>Meaning</th></tr>{lines}</table>"


def _kinds(schema: _Schema, openapi: _Schema) -> Iterator[_Schema]:
    """Yield the objects that a body may be."""
    if "$ref" in schema:
        yield from _kinds(openapi["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]], openapi)
    elif "oneOf" in schema:
        for one in schema["oneOf"]:
            yield from _kinds(one, openapi)
    else:
        yield schema


def _type(schema: _Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several] if one.get("type") != "null")
    if "const" in schema or "enum" in schema:
        return " | ".join(map(str, schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type", "any"))


def _call(method: str, path: str, kind: _Schema | None) -> str:
    """Write a call by curl, with the examples of the fields that are needed, or that have one."""
    words = ["curl", *([] if method in ("get", "post") else ["-X", method.upper()])]
    if kind is not None:
        fields = kind.get("properties", {}).items()
        content = {name: schema["examples"][0] for name, schema in fields if schema.get("examples")}
        content |= {name: schema["const"] for name, schema in fields if name == "task" and path.endswith("/jobs")}
        words += ["--json", f"'{json.dumps(content)}'"]
    return " ".join([*words, f"http://127.0.0.1:8081{path}"])
