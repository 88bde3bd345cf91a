"""`/openapi.json` documents every route, with the types that validate it."""

import inspect
import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import falcon
import falcon.testing
import pytest

from appliance.api.app import build
from appliance.api.chat.schemas import NewSession
from appliance.api.middleware.auth import OPEN
from appliance.api.openapi.document import document
from appliance.api.openapi.operation import App, Operations
from appliance.config.schema import Config


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    """The app with its whole route table, and mocks behind it."""
    parts: dict[str, Any] = {name: MagicMock() for name in inspect.signature(build).parameters}
    parts["guard"].rule_of.return_value = OPEN
    parts["guard"].return_value.key_id = parts["guard"].return_value.scope = None
    parts["guard"].auth = False
    real = {"config": Config(), "ui": tmp_path_factory.mktemp("ui"), "version": "1.2.3"}
    return build(**{**parts, **real})


@pytest.fixture(scope="module")
def spec(app: App) -> dict[str, Any]:
    response = falcon.testing.TestClient(app).simulate_get("/openapi.json")
    assert response.status_code == 200
    found: dict[str, Any] = response.json
    return found


def operations(spec: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_route_of_the_table_says_what_it_takes_and_gives(app: App) -> None:
    assert len(app.routes) > 10
    silent = [
        f"{method} {route.path}: put @operation(…) above its responder"
        for route in app.routes
        for method in route.own
        if route.operation(method) is None
    ]
    assert silent == []


def test_the_document_has_every_route(app: App, spec: dict[str, Any]) -> None:
    table = {
        (re.sub(r"\{(\w+)[^}]*\}", r"{\1}", route.path), method.lower())
        for route in app.routes
        for method in route.own
    }
    assert {(path, method) for path, method, _ in operations(spec)} == table
    assert ("/v1/chat/completions", "post") in table


def test_operations_have_unique_ids_and_a_summary(spec: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(spec)]
    assert len(set(ids)) == len(ids)
    assert [path for path, _, operation in operations(spec) if not operation["summary"]] == []


def test_references_lead_somewhere(spec: dict[str, Any]) -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "$ref":
                    yield value
                elif key == "mapping":
                    yield from value.values()
                else:
                    yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    found = set(references(spec))
    assert found
    known = {f"#/components/schemas/{name}" for name in spec["components"]["schemas"]}
    assert found <= known


def test_the_schema_is_the_one_that_validates(spec: dict[str, Any]) -> None:
    assert spec["components"]["schemas"]["TurnIn"]["additionalProperties"] is False
    schema = spec["components"]["schemas"]["ChatCompletionRequest"]
    assert "additionalProperties" not in schema  # what isn't known is ignored
    assert schema["required"] == ["messages"]
    temperature = schema["properties"]["temperature"]["anyOf"][0]
    assert (temperature["minimum"], temperature["maximum"]) == (0, 2)


def test_every_number_that_is_taken_fits_where_it_goes(spec: dict[str, Any]) -> None:
    """JSON numbers are unbounded; those of the worker's frames and of SQLite are not."""
    schemas = spec["components"]["schemas"]
    seen: set[str] = set()

    def unbounded(node: Any, place: str) -> Iterator[str]:
        if isinstance(node, list):
            for item in node:
                yield from unbounded(item, place)
        elif isinstance(node, dict):
            name = node.get("$ref", "").rpartition("/")[2]
            if name and name not in seen:
                seen.add(name)
                yield from unbounded(schemas[name], name)
            if node.get("type") == "integer" and not (
                node.get("minimum", -(2**64)) >= -(2**63) and node.get("maximum", 2**64) < 2**63
            ):
                yield place
            for key, value in node.items():
                yield from unbounded(value, f"{place}.{key}".replace(".properties", ""))

    found = [
        place
        for path, method, operation in operations(spec)
        for place in unbounded(
            [operation.get("requestBody"), operation.get("parameters")], f"{method} {path}"
        )
    ]
    assert len(seen) > 20
    assert sorted(found) == []


def test_query_and_path_parameters_are_documented(spec: dict[str, Any]) -> None:
    operation = spec["paths"]["/api/sessions/{session_id}/live"]["get"]
    places = {(p["name"], p["in"]): p["required"] for p in operation["parameters"]}
    assert places == {
        ("session_id", "path"): True,
        ("from", "query"): False,
        ("message_id", "query"): False,
    }


def test_the_docs_are_one_page_that_needs_nobody_else(app: App, spec: dict[str, Any]) -> None:
    response = falcon.testing.TestClient(app).simulate_get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    page = response.text
    for _, _, operation in operations(spec):
        assert f'id="{operation["operationId"]}"' in page
    for name in spec["components"]["schemas"]:
        assert f'id="type-{name}"' in page
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets <= set(re.findall(r'id="([^"]+)"', page))
    assert "<script" not in page and "://" not in page.replace("http://www.w3.org", "")


def test_a_route_that_says_nothing_is_no_document() -> None:
    class Silent:
        def on_get(self, req: falcon.Request, resp: falcon.Response) -> None: ...

    app = App()
    app.add_route("/silent", Silent())
    with pytest.raises(LookupError, match="GET /silent"):
        document(app.routes, "1")


def test_several_bodies_and_responses_can_be_documented() -> None:
    operation = Operations("Test")

    class Two:
        @operation(takes=(NewSession, list[str]), gives="text/plain", also={202: NewSession})
        def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
            """Does it.

            And this is how.
            """

    app = App()
    app.add_route("/two/{name:path}", Two())
    documented = document(app.routes, "1")["paths"]["/two/{name}"]["put"]
    assert documented["summary"] == "Does it."
    assert documented["description"] == "And this is how."
    body = documented["requestBody"]["content"]["application/json"]["schema"]
    assert [set(one) for one in body["anyOf"]] == [{"$ref"}, {"type", "items"}]
    assert set(documented["responses"]["200"]["content"]) == {"text/plain"}
    assert set(documented["responses"]["202"]["content"]) == {"application/json"}
    assert {"400", "404", "413", "415"} <= set(documented["responses"])
