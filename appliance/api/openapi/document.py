"""The API's description, OpenAPI 3.1, made of the route table and the types that validate."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import falcon
import msgspec

from appliance.api.openapi.operation import Operation, Operations, Route
from appliance.http.errors import ErrorAnswer

operation = Operations("Appliance")

ABOUT = """\
Everything that the appliance can do. Paths below `/v1` are OpenAI's and work without that prefix as
well. Errors have one shape everywhere; switch on `error.code`, which stays, rather than on the
message.
"""

EVENTS = "text/event-stream"
SCHEMAS = "#/components/schemas/{name}"
KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
OPTIONAL_KEY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"key": []}]
"""Whether a key is asked for depends on the configuration."""
EVERYWHERE = (401, 403, 421, 429, 503)
WITH_BODY = (400, 413, 415)

_FIELD = re.compile(r"\{(?P<name>\w+)(?::[^}]*)?\}")


class Spec:
    """`/openapi.json`"""

    def __init__(self, routes: Iterable[Route], version: str) -> None:
        """`routes`: the table, read when the document is first asked for."""
        self._routes = routes
        self._version = version
        self._document: bytes = b""

    @operation(gives=dict[str, Any])
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """This description."""
        if not self._document:
            self._document = msgspec.json.encode(document(self._routes, self._version))
        resp.data = self._document
        resp.content_type = falcon.MEDIA_JSON


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The whole description, as JSON has it.

    Raises:
        LookupError: a route of the table says nothing of itself.
    """
    table = list(routes)
    schemas = Schemas(
        type_
        for route in table
        for method in route.responders
        for type_ in _types(_said(route, method))
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        path = _FIELD.sub(r"{\g<name>}", route.path)
        for method, responder in route.responders.items():
            told = _said(route, method)
            paths.setdefault(path, {})[method.lower()] = _operation(
                path, method, responder, told, schemas
            )
    groups = dict.fromkeys(_said(r, m).group for r in table for m in r.responders)
    return {
        "openapi": "3.1.0",
        "info": {"title": "The appliance", "version": version, "description": ABOUT},
        "tags": [{"name": group} for group in groups],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": KEYS},
    }


class Schemas:
    """JSON schemas of types; what has a name stands among the components."""

    def __init__(self, types: Iterable[Any]) -> None:
        """All types that will be asked for."""
        wanted = list(dict.fromkeys([ErrorAnswer, *types]))
        self.components: dict[str, dict[str, Any]]
        found, self.components = msgspec.json.schema_components(wanted, ref_template=SCHEMAS)
        self._found: dict[Any, dict[str, Any]] = dict(zip(wanted, found, strict=True))

    def of(self, type_: Any) -> dict[str, Any]:
        """The schema of one of the types, or of any of a tuple of them."""
        if isinstance(type_, tuple):
            return {"anyOf": [self._found[one] for one in type_]}
        return self._found[type_]

    def named(self, type_: Any) -> dict[str, Any]:
        """A struct's own schema, rather than a reference to it."""
        return self.components[self._found[type_]["$ref"].rpartition("/")[2]]


def _said(route: Route, method: str) -> Operation:
    told = route.operation(method)
    if told is None:
        raise LookupError(f"{method} {route.path} does not say what it takes and gives")
    return told


def _types(told: Operation) -> Iterator[Any]:
    for type_ in (told.takes, told.query, told.gives, *told.also.values()):
        yield from (one for one in _several(type_) if not isinstance(one, str))
    for _, one in _events_of(told):
        if not isinstance(one, str):
            yield one


def _several(what: Any) -> tuple[Any, ...]:
    if what is None:
        return ()
    return what if isinstance(what, tuple) else (what,)


def _events_of(told: Operation) -> Iterator[tuple[str, Any]]:
    """Name and data of each kind of event of its stream."""
    streams = told.streams if isinstance(told.streams, Mapping) else {"message": told.streams}
    for name, data in streams.items():
        for one in _several(data):
            yield name, one


def _operation(
    path: str, method: str, responder: Callable[..., None], told: Operation, schemas: Schemas
) -> dict[str, Any]:
    summary, _, description = (inspect.getdoc(responder) or "").partition("\n\n")
    words = re.sub(r"\W+", " ", path).split()
    made: dict[str, Any] = {
        "operationId": "_".join([method.lower(), *words]),
        "tags": [told.group],
        "summary": summary.replace("\n", " "),
    }
    if description:
        made["description"] = description
    if parameters := [*_in_path(path), *_in_query(told, schemas)]:
        made["parameters"] = parameters
    if told.takes is not None:
        made["requestBody"] = {
            "required": not told.optional,
            "content": {falcon.MEDIA_JSON: {"schema": schemas.of(told.takes)}},
        }
    made["responses"] = _responses(path, told, schemas)
    made["security"] = OPTIONAL_KEY
    return made


def _in_path(path: str) -> Iterator[dict[str, Any]]:
    for name in _FIELD.findall(path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(told: Operation, schemas: Schemas) -> Iterator[dict[str, Any]]:
    if told.query is None:
        return
    schema = schemas.named(told.query)
    for name, of_field in schema["properties"].items():
        needed = name in schema.get("required", ())
        yield {"name": name, "in": "query", "required": needed, "schema": of_field}


def _responses(path: str, told: Operation, schemas: Schemas) -> dict[str, Any]:
    made = {str(told.status): _answer(told.status, told.gives, schemas)}
    if told.streams is not None:
        events = [_event(name, data, schemas) for name, data in _events_of(told)]
        content = made[str(told.status)].setdefault("content", {})
        content[EVENTS] = {"schema": {"anyOf": events}}
    for status, type_ in told.also.items():
        made[str(status)] = _answer(status, type_, schemas)
    errors = {*EVERYWHERE, *told.errors}
    if told.takes is not None:
        errors.update(WITH_BODY)
    if told.query is not None:
        errors.add(400)
    if "{" in path:
        errors.add(404)
    for status in sorted(errors):
        error = made.setdefault(str(status), _answer(status, ErrorAnswer, schemas))
        if told.plain_errors:
            error["content"][EVENTS] = {"schema": {"anyOf": [_event("message", str, schemas)]}}
    return made


def _answer(status: int, type_: Any, schemas: Schemas) -> dict[str, Any]:
    made: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if isinstance(type_, str):
        made["content"] = {type_: {"schema": {"type": "string"}}}
    elif type_ is not None:
        made["content"] = {falcon.MEDIA_JSON: {"schema": schemas.of(type_)}}
    return made


def _event(name: str, data: Any, schemas: Schemas) -> dict[str, Any]:
    """One server-sent event; those of a stream are described one by one."""
    told: dict[str, Any] = {"type": "string"}
    if isinstance(data, str):
        told = {"const": data}
    elif data is not str:
        told |= {"contentMediaType": falcon.MEDIA_JSON, "contentSchema": schemas.of(data)}
    return {
        "type": "object",
        "properties": {"event": {"const": name}, "data": told, "id": {"type": "string"}},
        "required": ["event", "data"],
    }
